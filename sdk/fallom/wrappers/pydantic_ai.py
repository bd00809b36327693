"""Pydantic AI: an agent, traced by the framework's own instrumentation, with the session's tracer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, Tracer, use_span
from pydantic_ai.models.instrumented import InstrumentationSettings

from fallom import tracing
from fallom.context import SessionContext, use_session


def wrap_pydantic_agent(agent: Any, session: SessionContext) -> Any:
    """Return a copy of an agent whose runs are traced. One that is instrumented in a way of its own stays so."""
    settings = InstrumentationSettings(include_content=tracing.capture_content(), include_binary_content=False)
    settings.tracer = SessionTracer(session)
    wrapped = copy.copy(agent)
    wrapped.instrument = settings
    return wrapped


class SessionTracer(Tracer):
    """A tracer whose spans are one session's, whichever is the current one; before ``init`` it does nothing."""

    def __init__(self, session: SessionContext) -> None:
        self._session = session

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        """Start a span of the session."""
        with use_session(self._session):
            return tracing.tracer().start_span(*args, **kwargs)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # OpenTelemetry's own decorator does the same
        self,
        name: str,
        *args: Any,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
        **kwargs: Any,
    ) -> Iterator[Span]:
        """Start a span of the session, and make it the current one within a block."""
        span = self.start_span(name, *args, **kwargs)
        with use_session(self._session), use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span
