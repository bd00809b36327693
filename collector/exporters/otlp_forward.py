"""The exporter that sends stored spans on to other OTLP endpoints: a queue and a thread a target.

It takes segments of the log as they are sealed, and so after the privacy policy: what was redacted is nowhere in them.
Nothing waits for it: neither an acknowledgement nor, but for a hard link, a commit. Spans arrive at least once; what a
target refuses for good, and what outgrows the queue, is counted by reason and told in the log.
"""

import errno
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.forward.answer import Answer, Outcome, Sender
from collector.forward.grpc import GrpcSender
from collector.forward.http import HttpSender
from collector.forward.queue import ForwardQueue, SealedSegment
from collector.forward.spans import COLUMNS, request_of
from collector.forward.target import ForwardTarget
from schemas.spans import SPANS
from storage.errors import StorageError
from storage.segments import Frame, SegmentReader

logger = logging.getLogger(__name__)

EXPORTER = "otlp_forward"
SPANS_A_REQUEST_MAX = 512
# About, of the rows' texts; gRPC takes 4 MiB where nothing else is set.
REQUEST_BYTES_MAX = 1024 * 1024
RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0
FAILING_S_MAX = 60.0
# What is in the queue is on disk: a stop need not wait for it, but a target that answers may have it now.
DRAIN_S_MAX = 5.0
JOIN_S_MAX = 2.0
REASONS = ("refused", "rejected", "too_large", "unencodable", "damaged", "queue_full")

_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """How forwarding to one target goes; ``dropped`` are spans that it will never get, by reason."""

    exporter: str
    sent: int
    dropped: Mapping[str, int]
    retries: int
    queue_bytes: int
    queue_bytes_max: int
    failing_for_s: float
    last_error: str


class _StoppingError(Exception):
    """The server stops: the rest waits on disk."""


