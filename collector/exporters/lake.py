"""The lake exporter: batches into the log, synced; then, in the background, each sealed segment into the lake."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.accounting import RowCounts
from collector.committer import CommitStatus, Committer, targets
from collector.forward.queue import SealedSegment
from collector.log import LogStatus, SegmentLog
from collector.log_budget import LogBudget
from collector.telemetry import Distribution
from collector.window import RecentRows, SpanWindow
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import LOGGED_TABLES, TABLES
from storage.errors import StorageError
from storage.lake import Lake

logger = logging.getLogger(__name__)

# One is committed while the next is filled.
PACED_FROM_SEGMENTS = 2
# From here on it is no hiccup.
COMMITS_FAILING_S = 60.0
PACE_S = 0.01
PACE_S_MAX = 0.1


@dataclass(frozen=True, slots=True)
class TableStatus:
    """Where the rows of one table are, what its log holds, how committing goes."""

    rows: RowCounts
    log: LogStatus
    commits: CommitStatus


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """What the log holds in all, and the status of each table."""

    log_bytes: int
    log_bytes_max: int
    tables: dict[str, TableStatus]


@dataclass(frozen=True, slots=True)
class TableDurations:
    """How long what took, of one table; ``commit_lag`` is from a segment's first row to its commit."""

    sync: Distribution
    commit: Distribution
    commit_lag: Distribution


