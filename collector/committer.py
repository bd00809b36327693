"""The committer of one table's log: each sealed segment becomes one commit a target table, then is removed."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from collector.log import SegmentLog
from collector.telemetry import LAGS_S, Histogram
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from storage.errors import StorageError
from storage.lake import Lake
from storage.rollup import session_rollup

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """How committing goes; ``failing_for_s`` is 0 where the last commit succeeded."""

    failures: int = 0
    failing_for_s: float = 0.0
    last_error: str = ""
    last_commit_s: float = 0.0
    last_lag_s: float = 0.0


class Committer:
    """Seals the log's active segment after ``flush_interval_s`` and commits what is sealed, in a thread of its own.

    A segment that can't be committed is tried again for ever, ever more seldom; the ones behind it wait, since the
    lake takes segments in the order of their numbers. Its rows stay visible from the log meanwhile.
    """

    def __init__(self, table: Table, log: SegmentLog, lake: Lake, writer_id: str, *, flush_interval_s: float) -> None:
        self._table = table
        self._log = log
        self._lake = lake
        self._writer_id = writer_id
        self._flush_interval_s = flush_interval_s
        # One round at a time: a segment that two commit would be counted twice.
        self._round = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._failures_in_a_row = 0
        self._failing_since_s = 0.0
        self._retry_at_s = 0.0
        self._last_error = ""
        self._last_commit_s = self._last_lag_s = 0.0
        self.before_commit: Callable[[int], None] = lambda _number: None
        """Told each sealed segment; what it raises keeps the segment in the log, to be committed later."""
        self.commits = Histogram()
        self.lags = Histogram(LAGS_S)
        """From the moment that a segment was opened to its commit: how old its first row was."""

    def start(self) -> None:
        """Begin to commit."""
        self._thread = threading.Thread(target=self._run, name=f"committer-{self._table.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is not committed stays in the log. Safe twice and without ``start``."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wake(self) -> None:
        """Look at once whether a segment is sealed."""
        self._wake.set()

    def flush(self) -> None:
        """Seal what is active, and try now to commit all that is sealed."""
        with self._round:
            self._log.seal()
            self._commit_sealed()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Commit nothing while the block runs; what was acknowledged before it is in sealed segments."""
        with self._round:
            self._log.seal()
            yield

    def status(self) -> CommitStatus:
        """Return how committing goes."""
        failing = self._failures_in_a_row > 0
        return CommitStatus(
            failures=self._failures,
            failing_for_s=time.monotonic() - self._failing_since_s if failing else 0.0,
            last_error=self._last_error if failing else "",
            last_commit_s=self._last_commit_s,
            last_lag_s=self._last_lag_s,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._round:
                if time.monotonic() >= self._retry_at_s:
                    self._commit_due()
            self._wake.wait(max(self._retry_at_s - time.monotonic(), min(self._flush_interval_s, LOOK_INTERVAL_S)))
            self._wake.clear()

    def _commit_due(self) -> None:
        if not self._log.sealed():
            # Only then: while commits fail, the active segment grows instead of becoming many small ones.
            self._log.seal(older_than_s=self._flush_interval_s)
        self._commit_sealed()

    def _commit_sealed(self) -> None:
        for number in self._log.sealed():
            try:
                self._commit(number)
            except (StorageError, OSError) as error:
                self._failed(number, error)
                return
            except Exception as error:
                # Likewise: without this thread nothing would ever be committed again.
                logger.exception("segment %d of %s: an error that nobody foresaw", number, self._table.name)
                self._failed(number, error)
                return
            if self._failures_in_a_row:
                logger.info("table %s is committed to again", self._table.name)
            self._failures_in_a_row = 0
            self._retry_at_s = 0.0

    def _commit(self, number: int) -> None:
        began_s = time.monotonic()
        opened_at_s = self._log.opened_at_s(number)
        self.before_commit(number)
        rows = self._log.rows(number)
        for target in targets(self._table):
            self._lake.commit(target, _rows_of(target, rows), writer_id=self._writer_id, segment=number)
        self._log.remove(number, committed_rows=rows.num_rows)
        self._last_commit_s = time.monotonic() - began_s
        self._last_lag_s = time.monotonic() - opened_at_s
        self.commits.observe(self._last_commit_s)
        self.lags.observe(self._last_lag_s)

    def _failed(self, number: int, error: Exception) -> None:
        now_s = time.monotonic()
        if not self._failures_in_a_row:
            self._failing_since_s = now_s
        retry_s = min(RETRY_S_MIN * 2 ** min(self._failures_in_a_row, 16), RETRY_S_MAX)
        self._failures += 1
        self._failures_in_a_row += 1
        self._last_error = str(error)
        self._retry_at_s = now_s + retry_s
        logger.error(
            "segment %d of %s is not committed: %s; its rows stay in the log. Failing for %.0f s, %d times; "
            "next try in %.1f s",
            number,
            self._table.name,
            error,
            now_s - self._failing_since_s,
            self._failures_in_a_row,
            retry_s,
        )


def targets(table: Table) -> tuple[Table, ...]:
    """Return the tables that a segment of ``table`` is committed to."""
    return (table, SESSION_ROLLUP) if table is SPANS else (table,)


def _rows_of(target: Table, rows: pa.Table) -> pa.Table:
    return session_rollup(rows) if target is SESSION_ROLLUP else rows