class OtlpForwardExporter:
    """Forwards to one target, in a thread of its own."""

    def __init__(
        self, name: str, target: ForwardTarget, directory: Path, writer_id: str, *, disk_free_bytes_min: int = 0
    ) -> None:
        """Make it over the queue in ``directory``. Raises OSError where that, or the CAs, can't be used."""
        self.exporter = f"{EXPORTER}/{name}"
        self._target = target
        self._dropped: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._queue = ForwardQueue(
            directory,
            writer_id,
            bytes_max=target.queue_bytes_max,
            disk_free_bytes_min=disk_free_bytes_min,
            on_drop=self._count_dropped,
        )
        self._sender: Sender = GrpcSender(target) if target.protocol == "grpc" else HttpSender(target)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stop_at_s = float("inf")
        self._thread: threading.Thread | None = None
        self._sent = self._retries = self._failures_in_a_row = 0
        self._failing_since_s = 0.0
        self._last_error = ""

    def start(self) -> None:
        """Begin to send what waits."""
        self._thread = threading.Thread(target=self._run, name=self.exporter, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what waits while the target takes it, DRAIN_S_MAX at most; the rest waits on disk. Safe twice."""
        self._stop_at_s = time.monotonic() + DRAIN_S_MAX
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(DRAIN_S_MAX)
            # A request that still runs ends; its spans are sent again at the next start.
            self._sender.close()
            self._thread.join(JOIN_S_MAX)
            self._thread = None
        self._sender.close()

    def keep(self, segment: SealedSegment) -> None:
        """Return when a sealed segment of spans will be sent, whatever becomes of it in the log. Raises OSError."""
        self._queue.add(segment)
        self._wake.set()

    def status(self) -> ForwardStatus:
        """Return how it goes."""
        failing = self._failures_in_a_row > 0
        return ForwardStatus(
            exporter=self.exporter,
            sent=self._sent,
            dropped=dict(self._dropped),
            retries=self._retries,
            queue_bytes=self._queue.size_bytes,
            queue_bytes_max=self._queue.bytes_max,
            failing_for_s=time.monotonic() - self._failing_since_s if failing else 0.0,
            last_error=self._last_error if failing else "",
        )

    def warnings(self) -> list[str]:
        """Return what goes wrong: a target that has taken nothing for long."""
        status = self.status()
        if status.failing_for_s <= FAILING_S_MAX:
            return []
        failing = f"has failed for {status.failing_for_s:.0f} s ({status.last_error})"
        return [f"{self.exporter} {failing}; {status.queue_bytes} bytes wait"]

    def _run(self) -> None:
        with suppress(_StoppingError):
            while self._forward_next():
                pass

    def _forward_next(self) -> bool:
        """Forward the oldest segment, or wait for one; return whether to go on. Raises _StoppingError."""
        try:
            segment = self._queue.take()
            if segment is not None:
                self._forward(segment)
                self._queue.done(segment)
                return True
        except OSError as error:
            # A disk that can't be read or written now; what was sent already may be sent again.
            self._failed(Answer(Outcome.RETRY, error.strerror or type(error).__name__))
            return True
        except _StoppingError:
            raise
        except Exception:
            # Without this thread nothing would ever be sent again.
            logger.exception("%s: an error that nobody foresaw", self.exporter)
            self._failed(Answer(Outcome.RETRY, "internal error"))
            return True
        if self._stopping.is_set():
            return False
        self._wake.wait()
        self._wake.clear()
        return True

    def _forward(self, segment: SealedSegment) -> None:
        begin = self._queue.cursor.row if self._queue.cursor.segment == segment.number else 0
        for rows, end in self._requests(segment, begin):
            if rows:
                self._send(rows)
            self._queue.advance(segment, end)

    def _requests(self, segment: SealedSegment, begin: int) -> Iterator[tuple[_Rows, int]]:
        """Yield what is sent at once of a segment's rows from ``begin`` on, and up to which row it goes."""
        table = self._read(segment)
        for start in range(begin, table.num_rows, SPANS_A_REQUEST_MAX):
            part = table.slice(start, SPANS_A_REQUEST_MAX)
            rows: _Rows = []
            size_bytes = 0
            for place, row in enumerate(part.to_pylist(), start):
                if self._target.projects and row["project"] not in self._target.projects:
                    continue
                row_bytes = sum(len(value) for value in row.values() if isinstance(value, str))
                if rows and size_bytes + row_bytes > REQUEST_BYTES_MAX:
                    yield rows, place
                    rows, size_bytes = [], 0
                rows.append(row)
                size_bytes += row_bytes
            yield rows, start + part.num_rows

    def _read(self, segment: SealedSegment) -> pa.Table:
        """Return a segment's rows; damaged ones are counted. Raises OSError where another time may be better."""
        frames: list[Frame] = []
        # Not mapped: a bad place of the disk would end the process.
        reader = SegmentReader(segment.path, SPANS.schema)
        try:
            frames += reader.read(end=segment.size_bytes)
        except StorageError:
            logger.exception("%s: a segment can't be read", self.exporter)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ENOENT):
                raise
            logger.exception("%s: a segment can't be read", self.exporter)
        batches = [frame.rows.select(list(COLUMNS)) for frame in frames if frame.rows is not None]
        schema = pa.schema([SPANS.schema.field(name) for name in COLUMNS])
        table = pa.Table.from_batches(batches, schema)
        missing = segment.row_count - table.num_rows
        if missing > 0:
            self._drop(missing, "damaged", "they can't be read from disk")
        return table

    def _send(self, rows: _Rows) -> None:
        """Return when the spans are the target's, or dropped. Raises _StoppingError."""
        body = self._encoded(rows)
        if body is None:
            return
        answer = self._answered(body)
        if answer.outcome is Outcome.TAKEN:
            self._sent += len(rows) - min(answer.rejected_spans, len(rows))
            if answer.rejected_spans:
                self._drop(min(answer.rejected_spans, len(rows)), "rejected", "the target left them out")
        elif answer.outcome is Outcome.TOO_LARGE and len(rows) > 1:
            middle = len(rows) // 2
            self._send(rows[:middle])
            self._send(rows[middle:])
        else:
            self._drop(len(rows), answer.outcome.value, answer.reason)

    def _encoded(self, rows: _Rows) -> bytes | None:
        """Return the request; of rows that can't be sent at all, none, and they are counted."""
        try:
            return request_of(rows)
        except Exception as error:
            if len(rows) > 1:
                for row in rows:
                    self._send([row])
            else:
                self._drop(1, "unencodable", type(error).__name__)
            return None

    def _answered(self, body: bytes) -> Answer:
        """Return the first answer that says more than to try again."""
        while True:
            if self._stopping.is_set() and (self._failures_in_a_row or time.monotonic() > self._stop_at_s):
                raise _StoppingError
            answer = self._sender.send(body)
            if answer.outcome not in (Outcome.RETRY, Outcome.SETUP):
                self._recovered()
                return answer
            self._failed(answer)

    def _failed(self, answer: Answer) -> None:
        """Wait before the next try. Raises _StoppingError where the server stops."""
        if self._stopping.is_set():
            raise _StoppingError
        self._retries += 1
        self._last_error = answer.reason
        if not self._failures_in_a_row:
            self._failing_since_s = time.monotonic()
            logger.warning("%s: %s; its spans wait in the queue, and are sent again", self.exporter, answer.reason)
            if answer.outcome is Outcome.SETUP:
                logger.error("%s: address or key are wrong: change them here, or at the target", self.exporter)
        wait_s = min(RETRY_S_MIN * 2 ** min(self._failures_in_a_row, 16), RETRY_S_MAX) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._failures_in_a_row += 1
        if self._stopping.wait(max(wait_s, answer.retry_after_s or 0.0)):
            raise _StoppingError

    def _recovered(self) -> None:
        if self._failures_in_a_row:
            failing_s = time.monotonic() - self._failing_since_s
            logger.info("%s: answers again after %.0f s, %d tries", self.exporter, failing_s, self._failures_in_a_row)
            self._failures_in_a_row = 0

    def _drop(self, count: int, reason: str, why: str) -> None:
        self._dropped[reason] += count
        logger.error("%s: %d spans are dropped, %s: %s", self.exporter, count, reason, why)

    def _count_dropped(self, segment: SealedSegment) -> None:
        count = self._own_rows(segment)
        if count:
            self._drop(count, "queue_full", f"more than {self._queue.bytes_max} bytes wait, or the disk is full")

    def _own_rows(self, segment: SealedSegment) -> int:
        """Return how many of a segment's rows are of the target's projects."""
        if not self._target.projects:
            return segment.row_count
        with suppress(OSError, StorageError):
            reader = SegmentReader(segment.path, SPANS.schema)
            frames = reader.read(end=segment.size_bytes)
            wanted = pa.array(self._target.projects)
            return sum(
                pc.sum(pc.is_in(frame.rows["project"], wanted)).as_py() or 0
                for frame in frames
                if frame.rows is not None
            )
        return segment.row_count


