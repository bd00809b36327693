"""Official clients, wrapped, call a fake provider and export to a real server: the rows say what was served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from recordings.cases import APIS, CASES, SYSTEM, TOOL_NAME, Case
from recordings.expectations import expected, found
from recordings.provider import Journal, provider
from server_process import ServerProcess

import fallom
from fallom.context import PromptTag, set_prompt_tag

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")]

RUN = "wrapped"
CALLS_AT_ONCE = 8
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# Google's client calls functions by itself; that is tested beside.
NAMES = [f"{api}.{case.name}" for api in APIS for case in CASES.values() if case.name != "agent"]
FAILURES = (openai.OpenAIError, anthropic.AnthropicError, genai.errors.APIError)


def chat(session: fallom.Session, url: str, model: str, case: Case) -> Any:
    client = session.wrap_openai(openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))
    tool = {"type": "function", "function": {"name": TOOL_NAME, "parameters": SCHEMA}}
    options: dict[str, Any] = {"tools": [tool]} if case.tool else {}
    messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": case.prompt}]
    return client.chat.completions.create(model=model, messages=messages, stream=case.streamed, **options)


def responses(session: fallom.Session, url: str, model: str, case: Case) -> Any:
    client = session.wrap_openai(openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))
    tool = {"type": "function", "name": TOOL_NAME, "parameters": SCHEMA, "strict": False}
    options: dict[str, Any] = {"tools": [tool]} if case.tool else {}
    return client.responses.create(model=model, instructions=SYSTEM, input=case.prompt, stream=case.streamed, **options)


def messages(session: fallom.Session, url: str, model: str, case: Case) -> Any:
    client = session.wrap_anthropic(anthropic.Anthropic(base_url=url, api_key="none", max_retries=0))
    options: dict[str, Any] = {"tools": [{"name": TOOL_NAME, "input_schema": SCHEMA}]} if case.tool else {}
    asked: Any = [{"role": "user", "content": case.prompt}]
    return client.messages.create(
        model=model, max_tokens=999, system=SYSTEM, messages=asked, stream=case.streamed, **options
    )


def generate(session: fallom.Session, url: str, model: str, case: Case) -> Any:
    options = types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1))
    client = session.wrap_google_ai(genai.Client(api_key="none", http_options=options))
    function: Any = types.FunctionDeclaration(name=TOOL_NAME, parameters_json_schema=SCHEMA)
    tools = [types.Tool(function_declarations=[function])] if case.tool else None
    config = types.GenerateContentConfig(system_instruction=SYSTEM, tools=tools)
    if case.streamed:
        # All at once: the client is not to be dropped while its stream is read.
        return list(client.models.generate_content_stream(model=model, contents=case.prompt, config=config))
    return client.models.generate_content(model=model, contents=case.prompt, config=config)


PERFORM: Mapping[str, Callable[..., Any]] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "generate": generate,
}


def perform(provider_url: str, name: str) -> None:
    """Make one call, with a prompt of its own, and read its stream to the end."""
    api, case = APIS[name.split(".")[0]], CASES[name.split(".")[1]]
    session = fallom.session("my-agent", name, "user-1")
    set_prompt_tag(PromptTag(f"prompt of {name}", 2))
    with suppress(*FAILURES):
        answer = PERFORM[api.name](session, f"{provider_url}/{RUN}/{name}", api.request_model, case)
        if case.streamed:
            list(answer)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[dict[str, Any]]], Journal]:
    """The rows of each call, by its name; what was served, beside."""
    data_dir: Path = tmp_path_factory.mktemp("server") / "data"
    server = ServerProcess(data_dir).start()
    try:
        with provider() as (provider_url, journal):
            fallom.init("any", base_url=server.url, cache_dir=False)
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(lambda name: perform(provider_url, name), NAMES))
            assert fallom.shutdown(30)
        rows = server.sql("SELECT * FROM spans ORDER BY start_time_unix_nano")
    finally:
        server.stop()
    return {name: [row for row in rows if row["session_id"] == name] for name in NAMES}, journal


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_what_was_served(told: tuple[dict[str, list[dict[str, Any]]], Journal], name: str) -> None:
    rows, journal = told
    (row,) = rows[name]
    assert row["is_inference"]
    assert (row["config_key"], row["customer_id"]) == ("my-agent", "user-1")
    assert (row["prompt_key"], row["prompt_version"]) == (f"prompt of {name}", 2)
    # The conventions' name of it.
    row["provider"] = {"gcp.gemini": "google"}.get(row["provider"], row["provider"])
    assert found(row, name, 0, journal.of(RUN)[name]) == expected(RUN, name, 0)
