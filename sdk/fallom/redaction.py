"""What leaves a span before it is queued: content where capture is off, and what the host's own hook changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fallom.content import is_content_event, is_content_key

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan

SESSION_ID = "fallom.session_id"
# An error's text may quote what was said to the model.
_EXCEPTION_TEXTS = frozenset({"exception.message", "exception.stacktrace"})

Redact = Callable[[str, Any], Any]


class Redaction:
    """Returns spans as they may be sent; the application's own span stays as it is for its other exporters.

    ``redact`` gets the key and the value of each attribute, of the span's events too, and returns what is sent in its
    place, None for nothing. It also gets the status' description, as ``status.description``.
    """

    def __init__(
        self, *, capture_content: bool, redact: Redact | None, session: Mapping[str, Any] | None = None
    ) -> None:
        """Make one; ``session`` are the attributes of a session, for spans that have none."""
        self._session = session or {}
        self._capture_content = capture_content
        self._redact = redact

    def __call__(self, span: ReadableSpan) -> ReadableSpan:
        """Return the span without what must not be sent. Raises what the hook raises."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Status

        attributes = span.attributes or {}
        if self._session and SESSION_ID not in attributes:
            attributes = {**self._session, **attributes}
        description = span.status.description
        status = span.status
        if description is not None:
            kept = self.attributes({"status.description": description}).get("status.description")
            text = str(kept) if kept is not None and self._capture_content else None
            status = Status(status.status_code, text if status.status_code.value == _ERROR else None)
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self.attributes(attributes),
            events=tuple(self._event(event) for event in span.events),
            links=span.links,
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def attributes(self, attributes: Mapping[str, Any], *, all_content: bool = False) -> dict[str, Any]:
        """Return the attributes as they may be sent; of an event that is a message all are content."""
        kept: dict[str, Any] = {}
        for key, value in attributes.items():
            if not self._capture_content and (all_content or key in _EXCEPTION_TEXTS or is_content_key(key)):
                continue
            changed = value if self._redact is None else self._redact(key, value)
            if changed is not None:
                kept[key] = _sendable(changed)
        return kept

    def _event(self, event: Event) -> Event:
        from opentelemetry.sdk.trace import Event

        attributes = self.attributes(event.attributes or {}, all_content=is_content_event(event.name))
        return Event(event.name, attributes, event.timestamp)


_ERROR = 2


def _sendable(value: Any) -> Any:
    """Return a value that OTLP has a type for: the hook may return any."""
    if isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, Sequence):
        return [_sendable(each) for each in value]
    return str(value)
