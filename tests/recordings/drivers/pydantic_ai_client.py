"""Runs agents of Pydantic AI, which traces itself."""

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from recording import Call, Recording

recording = Recording()
Agent.instrument_all()


def get_weather(city: str) -> str:
    """Tell the weather."""
    return recording.tool_result


def perform(call: Call) -> None:
    """Run an agent, in a stream to its end."""
    agent = Agent(model_of(call), instructions=recording.system, tools=[get_weather] if call.tool else [], retries=0)
    if call.streamed:
        with agent.run_stream_sync(call.prompt) as answer:
            for _ in answer.stream_text(debounce_by=None):
                pass
    else:
        agent.run_sync(call.prompt)


def model_of(call: Call):
    """The model of the call's API."""
    if call.api == "messages":
        client = AsyncAnthropic(api_key="none", base_url=call.url, max_retries=0)
        return AnthropicModel(call.model, provider=AnthropicProvider(anthropic_client=client))
    if call.api == "generate":
        return GoogleModel(call.model, provider=GoogleProvider(api_key="none", base_url=call.url))
    client = AsyncOpenAI(api_key="none", base_url=f"{call.url}/v1", max_retries=0)
    provider = OpenAIProvider(openai_client=client)
    kind = OpenAIChatModel if call.api == "chat" else OpenAIResponsesModel
    return kind(call.model, provider=provider)


recording.run(perform)
