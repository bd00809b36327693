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

    def __init__(self, exporter: Consumer) -> None:
        self._exporter = exporter
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # What is queued under this lock is queued before the thread is told to end, and so is answered.
        self._lock = threading.Lock()
        self._draining = False
        self._last_unix_us = 0

    def start(self) -> None:
        """Begin to take requests."""
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
        try:
            batches = _batches([rows for rows, _ in decoded])
        except Exception as error:
            # One request's rows can't be made a batch of: the others must not fail with it, nor again with its retry.
            if len(decoded) > 1:
                for one in decoded:
                    self._export([one])
                return
            logger.exception("a request's rows could not be made a batch of")
            failure = RetryableError if isinstance(error, MemoryError) else DecodeError
            _fail(decoded, failure(f"its rows can't be stored: {type(error).__name__}"))
            return
        try:
            self._exporter.consume(batches)
        except RetryableError as error:
            _fail(decoded, error)
        except Exception:
            logger.exception("a batch could not be exported")
            _fail(decoded, RetryableError("the server failed to store the batch"))
        else:
            for rows, future in decoded:
                future.set_result(Outcome(len(rows.rows), rows.rejected, rows.message))

    def _decode(self, request: Request) -> Decoded:
        try:
            return DECODERS[request.format](request, self._receipt())
        except CollectorError:
            raise
        except Exception as error:
            # What no decoder foresaw is the input's fault as long as it hits only this request.
            logger.exception("a %s request could not be decoded", request.format)
            raise DecodeError(f"the body can't be decoded: {type(error).__name__}") from error

    def _receipt(self) -> Receipt:
        self._last_unix_us = max(time.time_ns() // 1000, self._last_unix_us + 1)
        return Receipt.at_unix_us(self._last_unix_us)

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None and item[1].set_running_or_notify_cancel():
                item[1].set_exception(DrainingError("the server is shutting down"))


def _batches(decoded: list[Decoded]) -> dict[str, pa.RecordBatch]:
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    for part in decoded:
        rows[part.table].extend(part.rows)
    return {
        table: process(table, pa.RecordBatch.from_pylist(found, schema=_SCHEMAS[table]))
        for table, found in rows.items()
        if found
    }


def _fail(decoded: list[_Decoded], error: CollectorError) -> None:
    for _, future in decoded:
        future.set_exception(error)
