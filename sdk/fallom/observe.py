"""The decorator that makes a span of each call of a function: sync, async, generators of both kinds.

    @fallom.observe
    def answer(question): ...

The function keeps its name, its signature and its kind. While it runs, its span is the current one; while a generator
waits for who reads it, not. What it was given, and what it returns or yields, is recorded where content is captured.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, ParamSpec, TypeVar, overload

from opentelemetry.trace import SpanKind

from fallom.call_span import CallSpan, begin_span
from fallom.context import SessionContext, current_session
from fallom.guard import guarded
from fallom.observed_value import ITEMS_MAX, to_json

P = ParamSpec("P")
R = TypeVar("R")


@overload
def observe(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def observe(*, name: str | None = None, kind: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def observe(function: Any = None, /, *, name: str | None = None, kind: str | None = None) -> Any:
    """Decorate a function: each call of it is a span of the session that is current when it is called.

    ``name`` is the span's, ``kind`` what the function does: ``tool``, ``retrieval``, ``agent``, ``chain``, or by
    default ``custom``.

    >>> @observe(kind="tool")
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> add(1, b=2)
    3
    """

    def decorated(inner: Callable[P, R]) -> Callable[P, R]:
        return decorate(inner, None, name=name, kind=kind)

    return decorated if function is None else decorated(function)


def decorate(
    function: Callable[P, R], session: SessionContext | None, *, name: str | None = None, kind: str | None = None
) -> Callable[P, R]:
    """Return the function so that each call of it is a span of the session, or of the one that is current then."""
    observed = _Observed(function, session, name, kind or "custom")
    wrapper: Any
    if inspect.isasyncgenfunction(function):
        wrapper = _async_generator_function(function, observed)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator_function(function, observed)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine_function(function, observed)
    else:
        wrapper = _function(function, observed)
    wrapped: Callable[P, R] = functools.wraps(function)(wrapper)
    return wrapped


def _function(function: Callable[..., Any], observed: _Observed) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        span = observed.begin(args, kwargs)
        if span is None:
            return function(*args, **kwargs)
        with span:
            result = function(*args, **kwargs)
        observed.finish(span, result)
        return result

    return call


def _coroutine_function(function: Callable[..., Any], observed: _Observed) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        span = observed.begin(args, kwargs)
        if span is None:
            return await function(*args, **kwargs)
        with span:
            result = await function(*args, **kwargs)
        observed.finish(span, result)
        return result

    return call


def _generator_function(function: Callable[..., Any], observed: _Observed) -> Any:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        span = observed.begin(args, kwargs)
        if span is None:
            return (yield from generator)
        resume, given = generator.send, None
        items: list[Any] = []
        while True:
            try:
                with span.around():
                    item = resume(given)
            except StopIteration as stop:
                observed.finish(span, items or stop.value)
                return stop.value
            except BaseException as error:
                span.fail(error)
                raise
            observed.keep(items, item, span)
            try:
                given, resume = (yield item), generator.send
            except GeneratorExit:
                with span.around():
                    generator.close()
                observed.finish(span, items)
                raise
            except BaseException as error:
                # The generator gets it, and says what comes of it.
                given, resume = error, generator.throw

    return call


def _async_generator_function(function: Callable[..., Any], observed: _Observed) -> Any:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        span = observed.begin(args, kwargs)
        resume, given = generator.asend, None
        items: list[Any] = []
        while True:
            try:
                if span is None:
                    item = await resume(given)
                else:
                    with span.around():
                        item = await resume(given)
            except StopAsyncIteration:
                observed.finish(span, items)
                return
            except BaseException as error:
                if span is not None:
                    span.fail(error)
                raise
            observed.keep(items, item, span)
            try:
                given, resume = (yield item), generator.asend
            except GeneratorExit:
                await generator.aclose()
                observed.finish(span, items)
                raise
            except BaseException as error:
                # The generator gets it, and says what comes of it.
                given, resume = error, generator.athrow

    return call


class _Observed:
    """A function, and what its spans are called."""

    def __init__(
        self, function: Callable[..., Any], session: SessionContext | None, name: str | None, kind: str
    ) -> None:
        self._session = session
        self._name = name or str(getattr(function, "__name__", type(function).__name__))
        self._attributes = {"fallom.kind": kind}
        if kind == "tool":
            self._attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": self._name}
        self._signature: inspect.Signature | None = guarded(inspect.signature)(function)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallSpan | None:
        """Return the span of a call; None where nothing is recorded."""
        session = self._session or current_session()

        def read_arguments(captures: bool) -> dict[str, Any]:
            if not captures or self._signature is None:
                return {}
            arguments = dict(self._signature.bind(*args, **kwargs).arguments)
            for own in ("self", "cls"):
                arguments.pop(own, None)
            return {"input.value": to_json(arguments), "input.mime_type": "application/json"}

        return begin_span(session, self._name, self._attributes, read_arguments, kind=SpanKind.INTERNAL)

    def keep(self, items: list[Any], item: Any, span: CallSpan | None) -> None:
        """Keep what a generator yielded, if that is to be said."""
        if span is not None and span.captures and len(items) < ITEMS_MAX:
            items.append(item)

    def finish(self, span: CallSpan | None, result: Any) -> None:
        """End the span of a call that came to a result."""
        if span is not None:
            span.finish(_result(result) if span.captures else None)


@guarded
def _result(result: Any) -> dict[str, Any]:
    return {} if result is None else {"output.value": to_json(result), "output.mime_type": "application/json"}
