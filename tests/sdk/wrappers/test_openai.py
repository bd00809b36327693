"""session.wrap_openai: the host's client, whole, and a span of each call."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import openai
import pytest
from opentelemetry.trace import StatusCode
from pydantic import BaseModel
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Begin, Spans

import fallom
from fallom.wrappers import openai_chat

MODEL = APIS["chat"].request_model
MESSAGES: list[Any] = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Where is Oslo?"}]
TEXT = CASES["cached"].turns[0].text
USAGE = CASES["cached"].turns[0].usage
TOKENS = {
    "gen_ai.usage.input_tokens": USAGE.input,
    "gen_ai.usage.output_tokens": USAGE.output,
    "gen_ai.usage.cache_read.input_tokens": USAGE.cache_read,
    "gen_ai.usage.cache_creation.input_tokens": USAGE.cache_write,
    "gen_ai.usage.reasoning.output_tokens": USAGE.reasoning,
}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


def bare(provider: FakeProvider, case: str = "cached", **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=f"{provider.url}/{case}", max_retries=0, **options)


def bare_async(provider: FakeProvider, case: str = "cached") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url=f"{provider.url}/{case}", max_retries=0)


@pytest.fixture
def client(provider: FakeProvider, session: fallom.Session) -> openai.OpenAI:
    return session.wrap_openai(bare(provider))


def tokens(attributes: Any) -> dict[str, Any]:
    return {key: attributes.get(key) for key in TOKENS}


def said(attributes: Any, way: str) -> Any:
    return json.loads(attributes[f"gen_ai.{way}.messages"])


def test_a_chat_tells_of_its_session_request_answer_and_tokens(client: openai.OpenAI, spans: Spans) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0.5, max_tokens=99, stop="END")
    assert answer.choices[0].message.content == TEXT
    assert spans.one.name == f"chat {MODEL}"
    assert dict(spans.attributes) | {
        "fallom.config_key": "my-agent",
        "fallom.session_id": "session-1",
        "fallom.customer_id": "user-1",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": answer.model,
        "gen_ai.response.id": answer.id,
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
        **TOKENS,
    } == dict(spans.attributes)
    assert said(spans.attributes, "input")[1] == {
        "role": "user",
        "parts": [{"type": "text", "content": "Where is Oslo?"}],
    }
    assert said(spans.attributes, "output") == [
        {"role": "assistant", "parts": [{"type": "text", "content": TEXT}], "finish_reason": "stop"}
    ]


def test_the_client_that_was_given_stays_as_it_was(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    given = bare(provider)
    before = dict(vars(given))
    wrapped = session.wrap_openai(given)
    assert type(wrapped) is openai.OpenAI
    given.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert spans.all() == []
    wrapped.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(spans.all()) == 1
    assert {name: value for name, value in vars(given).items() if name != "chat"} == before


def test_a_client_that_made_its_resources_before_is_traced(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    given = bare(provider)
    given.chat.completions.create(model=MODEL, messages=MESSAGES)
    session.wrap_openai(given).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(spans.all()) == 1


def test_a_client_wrapped_twice_is_the_last_sessions(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    other = fallom.session("other", "session-2")
    other.wrap_openai(session.wrap_openai(bare(provider))).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert spans.attributes["fallom.session_id"] == "session-2"


def test_a_stream_is_the_librarys_own_and_tells_its_tokens_unasked(
    client: openai.OpenAI, provider: FakeProvider, spans: Spans
) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert type(stream) is openai.Stream
    chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert provider.bodies()[0]["stream_options"] == {"include_usage": True}
    assert tokens(spans.attributes) == TOKENS
    assert spans.attributes["gen_ai.request.stream"] is True
    assert said(spans.attributes, "output")[0]["parts"] == [{"type": "text", "content": TEXT}]
    elapsed_ns = (spans.one.end_time or 0) - (spans.one.start_time or 0)
    assert 0 < spans.attributes["gen_ai.response.time_to_first_chunk"] * 1e9 <= elapsed_ns


def test_a_host_that_asks_for_the_usage_of_a_stream_gets_it(client: openai.OpenAI, spans: Spans) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    assert last.usage is not None
    assert last.usage.total_tokens == USAGE.input + USAGE.output
    assert tokens(spans.attributes) == TOKENS


def test_a_host_that_wants_no_usage_is_heard(client: openai.OpenAI, provider: FakeProvider, spans: Spans) -> None:
    list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": False}
        )
    )
    assert provider.bodies()[0]["stream_options"] == {"include_usage": False}
    assert spans.attributes.get("gen_ai.usage.input_tokens") is None


def test_a_server_that_knows_no_stream_options_is_asked_as_the_host_asked_and_then_always(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    client = session.wrap_openai(bare(provider, "strict"))
    for _ in range(2):
        chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert ["stream_options" in body for body in provider.bodies()] == [True, False, False]
    assert [span.status.status_code for span in spans.all()] == [StatusCode.UNSET] * 2


def test_a_stream_that_is_left_early_has_ended_without_an_error(client: openai.OpenAI, spans: Spans) -> None:
    with client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        for _ in stream:
            break
    assert spans.one.status.status_code is StatusCode.UNSET
    assert said(spans.attributes, "output")[0]["parts"][0]["content"] in TEXT
    assert stream.response.is_closed


def test_a_stream_that_is_dropped_unread_has_ended(client: openai.OpenAI, spans: Spans) -> None:
    client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    gc.collect()
    assert spans.one.status.status_code is StatusCode.UNSET


def test_next_reads_a_stream(client: openai.OpenAI, spans: Spans) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert next(stream).choices[0].delta.content
    stream.close()
    assert spans.one.end_time


@pytest.mark.parametrize("case", ["torn", "broken"])
def test_a_stream_that_fails_is_an_error_with_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans, case: str
) -> None:
    client = session.wrap_openai(bare(provider, case))
    stream = client.responses.create(model=MODEL, input="Where?", stream=True)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever the library raises, the span has
        list(stream)
    assert spans.attributes["error.type"] == type(raised.value).__name__
    assert spans.one.status.status_code is StatusCode.ERROR


def test_a_tool_call_is_told_whole_and_in_pieces(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    client = session.wrap_openai(bare(provider, "tool"))
    client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True))
    for span in spans.all():
        (part,) = said(span.attributes, "output")[0]["parts"]
        assert (part["type"], part["name"], part["arguments"]) == ("tool_call", "get_weather", {"city": "Oslo"})
        assert span.attributes is not None
        assert span.attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)


def test_what_a_tool_gave_is_told(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    client = session.wrap_openai(bare(provider, "agent"))
    asked = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS).choices[0].message
    assert asked.tool_calls
    result: Any = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "rain"}
    client.chat.completions.create(model=MODEL, messages=[*MESSAGES, asked, result], tools=TOOLS)
    *_, call, given = said(spans.all()[1].attributes, "input")
    assert call["parts"][0]["arguments"] == {"city": "Oslo"}
    assert given["parts"] == [{"type": "tool_call_response", "id": asked.tool_calls[0].id, "response": "rain"}]


class City(BaseModel):
    city: str


def test_parsing_helpers_parse(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    client = session.wrap_openai(bare(provider, "json"))
    parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=City)
    assert parsed.choices[0].message.parsed == City(city="Oslo")
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, response_format=City) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed == City(city="Oslo")
    assert [span.attributes["gen_ai.output.type"] for span in spans.all() if span.attributes] == ["json", "json"]
    assert all(span.attributes["gen_ai.usage.input_tokens"] == 10 for span in spans.all() if span.attributes)


def test_a_manager_of_a_stream_that_is_left_early_ends_the_call(client: openai.OpenAI, spans: Spans) -> None:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        next(stream)
    assert spans.one.status.status_code is StatusCode.UNSET
    assert stream


def test_options_and_copies_stay_traced(client: openai.OpenAI, spans: Spans) -> None:
    client.with_options(timeout=9).chat.completions.create(model=MODEL, messages=MESSAGES)
    client.copy().with_options(max_retries=1).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(spans.all()) == 2


def test_raw_responses_are_read_with_the_host(client: openai.OpenAI, spans: Spans) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    assert raw.parse().choices[0].message.content == TEXT
    assert tokens(spans.attributes) == TOKENS


def test_a_raw_response_of_a_stream_is_read_with_the_host(client: openai.OpenAI, spans: Spans) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert spans.all() == []
    assert [chunk for chunk in raw.parse() if chunk.usage]
    assert tokens(spans.attributes) == TOKENS


def test_streamed_responses_are_read_with_the_host(client: openai.OpenAI, spans: Spans) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as response:
        assert spans.all() == []
        assert json.loads(b"".join(response.iter_bytes()))["object"] == "chat.completion"
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as response:
        assert response.parse().choices[0].message.content == TEXT
    assert tokens(spans.all()[1].attributes) == TOKENS
    assert len(spans.all()) == 2


def test_the_client_is_a_context_manager_that_closes_its_connections(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    with session.wrap_openai(bare(provider)) as client:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert client.is_closed()
    assert len(spans.all()) == 1


@pytest.mark.parametrize(
    ("case", "error"),
    [("limited", openai.RateLimitError), ("failed", openai.InternalServerError), ("refused", openai.BadRequestError)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_the_librarys_and_has_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans, case: str, error: type[Exception], stream: bool
) -> None:
    client = session.wrap_openai(bare(provider, case))
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream)
    assert not isinstance(raised.value.__context__, openai.OpenAIError)
    assert spans.attributes["error.type"] == error.__name__
    assert CASES[case].error in (spans.one.status.description or "")
    assert spans.attributes.get("gen_ai.usage.input_tokens") is None


def test_a_response_tells_all_that_a_chat_does(client: openai.OpenAI, spans: Spans) -> None:
    answer = client.responses.create(model=MODEL, input="Where is Oslo?", instructions="You are terse.")
    assert answer.output_text == TEXT
    assert tokens(spans.attributes) == TOKENS
    assert spans.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert said(spans.attributes, "input") == [
        {"role": "user", "parts": [{"type": "text", "content": "Where is Oslo?"}]}
    ]
    assert json.loads(str(spans.attributes["gen_ai.system_instructions"]))[0]["content"] == "You are terse."
    assert said(spans.attributes, "output")[0]["parts"] == [{"type": "text", "content": TEXT}]


def test_a_streamed_response_tells_its_tokens_and_its_first_token(client: openai.OpenAI, spans: Spans) -> None:
    events = list(client.responses.create(model=MODEL, input="Where is Oslo?", stream=True))
    assert events[-1].type == "response.completed"
    assert tokens(spans.attributes) == TOKENS
    assert spans.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_a_streamed_response_that_is_left_early_tells_what_came(client: openai.OpenAI, spans: Spans) -> None:
    with client.responses.stream(model=MODEL, input="Where is Oslo?") as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    assert said(spans.attributes, "output")[0]["parts"][0]["content"] in TEXT


def test_a_response_with_a_tool_call_says_so(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    session.wrap_openai(bare(provider, "tool")).responses.create(model=MODEL, input="How is the weather?")
    assert spans.attributes["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert said(spans.attributes, "output")[0]["parts"][0]["name"] == "get_weather"


def test_embeddings_and_completions_are_calls_too(client: openai.OpenAI, spans: Spans) -> None:
    client.embeddings.create(model="embedder", input=["Oslo"], dimensions=2)
    client.completions.create(model="old", prompt="Oslo is")
    embedding, completion = (dict(span.attributes or {}) for span in spans.all())
    assert embedding["gen_ai.operation.name"] == "embeddings"
    assert embedding["gen_ai.usage.input_tokens"] == 4
    assert embedding["gen_ai.embeddings.dimension.count"] == 2
    assert completion["gen_ai.operation.name"] == "text_completion"
    assert completion["gen_ai.usage.output_tokens"] == 2
    assert said(completion, "output")[0]["parts"][0]["content"] == TEXT


def test_other_calls_are_passed_through_untraced(client: openai.OpenAI, provider: FakeProvider, spans: Spans) -> None:
    client.post("/chat/completions/1", cast_to=object, body={"metadata": {}})
    assert provider.asked
    assert spans.all() == []


def test_an_async_client_is_traced_and_its_sessions_do_not_mix(provider: FakeProvider, spans: Spans) -> None:
    async def converse(number: int) -> None:
        own = fallom.session("my-agent", f"session-{number}")
        async with own.wrap_openai(bare_async(provider)) as client:
            await client.chat.completions.create(model=f"model-{number}", messages=MESSAGES)
            stream = await client.chat.completions.create(model=f"model-{number}", messages=MESSAGES, stream=True)
            assert type(stream) is openai.AsyncStream
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT

    async def all_at_once() -> None:
        await asyncio.gather(*(converse(number) for number in range(5)))

    asyncio.run(all_at_once())
    found = [dict(span.attributes or {}) for span in spans.all()]
    assert sorted((each["fallom.session_id"], each["gen_ai.request.model"]) for each in found) == sorted(
        [(f"session-{number}", f"model-{number}") for number in range(5)] * 2
    )
    assert all(tokens(each) == TOKENS for each in found)


def test_async_parsing_streams_raw_responses_and_early_ends_work(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    async def calls() -> None:
        client = session.wrap_openai(bare_async(provider))
        async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as manager:
            assert (await manager.get_final_completion()).choices[0].message.content == TEXT
        async with await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
            async for _ in stream:
                break
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
        assert raw.parse().choices[0].message.content == TEXT
        async with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as response:
            assert (await response.parse()).choices[0].message.content == TEXT
        await client.close()

    asyncio.run(calls())
    assert [tokens(span.attributes) == TOKENS for span in spans.all()] == [True, False, True, True]
    assert {span.status.status_code for span in spans.all()} == {StatusCode.UNSET}


def test_a_cancelled_call_is_an_error_with_its_type(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    async def calls() -> None:
        client = session.wrap_openai(bare_async(provider))
        task = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=MESSAGES))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(calls())
    assert spans.attributes["error.type"] == "CancelledError"


def test_without_content_no_text_is_told(provider: FakeProvider, session: fallom.Session, begin: Begin) -> None:
    spans = begin(capture_content=False)
    client = session.wrap_openai(bare(provider))
    client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    client.responses.create(model=MODEL, input="Where is Oslo?", instructions="You are terse.")
    list(client.responses.create(model=MODEL, input="Where is Oslo?", stream=True))
    with pytest.raises(openai.BadRequestError):
        session.wrap_openai(bare(provider, "refused")).chat.completions.create(model=MODEL, messages=MESSAGES)
    everything = "".join(span.to_json() for span in spans.all())
    for text in ("Where is Oslo?", "You are terse.", TEXT, CASES["refused"].error, "get_weather"):
        assert text not in everything
    assert [tokens(span.attributes) for span in spans.all()[:4]] == [TOKENS] * 4


def test_before_init_the_call_goes_as_the_host_wrote_it(provider: FakeProvider, session: fallom.Session) -> None:
    client = session.wrap_openai(bare(provider))
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert "stream_options" not in provider.bodies()[0]


@pytest.mark.parametrize("broken", ["request", "answer", "chunks"])
def test_a_fault_of_ours_is_not_the_hosts(
    client: openai.OpenAI, spans: Spans, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(broken)

    monkeypatch.setattr(type(openai_chat.CHAT), broken, fails)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content == TEXT
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert all(chunk.choices for chunk in chunks)
    assert len(spans.all()) == 2


@pytest.mark.parametrize("name", ["start_span", "set_attributes", "set_status", "end"])
def test_a_tracer_that_fails_is_not_the_hosts_fault(
    client: openai.OpenAI, spans: Spans, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from opentelemetry.sdk.trace import Span, Tracer

    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(name)

    monkeypatch.setattr(Tracer if name == "start_span" else Span, name, fails)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content == TEXT
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    with pytest.raises(openai.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:1").chat.completions.create(model=MODEL, messages=MESSAGES)


def test_what_is_no_client_is_given_back(session: fallom.Session, spans: Spans) -> None:
    nothing = object()
    assert session.wrap_openai(nothing) is nothing
