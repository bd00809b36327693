"""Calls OpenAI's client: chat completions and responses."""

from openai import OpenAI
from recording import Call, Recording

recording = Recording()


def perform(call: Call) -> None:
    """Make one call, and read its stream to the end."""
    client = OpenAI(base_url=f"{call.url}/v1", api_key="none", max_retries=0)
    answer = (chat if call.api == "chat" else respond)(client, call)
    if call.streamed:
        for _ in answer:
            pass


def chat(client: OpenAI, call: Call):
    """Call chat completions."""
    options = {}
    if call.tool:
        function = {"name": recording.tool_name, "parameters": recording.tool_schema}
        options["tools"] = [{"type": "function", "function": function}]
    if call.streamed:
        options["stream"] = True
        if call.usage_told:
            options["stream_options"] = {"include_usage": True}
    messages = [{"role": "system", "content": recording.system}, {"role": "user", "content": call.prompt}]
    return client.chat.completions.create(model=call.model, messages=messages, **options)


def respond(client: OpenAI, call: Call):
    """Call the Responses API."""
    options = {}
    if call.tool:
        options["tools"] = [{"type": "function", "name": recording.tool_name, "parameters": recording.tool_schema}]
    if call.streamed:
        options["stream"] = True
    return client.responses.create(model=call.model, instructions=recording.system, input=call.prompt, **options)


recording.run(perform)
