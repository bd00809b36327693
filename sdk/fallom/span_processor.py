"""The OpenTelemetry span processor: stamps each span with its session at its start, and hands it on at its end.

One processor stands in a provider for good, since a provider gives none back; what it hands spans to can be changed,
so that ``shutdown`` and another ``init`` neither lose spans nor send them twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import trace
from opentelemetry.context import get_value
from opentelemetry.sdk.trace import SpanProcessor

from fallom.context import SessionContext, current_session, peek_prompt_tag, take_prompt_tag
from fallom.redaction import SESSION_ID

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

logger = logging.getLogger("fallom")

_SESSION_KEYS = ("fallom.config_key", SESSION_ID, "fallom.customer_id", "fallom.metadata", "fallom.tags")
WITHIN_CALL = "fallom-within-call"
"""In OpenTelemetry's context: the call to a model that goes on, if one is traced by a wrapped client."""
_IS_REPEAT = "fallom.is_repeat"
_CALL_PREFIXES = ("gen_ai.", "llm.", "openinference.", "traceloop.", "ai.")
# Spans around calls: the prompt is that of the call within.
_AROUND_OPERATIONS = frozenset(
    {"create_agent", "invoke_agent", "invoke_workflow", "execute_tool", "retrieval", "embeddings"}
)


class SpanTarget(Protocol):
    """Takes spans that ended."""

    def put(self, span: ReadableSpan) -> None:
        """Take one; never block, never raise."""

    def flush(self, timeout_s: float) -> bool:
        """Return whether all that was taken has been delivered within the time."""


class FallomSpanProcessor(SpanProcessor):
    """Stamps ``fallom.*`` on spans, and hands those that ended to its target, if it has one."""

    def __init__(self) -> None:
        self.target: SpanTarget | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Give the span its session, unless it has one, and the prompt if it is a call to a model."""
        if self.target is None:
            return
        try:
            self._stamp(span, parent_context)
        except Exception as error:
            # Metadata that is no JSON, say: the host's call goes on.
            logger.debug("a span could not be stamped: %s: %s", type(error).__name__, error)

    def _stamp(self, span: Span, parent_context: Context | None) -> None:
        attributes = span.attributes or {}
        stamp: dict[str, Any] = {}
        if SESSION_ID not in attributes:
            session = current_session()
            stamp.update(session_attributes(session) if session is not None else _of_parent(parent_context))
        if peek_prompt_tag() is not None and is_model_call(attributes):
            stamp.update(prompt_attributes())
        if is_model_call(attributes) and getattr(get_value(WITHIN_CALL, parent_context), "awaits_answer", False):
            stamp[_IS_REPEAT] = True
        if stamp:
            span.set_attributes(stamp)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand the span on, if it is sampled, and no repeat of a wrapped client's: only others get that."""
        target = self.target
        if _IS_REPEAT in (span.attributes or {}):
            return
        if target is not None and span.context is not None and span.context.trace_flags.sampled:
            target.put(span)

    def shutdown(self) -> None:
        """Deliver what there is; the SDK's own ``shutdown`` ends the rest."""
        self.force_flush(5_000)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return whether what ended before is delivered."""
        target = self.target
        return target is None or target.flush(timeout_millis / 1000)


def session_attributes(session: SessionContext) -> dict[str, Any]:
    """Return the attributes by which the server knows whose a span is.

    >>> session_attributes(SessionContext("my-agent", "session-1"))
    {'fallom.config_key': 'my-agent', 'fallom.session_id': 'session-1'}
    """
    attributes: dict[str, Any] = {"fallom.config_key": session.config_key, SESSION_ID: session.session_id}
    if session.customer_id is not None:
        attributes["fallom.customer_id"] = session.customer_id
    if session.metadata:
        attributes["fallom.metadata"] = json.dumps(session.metadata, default=str)
    if session.tags:
        attributes["fallom.tags"] = tuple(map(str, session.tags))
    return attributes


def prompt_attributes() -> dict[str, Any]:
    """Take the mark of the prompt that the next call is made with, and return its attributes; none if there is none."""
    tag = take_prompt_tag()
    if tag is None:
        return {}
    attributes: dict[str, Any] = {"fallom.prompt_key": tag.prompt_key, "fallom.prompt_version": tag.prompt_version}
    if tag.ab_test_key is not None and tag.variant_index is not None:
        attributes["fallom.prompt_ab_test"] = tag.ab_test_key
        attributes["fallom.prompt_variant"] = tag.variant_index
    return attributes


def is_model_call(attributes: Mapping[str, Any]) -> bool:
    """Return whether a span says at its start that it is one call to a model, in any library's words."""
    if attributes.get("gen_ai.operation.name") in _AROUND_OPERATIONS:
        return False
    if attributes.get("openinference.span.kind", "LLM") != "LLM" or "traceloop.span.kind" in attributes:
        return False
    return is_of_an_llm_application(attributes)


def is_of_an_llm_application(attributes: Mapping[str, Any]) -> bool:
    """Return whether a span is a call to a model, or of an agent, a tool or a chain around it."""
    return any(key.startswith(_CALL_PREFIXES) for key in attributes)


def _of_parent(parent_context: Context | None) -> dict[str, Any]:
    """Return the session's attributes of the span above: in a thread that got only OpenTelemetry's context."""
    attributes = getattr(trace.get_current_span(parent_context), "attributes", None) or {}
    return {key: attributes[key] for key in _SESSION_KEYS if key in attributes}
