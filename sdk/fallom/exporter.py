"""``FallomExporter``: a span exporter for frameworks that bring an OpenTelemetry provider of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from fallom.context import SessionContext
from fallom.losses import Losses
from fallom.redaction import Redact, Redaction
from fallom.settings import read_settings
from fallom.span_processor import session_attributes
from fallom.span_queue import CONTENT_TYPE, encoded
from fallom.transport import Transport, TransportError, backoff_s

logger = logging.getLogger("fallom")

ATTEMPTS_MAX = 3

__all__ = ["FallomExporter"]


class _HasContext(Protocol):
    def get_context(self) -> SessionContext: ...


class FallomExporter(SpanExporter):
    """Sends finished spans to the server, and tries a few times.

    ``session`` is the session of spans that have none: a context, what ``session(...)`` returns, or a mapping with
    ``config_key`` and ``session_id``. Use it within a BatchSpanProcessor. Where ``fallom.init`` runs in the same
    process, spans of its own provider are sent already.

    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import BatchSpanProcessor
    >>> session = SessionContext("my-agent", "session-1")
    >>> exporter = FallomExporter(api_key="key", base_url="http://localhost:4318", session=session)
    >>> TracerProvider().add_span_processor(BatchSpanProcessor(exporter))
    """

    def __init__(
        self,
        *,
        session: SessionContext | _HasContext | Mapping[str, Any] | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
    ) -> None:
        settings = read_settings(api_key=api_key, traces_url=base_url, capture_content=capture_content, redact=redact)
        for problem in settings.problems:
            logger.warning("FallomExporter: %s", problem)
        self._url = f"{settings.traces_url}/v1/traces"
        self._transport: Transport | None = None
        if settings.api_key is not None and settings.traces_url is not None:
            self._transport = Transport(settings.api_key)
        attributes = session_attributes(as_context(session)) if session is not None else {}
        self._redaction = Redaction(capture_content=settings.capture_content, redact=redact, session=attributes)
        self._losses = Losses()
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; return whether it was taken. It never raises."""
        if self._transport is None or not spans:
            return SpanExportResult.FAILURE if spans else SpanExportResult.SUCCESS
        try:
            body = encoded([self._redaction(span) for span in spans])
            with self._lock:
                problem = self._sent(self._transport, body)
        except Exception as error:
            problem = f"{type(error).__name__}"
        if problem is None:
            return SpanExportResult.SUCCESS
        self._losses.count("spans", problem, len(spans))
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
            self._transport = None

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the signature is OpenTelemetry's
        """Return True: nothing is kept here."""
        return True

    def _sent(self, transport: Transport, body: bytes) -> str | None:
        """Return why the body was not taken, after some attempts."""
        problem = None
        for attempt in range(1, ATTEMPTS_MAX + 1):
            if attempt > 1:
                time.sleep(backoff_s(attempt - 1))
            try:
                answer = transport.post(self._url, body, CONTENT_TYPE)
            except TransportError as error:
                problem = str(error)
                continue
            if answer.is_success:
                return None
            problem = f"the server answered {answer.status}"
            if not answer.is_retryable:
                break
        return problem


def as_context(session: SessionContext | _HasContext | Mapping[str, Any]) -> SessionContext:
    """Return the context of whatever names a session. Raises TypeError for what does not.

    >>> as_context({"config_key": "my-agent", "session_id": "session-1"}).session_id
    'session-1'
    """
    if isinstance(session, SessionContext):
        return session
    if isinstance(session, Mapping):
        return SessionContext(**session)
    return session.get_context()
