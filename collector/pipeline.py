"""The pipeline: one thread that takes all requests that wait, and makes one batch a table of them.

Receivers only queue bytes. The thread decodes what has gathered while the last batch was synced, runs the processors,
hands the batches to the exporter, which returns when they are on disk, and answers every request with its own
outcome. So a thousand single-span requests share one sync, and no request waits for a timer.
"""

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future

import pyarrow as pa

from collector.component import CollectorError, Consumer, DecodeError, DrainingError, RetryableError
from collector.decoders import DECODERS
from collector.processors import process
from collector.request import Decoded, Outcome, Receipt, Request
from schemas.tables import LOGGED_TABLES

logger = logging.getLogger(__name__)

ROUND_BYTES_MAX = 64 * 1024 * 1024
_SCHEMAS = {table.name: table.schema for table in LOGGED_TABLES}

_Pending = tuple[Request, "Future[Outcome]"]
_Decoded = tuple[Decoded, "Future[Outcome]"]


class Pipeline:
    """Takes requests from any thread; each future holds an Outcome, a PermanentError or a RetryableError."""

    def __init__(self, exporter: Consumer, *, newest_receipt: Callable[[], int] = lambda: 0) -> None:
        """Make a pipeline whose receipts are later than ``newest_receipt`` (µs since 1970) at its start."""
        self._newest_receipt = newest_receipt
        self._exporter = exporter
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # What is queued under this lock is queued before the thread is told to end, and so is answered.
        self._lock = threading.Lock()
        self._draining = False
        self._last_unix_us = 0

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
        with self._lock:
            if not self._draining:
                self._queue.put((request, future))
                return future
        future.set_exception(DrainingError("the server is shutting down"))
        return future

    def _run(self) -> None:
        running = True
        while running:
            pending, running = self._take()
            if pending:
                self._process(pending)

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
        decoded: list[_Decoded] = []
        for request, future in pending:
            if not future.set_running_or_notify_cancel():
                continue  # Its client has gone, unanswered.
            try:
                decoded.append((self._decode(request), future))
            except CollectorError as error:
                future.set_exception(error)
        self._export(decoded)

    def _export(self, decoded: list[_Decoded]) -> None:
        """Store the requests table by table; what befalls one table is not the others' concern."""
        by_table: dict[str, list[_Decoded]] = defaultdict(list)
        for one in decoded:
            by_table[one[0].table].append(one)
        for table, requests in by_table.items():
            self._export_table(table, requests)

    def _export_table(self, table: str, requests: list[_Decoded]) -> None:
        try:
            batch = _batch(table, [decoded for decoded, _ in requests])
        except Exception as error:
            # One request's rows can't be made a batch of: the others must not fail with it, nor again with its retry.
            if len(requests) > 1:
                for one in requests:
                    self._export_table(table, [one])
                return
            logger.exception("a request's rows could not be made a batch of")
            _fail(requests, _unforeseen(error, "its rows can't be stored"))
            return
        try:
            if batch.num_rows:
                self._exporter.consume(table, batch)
        except RetryableError as error:
            _fail(requests, error)
        except Exception:
            logger.exception("a batch could not be exported")
            _fail(requests, RetryableError("the server failed to store the batch"))
        else:
            for rows, future in requests:
                future.set_result(Outcome(len(rows.rows), rows.rejected, rows.message))

    def _decode(self, request: Request) -> Decoded:
        try:
            return DECODERS[request.format](request, self._receipt())
        except CollectorError:
            raise
        except Exception as error:
            logger.exception("a %s request could not be decoded", request.format)
            raise _unforeseen(error, "the body can't be decoded") from error

    def _receipt(self) -> Receipt:
        self._last_unix_us = max(time.time_ns() // 1000, self._last_unix_us + 1)
        return Receipt.at_unix_us(self._last_unix_us)

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None and item[1].set_running_or_notify_cancel():
                item[1].set_exception(DrainingError("the server is shutting down"))


def _batch(table: str, decoded: list[Decoded]) -> pa.RecordBatch:
    rows = [row for part in decoded for row in part.rows]
    return process(table, pa.RecordBatch.from_pylist(rows, schema=_SCHEMAS[table]))


def _unforeseen(error: Exception, message: str) -> CollectorError:
    """Return what a client is told of an error that nobody foresaw: the input's fault, unless the machine's."""
    failure = RetryableError if isinstance(error, MemoryError | OSError) else DecodeError
    return failure(f"{message}: {type(error).__name__}")


def _fail(decoded: list[_Decoded], error: CollectorError) -> None:
    for _, future in decoded:
        future.set_exception(error)
