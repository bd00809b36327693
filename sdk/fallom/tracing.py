"""The tracer that instrumentation uses, and the OpenTelemetry provider behind it.

A provider that the application has made is joined: it gets one more processor. Else one is made and becomes the global
one. OpenTelemetry is imported when tracing begins, not with ``fallom``.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fallom import runtime
from fallom.delivery import Delivery
from fallom.losses import Losses
from fallom.settings import Settings
from fallom.transport import Transport
from fallom.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer, TracerProvider

    from fallom.delivery import Keeper
    from fallom.span_processor import FallomSpanProcessor
    from fallom.span_queue import SpanQueue

logger = logging.getLogger("fallom")

# Not "fallom" alone: that scope is the published clients', which count Anthropic's cached tokens beside the input.
SCOPE = "fallom.sdk"
_install_lock = threading.Lock()
_processors: weakref.WeakKeyDictionary[Any, FallomSpanProcessor] = weakref.WeakKeyDictionary()


def tracer() -> Tracer:
    """Return the tracer for calls to models; one that does nothing while the SDK is inert, or not begun.

    >>> tracer().start_span("chat gpt-4o").is_recording()
    False
    """
    tracing = runtime.current().tracing
    if tracing is None:
        from opentelemetry.trace import NoOpTracer

        return NoOpTracer()
    return tracing.tracer


def capture_content() -> bool:
    """Return whether what is said to models and by them may be recorded."""
    return runtime.current().settings.capture_content


class Tracing:
    """The processor in a provider, and the queue that it fills."""

    def __init__(self, provider: TracerProvider, processor: FallomSpanProcessor, spans: SpanQueue) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(SCOPE, __version__)
        self.spans = spans
        self._processor = processor
        processor.target = spans

    def close(self) -> None:
        """Take no more spans, and give up those that are left."""
        if self._processor.target is self.spans:
            self._processor.target = None
        self.spans.close()


def start_tracing(settings: Settings, losses: Losses, spool: Keeper | None = None) -> Tracing | None:
    """Join or make a provider, and begin to take its spans; None where there is no place to send them to."""
    if settings.api_key is None or settings.traces_url is None:
        return None
    from fallom.redaction import Redaction
    from fallom.span_queue import CONTENT_TYPE, SpanQueue

    provider, is_ours = _provider(settings)
    processor = _installed(provider)
    if processor is None:
        logger.warning(
            "the tracer provider is a %s, which takes no span processors: no spans are sent; "
            "pass an opentelemetry.sdk.trace.TracerProvider as fallom.init(tracer_provider=...)",
            type(provider).__name__,
        )
        return None
    needs_redaction = settings.redact is not None or not settings.capture_content
    transport, url = Transport(settings.api_key), f"{settings.traces_url}/v1/traces"

    def delivery(is_urgent: Callable[[], bool]) -> Delivery:
        return Delivery(transport, url, "spans", losses, content_type=CONTENT_TYPE, spool=spool, is_urgent=is_urgent)

    spans = SpanQueue(
        delivery,
        losses,
        max_queue_size=settings.max_queue_size,
        redaction=Redaction(capture_content=settings.capture_content, redact=settings.redact)
        if needs_redaction
        else None,
        span_filter=settings.span_filter or (None if is_ours else _default_filter()),
    )
    return Tracing(provider, processor, spans)


def _provider(settings: Settings) -> tuple[Any, bool]:
    """Return the provider, and whether it is our own: then all of its spans are meant for the server."""
    from opentelemetry import trace

    if settings.tracer_provider is not None:
        return settings.tracer_provider, False
    found: Any = trace.get_tracer_provider()
    if isinstance(found, trace.ProxyTracerProvider):
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({"service.name": settings.service_name} if settings.service_name else None)
        # Ended by our own handler at exit: OpenTelemetry's waits without a bound.
        made = TracerProvider(resource=resource, shutdown_on_exit=False)
        trace.set_tracer_provider(made)
        _own.add(made)
        found = trace.get_tracer_provider()
    return found, found in _own


_own: weakref.WeakSet[Any] = weakref.WeakSet()


def forget_lock() -> None:
    """Make a new lock in a child: another thread of the parent may have held the old one."""
    global _install_lock
    _install_lock = threading.Lock()


def _installed(provider: Any) -> FallomSpanProcessor | None:
    """Return the one processor that the provider has of us; None if it takes none."""
    from fallom.span_processor import FallomSpanProcessor

    with _install_lock:
        if (processor := _processors.get(provider)) is None:
            add = getattr(provider, "add_span_processor", None)
            if add is None:
                return None
            processor = FallomSpanProcessor()
            add(processor)
            _processors[provider] = processor
    return processor


def _default_filter() -> Callable[[ReadableSpan], bool]:
    """Return the filter for an application's provider: its database and its web server are not our business."""
    from fallom.redaction import SESSION_ID
    from fallom.span_processor import is_of_an_llm_application

    def is_ours(span: ReadableSpan) -> bool:
        attributes = span.attributes or {}
        scope = span.instrumentation_scope
        return (
            SESSION_ID in attributes
            or (scope is not None and scope.name == SCOPE)
            or is_of_an_llm_application(attributes)
        )

    return is_ours
