"""session.wrap_google_ai: the host's client, whole, and a span of each request."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from opentelemetry.trace import StatusCode
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Begin, Spans

import fallom
from fallom.wrappers.google_content import GENERATE_CONTENT

MODEL = APIS["generate"].request_model
TEXT = CASES["cached"].turns[0].text
USAGE = CASES["cached"].turns[0].usage
TOKENS = {
    "gen_ai.usage.input_tokens": USAGE.input,
    "gen_ai.usage.output_tokens": USAGE.output,
    "gen_ai.usage.cache_read.input_tokens": USAGE.cache_read,
    "gen_ai.usage.reasoning.output_tokens": USAGE.reasoning,
}


def bare(provider: FakeProvider, case: str = "cached") -> genai.Client:
    return genai.Client(
        api_key="k",
        http_options=types.HttpOptions(
            base_url=f"{provider.url}/{case}", retry_options=types.HttpRetryOptions(attempts=1)
        ),
    )


@pytest.fixture
def client(provider: FakeProvider, session: fallom.Session) -> genai.Client:
    return session.wrap_google_ai(bare(provider))


def tokens(attributes: Any) -> dict[str, Any]:
    return {key: attributes.get(key) for key in TOKENS}


def said(attributes: Any, way: str) -> Any:
    return json.loads(attributes[f"gen_ai.{way}.messages"])


def test_a_content_tells_of_its_session_request_answer_and_tokens(client: genai.Client, spans: Spans) -> None:
    config = types.GenerateContentConfig(system_instruction="You are terse.", temperature=0.5, max_output_tokens=99)
    answer = client.models.generate_content(model=MODEL, contents="Where is Oslo?", config=config)
    assert answer.text == TEXT
    assert dict(spans.attributes) | {
        "fallom.session_id": "session-1",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": answer.model_version,
        "gen_ai.response.finish_reasons": ("STOP",),
        **TOKENS,
    } == dict(spans.attributes)
    assert json.loads(spans.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "You are terse."}]
    assert said(spans.attributes, "input") == [
        {"role": "user", "parts": [{"type": "text", "content": "Where is Oslo?"}]}
    ]
    assert said(spans.attributes, "output")[0]["parts"] == [{"type": "text", "content": TEXT}]


def test_the_client_that_was_given_stays_as_it_was_and_open(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    given = bare(provider)
    wrapped = session.wrap_google_ai(given)
    assert isinstance(wrapped, genai.Client)
    given.models.generate_content(model=MODEL, contents="Where?")
    assert spans.all() == []
    del wrapped
    gc.collect()
    assert given.models.generate_content(model=MODEL, contents="Where?").text == TEXT


def test_a_client_whose_original_is_dropped_stays_open(client: genai.Client, spans: Spans) -> None:
    gc.collect()
    assert client.models.generate_content(model=MODEL, contents="Where?").text == TEXT
    client.close()


def test_a_client_wrapped_twice_is_the_last_sessions(client: genai.Client, spans: Spans) -> None:
    wrapped = fallom.session("other", "session-2").wrap_google_ai(client)
    wrapped.models.generate_content(model=MODEL, contents="Where?")
    assert spans.attributes["fallom.session_id"] == "session-2"


def test_a_stream_tells_its_tokens_and_its_first_token(client: genai.Client, spans: Spans) -> None:
    stream = client.models.generate_content_stream(model=MODEL, contents="Where?")
    assert type(stream).__name__ == "generator"
    assert "".join(chunk.text or "" for chunk in stream) == TEXT
    assert tokens(spans.attributes) == TOKENS
    assert spans.attributes["gen_ai.request.stream"] is True
    assert spans.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert said(spans.attributes, "output")[0]["parts"] == [{"type": "text", "content": TEXT}]


def test_a_stream_that_is_left_early_has_ended_without_an_error(client: genai.Client, spans: Spans) -> None:
    stream = client.models.generate_content_stream(model=MODEL, contents="Where?")
    next(stream)
    stream.close()
    gc.collect()
    assert spans.one.status.status_code is StatusCode.UNSET


def test_functions_that_the_library_calls_leave_a_span_of_each_request(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    client = session.wrap_google_ai(bare(provider, "agent"))
    answer = client.chats.create(model=MODEL, config=config).send_message("Is it raining in Oslo?")
    turns = CASES["agent"].turns
    assert answer.text == turns[1].text
    first, second = spans.all()
    assert said(first.attributes, "output")[0]["parts"][0] | {"id": None} == {
        "type": "tool_call",
        "id": None,
        "name": "get_weather",
        "arguments": {"city": "Oslo"},
    }
    assert said(second.attributes, "input")[-1]["parts"][0]["type"] == "tool_call_response"
    assert said(second.attributes, "input")[-1]["role"] == "tool"
    counts = [(span.attributes or {})["gen_ai.usage.input_tokens"] for span in (first, second)]
    assert counts == [turn.usage.input for turn in turns]


@pytest.mark.parametrize("case", ["limited", "failed", "refused"])
def test_an_error_is_the_librarys_and_has_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans, case: str
) -> None:
    client = session.wrap_google_ai(bare(provider, case))
    with pytest.raises(errors.APIError) as raised:
        client.models.generate_content(model=MODEL, contents="Where?")
    with pytest.raises(errors.APIError):
        list(client.models.generate_content_stream(model=MODEL, contents="Where?"))
    assert {(span.attributes or {})["error.type"] for span in spans.all()} == {type(raised.value).__name__}
    assert len(spans.all()) == 2


def test_embeddings_are_calls_too(client: genai.Client, spans: Spans) -> None:
    client.models.embed_content(model="gemini-embedding-001", contents="Oslo")
    assert spans.attributes["gen_ai.operation.name"] == "embeddings"


def test_async_calls_are_traced_whole_streamed_and_left_early(client: genai.Client, spans: Spans) -> None:
    async def calls() -> None:
        models = client.aio.models
        assert (await models.generate_content(model=MODEL, contents="Where?")).text == TEXT
        stream = await models.generate_content_stream(model=MODEL, contents="Where?")
        assert "".join([chunk.text or "" async for chunk in stream]) == TEXT
        chat = client.aio.chats.create(model=MODEL)
        assert (await chat.send_message("Where?")).text == TEXT
        stream = await models.generate_content_stream(model=MODEL, contents="Where?")
        async for _ in stream:
            break
        await stream.aclose()
        await client.aio.aclose()

    asyncio.run(calls())
    gc.collect()
    assert [tokens(span.attributes) == TOKENS for span in spans.all()] == [True, True, True, False]
    assert {span.status.status_code for span in spans.all()} == {StatusCode.UNSET}


def test_without_content_no_text_is_told(provider: FakeProvider, session: fallom.Session, begin: Begin) -> None:
    spans = begin(capture_content=False)
    client = session.wrap_google_ai(bare(provider))
    config = types.GenerateContentConfig(system_instruction="You are terse.")
    client.models.generate_content(model=MODEL, contents="Where is Oslo?", config=config)
    list(client.models.generate_content_stream(model=MODEL, contents="Where is Oslo?"))
    everything = "".join(span.to_json() for span in spans.all())
    assert not [text for text in ("Where is Oslo?", "You are terse.", TEXT) if text in everything]
    assert [tokens(span.attributes) for span in spans.all()] == [TOKENS, TOKENS]


@pytest.mark.parametrize(
    "contents",
    [
        ["Where is", "Oslo?"],
        {"role": "user", "parts": [{"text": "Where is Oslo?"}]},
        [types.Content(role="user", parts=[types.Part(text="Where is Oslo?")])],
        [types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"), "What is this?"],
    ],
)
def test_contents_of_every_form_are_told_without_bytes(client: genai.Client, spans: Spans, contents: Any) -> None:
    client.models.generate_content(model=MODEL, contents=contents)
    (told,) = said(spans.attributes, "input")
    assert told["role"] == "user"
    assert all(part["type"] == "text" or set(part) == {"type", "modality", "mime_type"} for part in told["parts"])


@pytest.mark.parametrize("broken", ["request", "answer", "chunks"])
def test_a_fault_of_ours_is_not_the_hosts(
    client: genai.Client, spans: Spans, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(broken)

    monkeypatch.setattr(type(GENERATE_CONTENT), broken, fails)
    assert client.models.generate_content(model=MODEL, contents="Where?").text == TEXT
    stream = client.models.generate_content_stream(model=MODEL, contents="Where?")
    assert "".join(chunk.text or "" for chunk in stream) == TEXT
    assert len(spans.all()) == 2