class LakeExporter:
    """Makes rows durable and visible in ``consume``, and commits them within ``flush_interval_s``.

    Where committing falls behind, ``consume`` returns later. Where it fails, the log grows up to ``log_bytes_max``;
    from there on ``consume`` refuses.
    """

    def __init__(
        self,
        lake: Lake,
        log_directory: Path,
        writer_id: str,
        *,
        flush_interval_s: float,
        segment_bytes_max: int,
        log_bytes_max: int,
        disk_free_bytes_min: int = 0,
        window: SpanWindow,
        recent_spans: Callable[[], pa.Table],
        recent_others: Mapping[str, RecentRows] | None = None,
    ) -> None:
        """Make an exporter that recognises what is sent again: spans, and the tables of ``recent_others``."""
        self.on_stored: Callable[[str, pa.RecordBatch], None] = lambda _table, _rows: None
        """Told each table's rows once they are durable and visible; it must return at once, and raise nothing."""
        self._lake = lake
        self._writer_id = writer_id
        self._recent = {SPANS.name: RecentRows(window, recent_spans), **(recent_others or {})}
        self._budget = LogBudget(log_directory, bytes_max=log_bytes_max, disk_free_bytes_min=disk_free_bytes_min)
        self._logs: dict[str, SegmentLog] = {}
        self._committers: dict[str, Committer] = {}
        for table in LOGGED_TABLES:
            log = SegmentLog(
                log_directory / table.name, table.schema, segment_bytes_max=segment_bytes_max, budget=self._budget
            )
            self._logs[table.name] = log
            self._committers[table.name] = Committer(table, log, lake, writer_id, flush_interval_s=flush_interval_s)

    def on_sealed(self, tell: Callable[[str, SealedSegment], None]) -> None:
        """Have each table's sealed segments told before their commit; what ``tell`` raises puts the commit off."""
        for table, committer in self._committers.items():
            committer.before_commit = partial(self._tell_sealed, tell, table)

    def _tell_sealed(self, tell: Callable[[str, SealedSegment], None], table: str, number: int) -> None:
        path, size_bytes, row_count = self._logs[table].extent(number)
        tell(table, SealedSegment(path, number, size_bytes, row_count))

    def start(self) -> None:
        """Make the tables, take over what an earlier process left in the log, begin to commit."""
        for table in TABLES:
            self._lake.create(table)
        for table in LOGGED_TABLES:
            self._logs[table.name].recover(committed=self._committed(table))
        self._remember_recent_rows()
        for committer in self._committers.values():
            committer.start()

    @property
    def is_drained(self) -> bool:
        """Whether nothing is in the log that is not committed."""
        return not any(log.sealed() for log in self._logs.values())

    def stop(self) -> None:
        """Commit all that is in the log, end."""
        for committer in self._committers.values():
            committer.stop()
        self.flush()

    def flush(self) -> None:
        """Try now to commit all that is in the log; what can't be committed stays there."""
        for committer in self._committers.values():
            committer.flush()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Commit nothing while the block runs; rows are taken into the log meanwhile."""
        with ExitStack() as stack:
            for committer in self._committers.values():
                stack.enter_context(committer.paused())
            yield

    def consume(self, table: str, rows: pa.RecordBatch) -> int:
        """Return once the rows are on disk, with their number; those that are there already are left out."""
        recent = self._recent.get(table)
        if recent is not None:
            stored = self._consume_fresh(table, rows, recent.window)
        else:
            self._logs[table].append(rows)
            self.on_stored(table, rows)
            stored = rows.num_rows
        self._pace(table)
        return stored

    def accounting(self) -> dict[str, RowCounts]:
        """Return where the rows of each table are; a table's counts are of one moment."""
        return {table: log.accounting() for table, log in self._logs.items()}

    def status(self) -> dict[str, Any]:
        """Return what ``GET /debug/pipeline`` shows."""
        return asdict(self.read_status())

    def read_status(self) -> LakeStatus:
        """Return where all rows are, what the log holds, how committing goes."""
        return LakeStatus(
            log_bytes=self._budget.bytes,
            log_bytes_max=self._budget.bytes_max,
            tables={
                table: TableStatus(log.accounting(), log.status(), self._committers[table].status())
                for table, log in self._logs.items()
            },
        )

    def durations(self) -> dict[str, TableDurations]:
        """Return how long the syncs and commits of each table took."""
        return {
            table: TableDurations(
                sync=log.syncs.read(),
                commit=self._committers[table].commits.read(),
                commit_lag=self._committers[table].lags.read(),
            )
            for table, log in self._logs.items()
        }

    def obstacles(self) -> list[str]:
        """Return why ``consume`` refuses rows; none where it takes them. May take as long as the disk takes."""
        found = {self._budget.obstacle(), *(log.obstacle() for log in self._logs.values())}
        return sorted(found - {""})

    def warnings(self) -> list[str]:
        """Return what goes wrong though rows are taken: commits that have failed for long."""
        failing = {table: committer.status().failing_for_s for table, committer in self._committers.items()}
        return [
            f"commits of {table} have failed for {failing_s:.0f} s; their rows are safe in the log"
            for table, failing_s in failing.items()
            if failing_s > COMMITS_FAILING_S
        ]

    def _pace(self, table: str) -> None:
        """Wait a moment where commits fall behind: who waits for an answer sends no faster than is committed.

        Else the log would grow up to its limit, and all be refused, while the processor is busy with taking more.
        """
        waiting = len(self._logs[table].sealed())
        if waiting:
            self._committers[table].wake()
        if waiting > PACED_FROM_SEGMENTS and not self._committers[table].status().failing_for_s:
            time.sleep(min((waiting - PACED_FROM_SEGMENTS) * PACE_S, PACE_S_MAX))

    def _consume_fresh(self, table: str, rows: pa.RecordBatch, window: SpanWindow) -> int:
        fresh = window.fresh(rows)
        count = int(fresh.rows.num_rows)
        self._logs[table].append(fresh.rows, duplicates=rows.num_rows - count)
        # Only now: what could not be stored must not look like a duplicate when it is sent again.
        window.remember(fresh.keys)
        self.on_stored(table, fresh.rows)
        return count

    def _committed(self, table: Table) -> int:
        return max(self._lake.committed_segment(target, self._writer_id) for target in targets(table))

    def _remember_recent_rows(self) -> None:
        for table, recent in self._recent.items():
            try:
                recent.window.fill(recent.read())
            except StorageError:
                # A damaged file must not keep the server from taking new data.
                logger.exception("the latest %s can't be read: a retry of one of them will not be recognised", table)
