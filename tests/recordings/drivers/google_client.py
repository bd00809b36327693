"""Calls Google's client."""

from google import genai
from google.genai import types
from recording import Call, Recording

recording = Recording()


def perform(call: Call) -> None:
    """Make one call, and read its stream to the end."""
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=call.url))
    config = types.GenerateContentConfig(system_instruction=recording.system)
    if call.tool:
        function = types.FunctionDeclaration(name=recording.tool_name, parameters_json_schema=recording.tool_schema)
        config.tools = [types.Tool(function_declarations=[function])]
    asked = {"model": call.model, "contents": call.prompt, "config": config}
    if call.streamed:
        for _ in client.models.generate_content_stream(**asked):
            pass
    else:
        client.models.generate_content(**asked)


recording.run(perform)
