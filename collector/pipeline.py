"""The pipeline: one thread that takes all requests that wait, and makes one batch a table of them.

Receivers only queue bytes. The thread decodes what has gathered while the last batch was synced, runs the processors,
hands the batches to the exporter, which returns when they are on disk, and answers every request with its own
outcome. So a thousand single-span requests share one sync, and no request waits for a timer.
"""

import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from collector.component import CollectorError, Consumer, DecodeError, DrainingError, RetryableError
from collector.decoders import DECODERS, Decoder
from collector.processors import TableProcessor, process
from collector.processors.price import OverridesOf, no_overrides
from collector.replies import Reply
from collector.request import Format, Outcome, Receipt, Request
from collector.telemetry import ReceiverCounts, Source

logger = logging.getLogger(__name__)

# What a format's bodies are made of, and whose clients send it: the metrics' words.
ITEMS: dict[Format, tuple[str, str]] = {
    Format.OTLP_PROTOBUF: ("spans", "otlp"),
    Format.JSON_TRACES: ("spans", "otlp"),
    Format.LOGS_PROTOBUF: ("log_records", "otlp"),
    Format.LOGS_JSON: ("log_records", "otlp"),
    Format.DATA_POINTS_PROTOBUF: ("metric_points", "otlp"),
    Format.DATA_POINTS_JSON: ("metric_points", "otlp"),
    Format.METRICS: ("metric_points", "fallom"),
    Format.EXPOSURE: ("exposures", "fallom"),
    Format.EVALUATION: ("evaluation_items", "fallom"),
    Format.ASSIGNMENT: ("exposures", "fallom"),
}
ROUND_BYTES_MAX = 64 * 1024 * 1024
DECODED_BYTES_ENOUGH = 128 * 1024 * 1024

_Pending = tuple[Request, Reply, float]
"""A request, its reply, and when it was queued, on the clock of the counts."""
_Answer = tuple[Outcome, _Pending]


