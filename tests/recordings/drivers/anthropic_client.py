"""Calls Anthropic's client; streams by ``stream=True``."""

from anthropic import Anthropic
from recording import Call, Recording

recording = Recording()


def perform(call: Call) -> None:
    """Make one call, and read its stream to the end."""
    client = Anthropic(base_url=call.url, api_key="none", max_retries=0)
    options = {}
    if call.tool:
        options["tools"] = [{"name": recording.tool_name, "input_schema": recording.tool_schema}]
    if call.streamed:
        options["stream"] = True
    answer = client.messages.create(
        model=call.model,
        max_tokens=500,
        system=recording.system,
        messages=[{"role": "user", "content": call.prompt}],
        **options,
    )
    if call.streamed:
        for _ in answer:
            pass


recording.run(perform)
