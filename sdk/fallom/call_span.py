"""The span of one call to a model: from the request, over the first content of a stream, to the usage or the error.

A call is begun before the request is sent, is the current span while it is sent (a context manager), and ends once:
with ``finish`` or ``fail``. None of it raises, whatever goes wrong within.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import NoOpTracer, SpanKind, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from fallom import tracing
from fallom.context import SessionContext, current_session, use_session
from fallom.guard import guarded
from fallom.span_processor import WITHIN_CALL, is_model_call

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

Attributes = dict[str, Any]

ERROR_TYPE = "error.type"
MESSAGE_CHARS_MAX = 2_000


class CallSpan:
    """One call's span, and whether it may say what the content was."""

    __slots__ = (
        "_awaits_answer",
        "_context",
        "_ended",
        "_first_content_ns",
        "_is_model_call",
        "_left",
        "_session",
        "_span",
        "_start_ns",
        "captures",
    )

    def __init__(
        self, span: Span, session: SessionContext | None, *, start_ns: int, captures: bool, is_model_call: bool = False
    ) -> None:
        self._span = span
        self._is_model_call = is_model_call
        self._awaits_answer = True
        self._session = session
        self._start_ns = start_ns
        self._first_content_ns: int | None = None
        self._ended = False
        self._left: Any = None
        self._context: Token[Context] | None = None
        self.captures = captures

    def __enter__(self) -> CallSpan:
        """Make the span, and its session, those of what is done within: other instrumentation nests under it."""
        self._enter()
        return self

    def __exit__(self, _type: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        """Make what was current before current again; an error ends the span."""
        self._leave()
        if error is not None:
            self.fail(error)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Make the span, and its session, those of what is done within, whatever comes of it."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @guarded
    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes; those that are None are left out."""
        self._span.set_attributes(known(attributes))

    @guarded
    def first_content(self) -> None:
        """Take this moment for the first content's, unless one came before."""
        if self._first_content_ns is None:
            self._first_content_ns = time.perf_counter_ns()
            elapsed_s = (self._first_content_ns - self._start_ns) / 1e9
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", elapsed_s)

    @guarded
    def finish(self, attributes: Mapping[str, Any] | None = None, *, end_unix_nano: int | None = None) -> None:
        """End the span with what the answer says; with an ``error.type`` among it the call failed."""
        if self._ended:
            return
        self._ended = True
        try:
            if attributes:
                self._span.set_attributes(known(attributes))
                if attributes.get(ERROR_TYPE) is not None:
                    self._span.set_status(Status(StatusCode.ERROR))
        finally:
            self._span.end(end_unix_nano)

    @guarded
    def fail(self, error: BaseException, attributes: Mapping[str, Any] | None = None) -> None:
        """End the span with an error; its message, which may quote the prompt, only where content is captured."""
        if self._ended:
            return
        self._ended = True
        try:
            self._span.set_attributes({**known(attributes or {}), ERROR_TYPE: error_type(error)})
            message = str(error)[:MESSAGE_CHARS_MAX] if self.captures else None
            self._span.set_status(Status(StatusCode.ERROR, message))
        finally:
            self._span.end()

    @property
    def is_ended(self) -> bool:
        """Whether the span has ended."""
        return self._ended

    @property
    def awaits_answer(self) -> bool:
        """Whether nothing of an answer has come: what another library traces now is this same call."""
        return self._awaits_answer and not self._ended and self._first_content_ns is None

    @property
    def has_content(self) -> bool:
        """Whether content of the answer has come."""
        return self._first_content_ns is not None

    def answer_begins(self) -> None:
        """Take note that something of an answer has come, be it without content."""
        self._awaits_answer = False

    @property
    def context(self) -> Context:
        """OpenTelemetry's context with this span as the current one: for those to begin within it."""
        return set_span_in_context(self._span)

    @guarded
    def cover(self) -> None:
        """Keep what others trace of this call, from here on, from being sent beside it."""
        # The value is left in the context: it says nothing any more once an answer comes.
        otel_context.attach(otel_context.set_value(WITHIN_CALL, self))

    @guarded
    def _enter(self) -> None:
        session = use_session(self._session) if self._session is not None else None
        if session is not None:
            session.__enter__()
            self._left = session
        context = set_span_in_context(self._span)
        if self._is_model_call:
            # What others trace of this same call is not sent beside it.
            context = otel_context.set_value(WITHIN_CALL, self, context)
        self._context = otel_context.attach(context)

    @guarded
    def _leave(self) -> None:
        token, self._context = self._context, None
        session, self._left = self._left, None
        try:
            if token is not None:
                otel_context.detach(token)
        finally:
            if session is not None:
                session.__exit__(None, None, None)


def begin_call(
    session: SessionContext | None,
    operation: str,
    model: str | None,
    read_request: Callable[[bool], Mapping[str, Any]],
    *,
    parent: Context | None = None,
) -> CallSpan | None:
    """Return the span of a call to a model that begins now; None where nothing is recorded.

    ``read_request`` returns the request's attributes, given whether content may be among them. What it can't read is
    left out: the call is traced without it.
    """
    attributes: Attributes = {"gen_ai.operation.name": operation}
    if model is not None:
        attributes["gen_ai.request.model"] = model
    name = f"{operation} {model}" if model else operation
    return begin_span(session, name, attributes, read_request, parent=parent)


@guarded
def begin_span(
    session: SessionContext | None,
    name: str,
    attributes: Attributes,
    read_more: Callable[[bool], Mapping[str, Any]],
    *,
    kind: SpanKind = SpanKind.CLIENT,
    parent: Context | None = None,
) -> CallSpan | None:
    """Return a span of the session that begins now; None where nothing is recorded."""
    tracer = tracing.tracer()
    if isinstance(tracer, NoOpTracer):
        return None
    captures = tracing.capture_content()
    # Before the span begins: what it takes to read the request is no part of the call.
    described = _described(read_more, captures)
    of_model = is_model_call(attributes)
    with use_session(session if session is not None else current_session()):
        start_ns = time.perf_counter_ns()
        all_attributes = attributes if described is None else {**attributes, **known(described)}
        span = tracer.start_span(name, context=parent, kind=kind, attributes=all_attributes)
    if not span.is_recording():
        return None
    return CallSpan(span, session, start_ns=start_ns, captures=captures, is_model_call=of_model)


@guarded
def _described(read_more: Callable[[bool], Mapping[str, Any]], captures: bool) -> Mapping[str, Any]:
    return read_more(captures)


def known(attributes: Mapping[str, Any]) -> Attributes:
    """Return the attributes that have a value.

    >>> known({"gen_ai.usage.input_tokens": 3, "gen_ai.response.id": None})
    {'gen_ai.usage.input_tokens': 3}
    """
    return {key: value for key, value in attributes.items() if value is not None}


def error_type(error: BaseException) -> str:
    """Return what an error is called: the name of its class.

    >>> error_type(TimeoutError())
    'TimeoutError'
    """
    return type(error).__qualname__