class Pipeline:
    """Takes requests from any thread; each future holds an Outcome, a PermanentError or a RetryableError."""

    def __init__(
        self,
        exporter: Consumer,
        *,
        newest_receipt: Callable[[], int] = lambda: 0,
        privacy: TableProcessor | None = None,
        decoders: Mapping[Format, Decoder] = DECODERS,
        recompute: TableProcessor | None = None,
        overrides_of: OverridesOf = no_overrides,
    ) -> None:
        """Make a pipeline whose receipts are later than ``newest_receipt`` (µs since 1970) at its start.

        ``recompute`` adds what has to be known of the rows as they came; then ``privacy`` leaves of them what may be
        stored, before anything else is done with them. ``overrides_of`` knows a project's own prices.
        """
        self._overrides_of = overrides_of
        self._recompute = recompute
        self._privacy = privacy
        self._decoders = decoders
        self._newest_receipt = newest_receipt
        self._exporter = exporter
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # What is queued under this lock is queued before the thread is told to end, and so is answered.
        self._lock = threading.Lock()
        self._draining = False
        self._last_unix_us = 0
        self.dropped: Counter[str] = Counter()
        """What came in by format, was right, and is of no kind that is kept."""
        self.counts = ReceiverCounts()

    def start(self) -> None:
        """Begin to take requests."""
        self._last_unix_us = self._newest_receipt()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse what comes, answer what was taken, end."""
        with self._lock:
            self._draining = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._refuse_rest()

    def submit(self, request: Request) -> "Future[Outcome]":
        """Queue a request; its rows are on disk when the future has an Outcome."""
        future: Future[Outcome] = Future()
        self.queue(request, future)
        return future

    def queue(self, request: Request, reply: Reply) -> None:
        """Queue a request; its rows are on disk when the reply has an Outcome."""
        with self._lock:
            if not self._draining:
                self._queue.put((request, reply, time.perf_counter()))
                return
        reply.set_exception(DrainingError("the server is shutting down"))

    def _run(self) -> None:
        running = True
        while running:
            pending, running = self._take()
            if pending:
                self._process_all(pending)

    def _process_all(self, pending: list[_Pending]) -> None:
        try:
            self._process(pending)
        except Exception:
            # Nobody foresaw it; without this thread nothing would ever be taken again.
            logger.exception("a round of requests could not be processed")
            error = RetryableError("the server failed to process the request")
            for _, reply, _ in pending:
                # Those that are answered stay so.
                with suppress(Exception):
                    reply.set_exception(error)

    def _take(self) -> tuple[list[_Pending], bool]:
        """Return all that waits, at least one request, up to ROUND_BYTES_MAX; and whether to go on."""
        pending: list[_Pending] = []
        size_bytes = 0
        while size_bytes < ROUND_BYTES_MAX:
            try:
                item = self._queue.get(block=not pending)
            except queue.Empty:
                break
            if item is None:
                return pending, False
            pending.append(item)
            size_bytes += len(item[0].body)
        return pending, True

    def _process(self, pending: list[_Pending]) -> None:
        by_format: dict[Format, list[_Pending]] = defaultdict(list)
        for one in pending:
            request, reply, _ = one
            # A client that has gone, unanswered, has cancelled.
            if reply.set_running_or_notify_cancel():
                by_format[request.format].append(one)
        by_table: dict[str, list[_Part]] = defaultdict(list)
        size_bytes = 0
        for requests in by_format.values():
            for part in self._decode(requests):
                by_table[part.table].append(part)
                size_bytes += part.rows.nbytes
                if size_bytes > DECODED_BYTES_ENOUGH:
                    # Rows can be many times as large as what they came in: those of a round must not all be held.
                    self._export_all(by_table)
                    by_table.clear()
                    size_bytes = 0
        self._export_all(by_table)

    def _export_all(self, by_table: Mapping[str, list["_Part"]]) -> None:
        for table, parts in by_table.items():
            self._export(table, parts)

    def _decode(self, requests: list[_Pending]) -> Iterator["_Part"]:
        """Yield the requests, all of one format, as batches; those that fail are answered here."""
        try:
            body_format = requests[0][0].format
            received = [(request, self._receipt()) for request, _, _ in requests]
            decoded = self._decoders[body_format](received)
            rows = self._processed(decoded.table, decoded.rows)
            also = [(table, self._processed(table, found)) for table, found in decoded.also]
        except Exception as error:
            # One of them can't be decoded: the others must not fail with it, nor again with its retry.
            if len(requests) > 1:
                for one in requests:
                    yield from self._decode([one])
                return
            requests[0][1].set_exception(_foreseen(error))
            return
        taken: list[_Answer] = []
        for outcome, one in zip(decoded.outcomes, requests, strict=True):
            if isinstance(outcome, CollectorError):
                one[1].set_exception(outcome)
            else:
                if outcome.dropped:
                    self.dropped[body_format.value] += outcome.dropped
                taken.append((outcome, one))
        part = _Part(decoded.table, *ITEMS[body_format], rows, taken)
        if self._stored_first(also, part):
            yield part

    def _processed(self, table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        for processor in (self._recompute, self._privacy):
            rows = rows if processor is None else processor(table, rows)
        return process(table, rows, self._overrides_of)

    def _stored_first(self, also: Sequence[tuple[str, pa.RecordBatch]], part: "_Part") -> bool:
        """Store rows whose requests have others, which are answered with those; where that fails, answer so here."""
        for table, rows in also:
            error = self._stored(table, [rows])
            if error is not None:
                self._fail([part], error)
                return False
        return True

    def _export(self, table: str, parts: list["_Part"]) -> None:
        """Store the rows of one table; what befalls it is not the others' concern."""
        batches = [part.rows for part in parts if part.rows.num_rows]
        error = self._stored(table, batches)
        if error is not None:
            self._fail(parts, error)
        else:
            self._count_accepted(parts)
            for part in parts:
                for outcome, (_, reply, _) in part.answers:
                    reply.set_result(outcome)

    def _count_accepted(self, parts: list["_Part"]) -> None:
        """Count before the answers, so that who has one finds it counted."""
        now_s = time.perf_counter()
        observe = self.counts.acknowledgement.observe
        for part in parts:
            self.counts.accepted.update(part.item_counts())
            for outcome, (request, _, queued_s) in part.answers:
                observe(now_s - queued_s)
                if outcome.dropped or outcome.reasons:
                    source = (part.items, part.receiver, request.transport)
                    self.counts.dropped[source] += outcome.dropped
                    for reason, count in outcome.reasons:
                        self.counts.rejected[source, reason] += count

    def _fail(self, parts: list["_Part"], error: CollectorError) -> None:
        is_foreseen = error.reason != CollectorError.reason
        counts = self.counts.refused if is_foreseen else self.counts.failed
        for part in parts:
            counts.update(part.item_counts())
            for _, (_, reply, _) in part.answers:
                reply.set_exception(error)

    def _stored(self, table: str, batches: list[pa.RecordBatch]) -> RetryableError | None:
        """Return None once the rows are on disk, else why they are not."""
        try:
            if batches:
                self._exporter.consume(table, batches[0] if len(batches) == 1 else pa.concat_batches(batches))
        except RetryableError as error:
            return error
        except Exception:
            logger.exception("a batch could not be exported")
            return RetryableError("the server failed to store the batch")
        return None

    def _receipt(self) -> Receipt:
        self._last_unix_us = max(time.time_ns() // 1000, self._last_unix_us + 1)
        return Receipt(self._last_unix_us)

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None and item[1].set_running_or_notify_cancel():
                item[1].set_exception(DrainingError("the server is shutting down"))


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of the requests of one format, and the answers that wait for them to be on disk."""

    table: str
    items: str
    receiver: str
    rows: pa.RecordBatch
    answers: list[_Answer]

    def item_counts(self) -> dict[Source, int]:
        """Return how many items came by which transport, those included that are of no kind that is kept."""
        counts: dict[str, int] = {}
        for outcome, (request, _, _) in self.answers:
            counts[request.transport] = counts.get(request.transport, 0) + outcome.accepted + outcome.dropped
        return {(self.items, self.receiver, transport): count for transport, count in counts.items()}


def _foreseen(error: Exception) -> CollectorError:
    """Return what a client is told: of an error that nobody foresaw, that its input is at fault, unless the machine."""
    if isinstance(error, CollectorError):
        return error
    logger.error("a request could not be decoded", exc_info=error)
    failure = RetryableError if isinstance(error, MemoryError | OSError) else DecodeError
    return failure(f"the body can't be decoded: {type(error).__name__}")
