"""session.trace_model and session.callback_handler: LangChain's models, chains and tools."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from recordings.cases import APIS, CASES
from sdk.providers.provider import FakeProvider
from sdk.wrappers.conftest import Begin, Spans

import fallom

pytest.importorskip("langchain_openai")
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

MODEL = APIS["chat"].request_model
TEXT = CASES["cached"].turns[0].text
USAGE = CASES["cached"].turns[0].usage
TOKENS = {
    "gen_ai.usage.input_tokens": USAGE.input,
    "gen_ai.usage.output_tokens": USAGE.output,
    "gen_ai.usage.cache_read.input_tokens": USAGE.cache_read,
    "gen_ai.usage.reasoning.output_tokens": USAGE.reasoning,
}


def model(provider: FakeProvider, case: str = "cached") -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, api_key="k", base_url=f"{provider.url}/{case}", max_retries=0, stream_usage=True)


def tokens(span: ReadableSpan) -> dict[str, Any]:
    return {key: (span.attributes or {}).get(key) for key in TOKENS}


def test_a_traced_model_is_a_copy_of_its_type(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    given = model(provider)
    traced = session.trace_model(given)
    assert type(traced) is ChatOpenAI
    assert given.invoke("Where is Oslo?").content == TEXT
    assert spans.all() == []
    assert traced.invoke([("system", "You are terse."), ("human", "Where is Oslo?")]).content == TEXT
    assert dict(spans.attributes) | {
        "fallom.session_id": "session-1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": APIS["chat"].response_model,
        "gen_ai.response.finish_reasons": ("stop",),
        **TOKENS,
    } == dict(spans.attributes)
    assert [each["role"] for each in json.loads(spans.attributes["gen_ai.input.messages"])] == ["system", "user"]
    assert json.loads(spans.attributes["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": TEXT}]


def test_a_stream_tells_its_tokens_and_its_first_token(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    chunks = list(session.trace_model(model(provider)).stream("Where is Oslo?"))
    assert "".join(str(chunk.content) for chunk in chunks) == TEXT
    assert tokens(spans.one) == TOKENS
    assert spans.attributes["gen_ai.request.stream"] is True
    assert spans.attributes["gen_ai.response.time_to_first_chunk"] > 0


def test_async_calls_are_traced(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    async def calls() -> None:
        traced = session.trace_model(model(provider))
        assert (await traced.ainvoke("Where is Oslo?")).content == TEXT
        assert "".join([str(chunk.content) async for chunk in traced.astream("Where is Oslo?")]) == TEXT

    asyncio.run(calls())
    assert [tokens(span) for span in spans.all()] == [TOKENS, TOKENS]


def test_calls_of_tools_and_errors_are_told(provider: FakeProvider, session: fallom.Session, spans: Spans) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    answer = session.trace_model(model(provider, "tool")).bind_tools([get_weather]).invoke("How is the weather?")
    assert answer.tool_calls
    (part,) = json.loads(spans.attributes["gen_ai.output.messages"])[0]["parts"]
    assert (part["type"], part["name"], part["arguments"]) == ("tool_call", "get_weather", {"city": "Oslo"})
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever the library raises, the span has
        session.trace_model(model(provider, "limited")).invoke("Now!")
    assert (spans.all()[1].attributes or {})["error.type"] == type(raised.value).__name__


def test_a_handler_nests_the_calls_of_a_chain_in_it(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    chain = ChatPromptTemplate.from_template("Where is {city}?") | model(provider)
    chain.invoke({"city": "Oslo"}, config={"callbacks": [session.callback_handler()]})
    call, outer = spans.all()
    assert (outer.attributes or {})["gen_ai.operation.name"] == "invoke_workflow"
    assert call.parent is not None
    assert outer.context is not None
    assert call.parent.span_id == outer.context.span_id
    assert tokens(call) == TOKENS


def test_a_model_and_a_handler_of_one_session_count_a_call_once(
    provider: FakeProvider, session: fallom.Session, spans: Spans
) -> None:
    session.trace_model(model(provider)).invoke("Where?", config={"callbacks": [session.callback_handler()]})
    assert tokens(spans.one) == TOKENS


def test_what_is_traced_of_the_same_call_by_others_is_not_sent_beside_it(
    provider: FakeProvider, session: fallom.Session, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = begin()
    sent: list[ReadableSpan] = []
    monkeypatch.setattr(fallom.runtime.current().tracing.spans, "put", sent.append)
    inner = model(provider)
    instrumented = inner.root_client.post

    def post(*args: Any, **kwargs: Any) -> Any:
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL}
        with trace.get_tracer("an.instrumentor", tracer_provider=spans.provider).start_as_current_span(
            "chat", attributes=attributes
        ):
            return instrumented(*args, **kwargs)

    monkeypatch.setattr(inner.client, "_post", post)
    traced = session.trace_model(inner)
    traced.invoke("Where is Oslo?")
    inner.invoke("Where is Oslo?")
    assert [span.instrumentation_scope.name for span in sent if span.instrumentation_scope] == [
        "fallom.sdk",
        "an.instrumentor",
    ]
    assert len(spans.all()) == 3


def test_a_stream_that_is_left_at_once_hides_no_later_call(
    provider: FakeProvider, session: fallom.Session, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = begin()
    sent: list[ReadableSpan] = []
    monkeypatch.setattr(fallom.runtime.current().tracing.spans, "put", sent.append)
    stream = session.trace_model(model(provider)).stream("Where is Oslo?")
    next(stream)
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "another"}
    spans.provider.get_tracer("an.instrumentor").start_span("chat another", attributes=attributes).end()
    assert [span.name for span in sent] == ["chat another"]


def test_without_content_no_text_is_told(provider: FakeProvider, session: fallom.Session, begin: Begin) -> None:
    spans = begin(capture_content=False)
    session.trace_model(model(provider)).invoke("Where is Oslo?")
    everything = "".join(span.to_json() for span in spans.all())
    assert not [text for text in ("Where is Oslo?", TEXT) if text in everything]
    assert tokens(spans.one) == TOKENS
