"""Calls LangChain's chat models; the ``agent`` case lets LangGraph's agent call the tool."""

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.tools import StructuredTool
from langchain_core.tracers.langchain import wait_for_all_tracers
from recording import Call, Recording

recording = Recording()


def get_weather(city: str) -> str:
    """Tell the weather."""
    return recording.tool_result


TOOL = StructuredTool.from_function(get_weather, name=recording.tool_name)


def perform(call: Call) -> None:
    """Make one call, and read its stream to the end."""
    model = chat_model(call)
    if call.case == "agent":
        agent = create_agent(model, [TOOL], system_prompt=recording.system)
        agent.invoke({"messages": [("user", call.prompt)]})
        return
    if call.tool:
        model = model.bind_tools([TOOL])
    messages = [("system", recording.system), ("user", call.prompt)]
    if call.streamed:
        for _ in model.stream(messages):
            pass
    else:
        model.invoke(messages)


def chat_model(call: Call):
    """The chat model of the call's API."""
    if call.api == "messages":
        return init_chat_model(
            call.model, model_provider="anthropic", base_url=call.url, api_key="none", max_retries=0, max_tokens=500
        )
    return init_chat_model(
        call.model,
        model_provider="openai",
        base_url=f"{call.url}/v1",
        api_key="none",
        max_retries=0,
        stream_usage=call.usage_told,
        use_responses_api=call.api == "responses",
    )


# LangSmith makes its spans in a thread of its own.
recording.run(perform, flush=wait_for_all_tracers)
