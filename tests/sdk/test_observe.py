"""fallom.observe and session.observe: a span of each call, and the function as it was."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import fallom
from fallom.observed_value import to_json


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    fallom.init("key", base_url="http://127.0.0.1:9", tracer_provider=provider, cache_dir=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    fallom.shutdown(0)


def one(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def of(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def is_current() -> bool:
    """Whether the code that runs now is within a span."""
    return trace.get_current_span().get_span_context().is_valid


def test_a_call_is_a_span_of_the_session_with_what_was_given_and_came(exporter: InMemorySpanExporter) -> None:
    @fallom.session("my-agent", "session-1", "user-1").observe(kind="retrieval")
    def look_up(question: str, *, limit: int = 3) -> list[str]:
        assert is_current()
        return [question] * limit

    assert look_up("why?", limit=2) == ["why?", "why?"]
    assert not is_current()
    span = one(exporter)
    assert span.name == "look_up"
    assert of(span)["fallom.session_id"] == "session-1"
    assert of(span)["fallom.kind"] == "retrieval"
    assert json.loads(of(span)["input.value"]) == {"question": "why?", "limit": 2}
    assert json.loads(of(span)["output.value"]) == ["why?", "why?"]


def test_a_function_of_no_session_is_of_the_one_that_is_current(exporter: InMemorySpanExporter) -> None:
    @fallom.observe
    def answer() -> None: ...

    from fallom.context import use_session

    with use_session(fallom.SessionContext("other", "session-2")):
        answer()
    assert of(one(exporter))["fallom.config_key"] == "other"


def test_a_function_keeps_its_name_its_signature_and_its_kind() -> None:
    @fallom.observe
    def plain(a: int) -> int:
        """Say it."""
        return a

    @fallom.observe
    async def coroutine() -> None: ...

    @fallom.observe
    def generator() -> Iterator[int]:
        yield 1

    @fallom.observe
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    assert plain.__name__ == "plain"
    assert plain.__doc__ == "Say it."
    assert str(inspect.signature(plain)) == "(a: 'int') -> 'int'"
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)


def test_a_method_tells_its_arguments_without_its_object(exporter: InMemorySpanExporter) -> None:
    class Agent:
        @fallom.observe
        def ask(self, question: str) -> str:
            return question

    assert Agent().ask("why?") == "why?"
    assert json.loads(of(one(exporter))["input.value"]) == {"question": "why?"}


def test_an_error_is_the_functions_and_ends_the_span(exporter: InMemorySpanExporter) -> None:
    @fallom.observe
    def fails() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        fails()
    assert of(one(exporter))["error.type"] == "KeyError"
    assert one(exporter).status.status_code is StatusCode.ERROR


def test_spans_nest_across_kinds(exporter: InMemorySpanExporter) -> None:
    @fallom.observe(name="inner", kind="tool")
    def inner(number: int) -> int:
        return number

    @fallom.observe
    async def outer() -> int:
        await asyncio.sleep(0)
        return inner(3)

    assert asyncio.run(outer()) == 3
    inner_span, outer_span = exporter.get_finished_spans()
    assert inner_span.parent is not None
    assert outer_span.context is not None
    assert inner_span.parent.span_id == outer_span.context.span_id
    assert of(inner_span)["gen_ai.tool.name"] == "inner"


def test_a_generator_is_sent_to_thrown_into_and_returns_as_before(exporter: InMemorySpanExporter) -> None:
    @fallom.observe
    def echoes() -> Any:
        assert is_current()
        sent = yield "first"
        try:
            yield sent
        except ValueError:
            yield "caught"
        return "done"

    generator = echoes()
    assert next(generator) == "first"
    assert not is_current()
    assert generator.send("second") == "second"
    assert generator.throw(ValueError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "done"
    assert json.loads(of(one(exporter))["output.value"]) == ["first", "second", "caught"]


def test_a_generator_that_is_left_is_closed_and_no_error(exporter: InMemorySpanExporter) -> None:
    closed = []

    @fallom.observe
    def numbers() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(is_current())

    for _ in numbers():
        break
    assert closed == [True]
    assert one(exporter).status.status_code is StatusCode.UNSET
    assert json.loads(of(one(exporter))["output.value"]) == [0]


def test_an_async_generator_works_as_before_whole_left_and_failing(exporter: InMemorySpanExporter) -> None:
    closed = []

    @fallom.observe
    async def numbers(limit: int) -> Any:
        try:
            for number in range(limit):
                assert is_current()
                sent = yield number
                if sent:
                    raise sent
        finally:
            closed.append(limit)

    async def read() -> None:
        assert [number async for number in numbers(3)] == [0, 1, 2]
        left = numbers(4)
        assert await left.__anext__() == 0
        await left.aclose()
        failing = numbers(5)
        await failing.__anext__()
        with pytest.raises(LookupError):
            await failing.asend(LookupError())

    asyncio.run(read())
    assert closed == [3, 4, 5]
    whole, left, failed = exporter.get_finished_spans()
    assert json.loads(of(whole)["output.value"]) == [0, 1, 2]
    assert left.status.status_code is StatusCode.UNSET
    assert of(failed)["error.type"] == "LookupError"


def test_before_init_every_kind_works() -> None:
    @fallom.observe
    def plain() -> int:
        return 1

    @fallom.observe
    def generator() -> Iterator[int]:
        yield from (1, 2)

    @fallom.observe
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    async def read() -> list[int]:
        return [number async for number in async_generator()]

    assert plain() == 1
    assert list(generator()) == [1, 2]
    assert asyncio.run(read()) == [1]


@pytest.mark.parametrize("name", ["set_attributes", "end", "__init__"])
def test_a_fault_of_ours_is_not_the_functions(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(name)

    @fallom.observe
    def plain() -> int:
        return 1

    @fallom.observe
    def generator() -> Iterator[int]:
        yield from (1, 2)

    monkeypatch.setattr(Span, name, fails)
    assert plain() == 1
    assert list(generator()) == [1, 2]


def test_without_content_nothing_given_or_returned_is_told() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    fallom.init("key", base_url="http://127.0.0.1:9", tracer_provider=provider, cache_dir=False, capture_content=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    @fallom.observe
    def answer(question: str) -> str:
        return f"to {question}"

    answer("a secret")
    fallom.shutdown(0)
    assert "secret" not in one(exporter).to_json()


@dataclass
class Point:
    x: int
    far: float


def test_values_are_told_within_limits() -> None:
    class Secretive:
        def __repr__(self) -> str:
            raise AssertionError("nobody is to ask")

    value = {"point": Point(1, float("inf")), "secret": Secretive(), "bytes": b"123", "half": "\ud83d", 5: {1}}
    assert json.loads(to_json(value)) == {
        "point": {"x": 1, "far": "inf"},
        "secret": f"<{Secretive.__qualname__}>",
        "bytes": "<3 bytes>",
        "half": "?",
        "5": [1],
    }
    around: list[Any] = []
    around.append(around)
    assert len(to_json(around)) < 100
    assert len(to_json("x" * 10_000_000)) < 200_000
    assert len(to_json([["x" * 100_000] * 1_000] * 2)) < 1_100_000
