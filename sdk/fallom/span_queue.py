"""Spans that ended, on their way to ``/v1/traces``: bounded in number and bytes, sent in batches by a thread.

The caller's thread filters, redacts, and appends; the worker encodes, compresses, sends, and tries again. What can't be
delivered is counted, never raised.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fallom.delivery import Delivery
from fallom.losses import Losses
from fallom.redaction import Redaction
from fallom.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

BATCH_SPANS_MAX = 512
BATCH_BYTES_MAX = 4 * 1024 * 1024
QUEUE_BYTES_MAX = 64 * 1024 * 1024
SEND_INTERVAL_S = 1.0
CONTENT_TYPE = "application/x-protobuf"
_SPAN_BYTES = 1024


class SpanQueue:
    """Takes spans from any thread, and delivers them by one of its own."""

    def __init__(
        self,
        make_delivery: Callable[[Callable[[], bool]], Delivery],
        losses: Losses,
        *,
        max_queue_size: int,
        redaction: Redaction | None = None,
        span_filter: Callable[[ReadableSpan], bool] | None = None,
    ) -> None:
        self.worker = Worker("fallom-spans", self.deliver)
        self._delivery = make_delivery(self.worker.is_flushing)
        self._losses = losses
        self._spans_max = max_queue_size
        self._redaction = redaction
        self._filter = span_filter
        self._queue: deque[tuple[ReadableSpan, int]] = deque()
        self._lock = threading.Lock()
        self._bytes = 0

    def put(self, span: ReadableSpan) -> None:
        """Take one span; drop and count it where there is no room, or the host's hooks fail on it."""
        try:
            if self._filter is not None and not self._filter(span):
                return
            span = self._redaction(span) if self._redaction is not None else span
            size_bytes = estimated_bytes(span)
        except Exception as error:
            # Not sent: what was to be redacted must not go out as it was.
            self._losses.count("spans", f"the redact or span_filter hook raised {type(error).__name__}")
            return
        with self._lock:
            if len(self._queue) >= self._spans_max or self._bytes + size_bytes > QUEUE_BYTES_MAX:
                is_full = True
            else:
                is_full = False
                self._queue.append((span, size_bytes))
                self._bytes += size_bytes
            waiting = len(self._queue)
        if is_full:
            self._losses.count("spans", "the queue was full")
        elif waiting == min(BATCH_SPANS_MAX, self._spans_max):
            self.worker.wake()

    def flush(self, timeout_s: float) -> bool:
        """Return whether all spans that were taken are delivered within the time."""
        return self.worker.flush(lambda: len(self) == 0, timeout_s)

    def __len__(self) -> int:
        return len(self._queue) + self._delivery.waiting

    def close(self) -> None:
        """Count what is left as lost, or keep it in the spool."""
        while batch := self._take():
            self._delivery.give_up(encoded(batch), len(batch))
        self._delivery.close()

    def deliver(self) -> float:
        """Send batch by batch until nothing is left, or one can't be sent now; return when to come again."""
        while True:
            pause_s = self._delivery.send_waiting()
            if pause_s is not None:
                return pause_s
            batch = self._take()
            if not batch:
                return SEND_INTERVAL_S
            try:
                body = encoded(batch)
            except Exception as error:
                self._losses.count("spans", f"could not be encoded: {type(error).__name__}", len(batch))
                continue
            self._delivery.accept(body, len(batch), time.monotonic())

    def _take(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        size_bytes = 0
        with self._lock:
            while self._queue and len(batch) < BATCH_SPANS_MAX and (size_bytes < BATCH_BYTES_MAX or not batch):
                span, span_bytes = self._queue.popleft()
                size_bytes += span_bytes
                batch.append(span)
            self._bytes -= size_bytes
        return batch


def estimated_bytes(span: ReadableSpan) -> int:
    """Return about what a span takes in memory: mostly its texts."""
    size_bytes = _SPAN_BYTES
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for value in (attributes or {}).values():
            if isinstance(value, str | bytes):
                size_bytes += len(value)
            elif isinstance(value, Sequence):
                size_bytes += 64 * len(value) + sum(len(each) for each in value if isinstance(each, str | bytes))
    return size_bytes


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the body of an OTLP request with these spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    return bytes(encode_spans(spans).SerializeToString())