class Forwarding:
    """All targets' exporters; without a target it does nothing."""

    def __init__(
        self,
        targets: Mapping[str, ForwardTarget],
        directory: Path,
        writer_id: str,
        *,
        disk_free_bytes_min: int = 0,
    ) -> None:
        """Make the exporters, each over a folder of its own in ``directory``. Raises OSError."""
        self._exporters = [
            OtlpForwardExporter(name, target, directory / name, writer_id, disk_free_bytes_min=disk_free_bytes_min)
            for name, target in targets.items()
        ]
        left = sorted(path.name for path in directory.glob("*") if path.is_dir() and path.name not in targets)
        if left:
            logger.warning("%s holds spans for targets that are none any more: %s", directory, ", ".join(left))

    def start(self) -> None:
        """Begin to send."""
        for exporter in self._exporters:
            exporter.start()

    def stop(self) -> None:
        """End, all at once; safe twice."""
        threads = [threading.Thread(target=exporter.stop) for exporter in self._exporters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def keep(self, table: str, segment: SealedSegment) -> None:
        """Return when a sealed segment will be sent, if it is one of spans. Raises OSError."""
        if table == SPANS.name:
            for exporter in self._exporters:
                exporter.keep(segment)

    def statuses(self) -> list[ForwardStatus]:
        """Return how it goes, a target each."""
        return [exporter.status() for exporter in self._exporters]

    def warnings(self) -> list[str]:
        """Return what goes wrong for long."""
        return [warning for exporter in self._exporters for warning in exporter.warnings()]
