"""session.wrap_anthropic: the host's client, whole, and a span of each message."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from opentelemetry.trace import StatusCode
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Begin, Spans

import fallom
from fallom.wrappers.anthropic import MESSAGES as MESSAGES_API

# The model of the recordings nears its end.
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")

MODEL = APIS["messages"].request_model
ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 99,
    "messages": [{"role": "user", "content": "Where is Oslo?"}],
}
TEXT = CASES["cached"].turns[0].text
USAGE = CASES["cached"].turns[0].usage
TOKENS = {
    "gen_ai.usage.input_tokens": USAGE.input,
    "gen_ai.usage.output_tokens": USAGE.output,
    "gen_ai.usage.cache_read.input_tokens": USAGE.cache_read,
    "gen_ai.usage.cache_creation.input_tokens": USAGE.cache_write,
    "gen_ai.usage.reasoning.output_tokens": USAGE.reasoning,
}

Wrapped = Callable[..., anthropic.Anthropic]


def bare(provider: FakeProvider, case: str = "cached", kind: Any = anthropic.Anthropic) -> Any:
    return kind(api_key="k", base_url=f"{provider.url}/{case}", max_retries=0)


@pytest.fixture
def client(provider: FakeProvider, session: fallom.Session) -> anthropic.Anthropic:
    return session.wrap_anthropic(bare(provider))


def tokens(attributes: Any) -> dict[str, Any]:
    return {key: attributes.get(key) for key in TOKENS}


def said(attributes: Any, way: str) -> Any:
    return json.loads(attributes[f"gen_ai.{way}.messages"])


def test_a_message_tells_of_its_session_request_answer_and_tokens(client: anthropic.Anthropic, spans: Spans) -> None:
    answer = client.messages.create(**ASKED, system="You are terse.", stop_sequences=["END"])
    assert answer.content[0].text == TEXT
    assert dict(spans.attributes) | {
        "fallom.session_id": "session-1",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": ("end_turn",),
        **TOKENS,
    } == dict(spans.attributes)
    assert json.loads(spans.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "You are terse."}]
    assert said(spans.attributes, "output")[0]["parts"] == [{"type": "text", "content": TEXT}]


def test_the_client_that_was_given_stays_as_it_was(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    given = bare(provider)
    wrapped = session.wrap_anthropic(given)
    assert type(wrapped) is anthropic.Anthropic
    given.messages.create(**ASKED)
    assert spans.all() == []
    with wrapped.with_options(timeout=9) as copied:
        copied.messages.create(**ASKED)
    assert len(spans.all()) == 1


def test_a_stream_is_the_librarys_own_and_tells_its_tokens_and_first_token(
    client: anthropic.Anthropic, spans: Spans
) -> None:
    stream = client.messages.create(**ASKED, stream=True)
    assert type(stream) is anthropic.Stream
    assert "".join(each.delta.text for each in stream if each.type == "content_block_delta") == TEXT
    assert tokens(spans.attributes) == TOKENS
    assert said(spans.attributes, "output")[0] == {
        "role": "assistant",
        "parts": [{"type": "text", "content": TEXT}],
        "finish_reason": "end_turn",
    }
    assert spans.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_the_manager_of_a_stream_works_whole_and_when_left_early(client: anthropic.Anthropic, spans: Spans) -> None:
    with client.messages.stream(**ASKED) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().usage.output_tokens == USAGE.output
    assert tokens(spans.attributes) == TOKENS
    with client.messages.stream(**ASKED) as stream:
        next(stream)
    assert [span.status.status_code for span in spans.all()] == [StatusCode.UNSET] * 2


def test_a_stream_that_is_dropped_closes_its_response_at_once(client: anthropic.Anthropic, spans: Spans) -> None:
    stream = client.messages.create(**ASKED, stream=True)
    next(stream)
    response = stream.response
    gc.disable()
    try:
        del stream
        assert response.is_closed
        assert len(spans.all()) == 1
    finally:
        gc.enable()


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_is_told(provider: FakeProvider, session: fallom.Session, spans: Spans, stream: bool) -> None:
    client = session.wrap_anthropic(bare(provider, "tool"))
    answer = client.messages.create(**ASKED, stream=stream)
    if stream:
        list(answer)
    (part,) = said(spans.attributes, "output")[0]["parts"]
    assert (part["type"], part["name"], part["arguments"]) == ("tool_call", "get_weather", {"city": "Oslo"})
    assert part["id"].startswith("toolu")
    assert spans.attributes["gen_ai.response.finish_reasons"] == ("tool_use",)


def test_what_a_tool_gave_is_told(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    client = session.wrap_anthropic(bare(provider, "agent"))
    asked = client.messages.create(**ASKED)
    result = {"type": "tool_result", "tool_use_id": asked.content[0].id, "content": "rain"}
    talk = [*ASKED["messages"], {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    client.messages.create(**ASKED | {"messages": talk})
    _, call, given = said(spans.all()[1].attributes, "input")
    assert call["parts"][0]["arguments"] == {"city": "Oslo"}
    assert given == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": asked.content[0].id, "response": "rain"}],
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", ["limited", "failed", "refused"])
def test_an_error_is_the_librarys_and_has_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans, case: str, stream: bool
) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        session.wrap_anthropic(bare(provider, case)).messages.create(**ASKED, stream=stream)
    assert spans.attributes["error.type"] == type(raised.value).__name__


@pytest.mark.parametrize("case", ["torn", "broken"])
def test_a_stream_that_fails_is_an_error_with_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans, case: str
) -> None:
    client = session.wrap_anthropic(bare(provider, case))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever the library raises, the span has
        list(client.messages.create(**ASKED, stream=True))
    assert spans.attributes["error.type"] == type(raised.value).__name__
    assert spans.attributes["gen_ai.usage.input_tokens"] == USAGE.input


def test_raw_and_streamed_responses_are_read_with_the_host(client: anthropic.Anthropic, spans: Spans) -> None:
    assert client.messages.with_raw_response.create(**ASKED).parse().content[0].text == TEXT
    with client.messages.with_streaming_response.create(**ASKED) as response:
        assert json.loads(response.read())["content"][0]["text"] == TEXT
    assert [tokens(span.attributes) for span in spans.all()] == [TOKENS, TOKENS]


def test_beta_messages_are_traced(client: anthropic.Anthropic, spans: Spans) -> None:
    client.beta.messages.create(**ASKED)
    assert tokens(spans.attributes) == TOKENS


def test_an_async_client_is_traced_whole_streamed_and_left_early(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    async def calls() -> None:
        async with session.wrap_anthropic(bare(provider, kind=anthropic.AsyncAnthropic)) as client:
            assert (await client.messages.create(**ASKED)).content[0].text == TEXT
            stream = await client.messages.create(**ASKED, stream=True)
            assert type(stream) is anthropic.AsyncStream
            assert [event async for event in stream]
            async with client.messages.stream(**ASKED) as manager:
                assert "".join([text async for text in manager.text_stream]) == TEXT
            async with client.messages.stream(**ASKED) as manager:
                async for _ in manager:
                    break

    asyncio.run(calls())
    assert [tokens(span.attributes) == TOKENS for span in spans.all()] == [True, True, True, False]
    assert {span.status.status_code for span in spans.all()} == {StatusCode.UNSET}


def test_the_clients_own_spans_of_a_call_go_to_others_but_not_twice_to_the_server(
    provider: FakeProvider, session: fallom.Session, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = begin()
    sent: list[Any] = []
    monkeypatch.setattr(fallom.runtime.current().tracing.spans, "put", sent.append)
    traced = anthropic.Anthropic(
        api_key="k", base_url=f"{provider.url}/cached", open_telemetry={"tracer_provider": spans.provider}
    )
    session.wrap_anthropic(traced).messages.create(**ASKED)
    traced.messages.create(**ASKED)
    assert [span.instrumentation_scope.name.startswith("fallom") for span in sent] == [True, False]
    assert len(spans.all()) == 3


def test_without_content_no_text_is_told(provider: FakeProvider, session: fallom.Session, begin: Begin) -> None:
    spans = begin(capture_content=False)
    client = session.wrap_anthropic(bare(provider))
    client.messages.create(**ASKED, system="You are terse.")
    list(client.messages.create(**ASKED, stream=True))
    everything = "".join(span.to_json() for span in spans.all())
    assert not [text for text in ("Where is Oslo?", "You are terse.", TEXT) if text in everything]
    assert [tokens(span.attributes) for span in spans.all()] == [TOKENS, TOKENS]


@pytest.mark.parametrize("broken", ["request", "answer", "chunks"])
def test_a_fault_of_ours_is_not_the_hosts(
    client: anthropic.Anthropic, spans: Spans, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(broken)

    monkeypatch.setattr(type(MESSAGES_API), broken, fails)
    assert client.messages.create(**ASKED).content[0].text == TEXT
    stream = client.messages.create(**ASKED, stream=True)
    assert "".join(each.delta.text for each in stream if each.type == "content_block_delta") == TEXT
    assert len(spans.all()) == 2
