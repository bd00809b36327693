"""The lake exporter: batches into the log, synced; then, in the background, each sealed segment into the lake."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from collector.log import SegmentLog
from collector.window import SpanIdentity, SpanWindow, identities
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import LOGGED_TABLES, TABLES
from storage.errors import StorageError
from storage.lake import Lake
from storage.rollup import session_rollup

logger = logging.getLogger(__name__)


class LakeExporter:
    """Makes rows durable and visible in ``consume``, and commits them within ``flush_interval_s``."""

    def __init__(
        self,
        lake: Lake,
        log_directory: Path,
        writer_id: str,
        *,
        flush_interval_s: float,
        segment_bytes_max: int,
        log_bytes_max: int,
        window: SpanWindow,
        recent_spans: Callable[[], list[SpanIdentity]],
    ) -> None:
        self._lake = lake
        self._writer_id = writer_id
        self._flush_interval_s = flush_interval_s
        self._window = window
        self._recent_spans = recent_spans
        self._logs = {
            table.name: SegmentLog(
                log_directory / table.name,
                table.schema,
                segment_bytes_max=segment_bytes_max,
                log_bytes_max=log_bytes_max,
            )
            for table in LOGGED_TABLES
        }
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Make the tables, take over what an earlier process left in the log, begin to commit."""
        for table in TABLES:
            self._lake.create(table)
        for table in LOGGED_TABLES:
            committed = max(self._lake.committed_segment(target, self._writer_id) for target in _targets(table))
            self._logs[table.name].recover(committed=committed)
        self._remember_recent_spans()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def is_drained(self) -> bool:
        """Whether nothing is in the log that is not committed."""
        return not any(log.sealed() for log in self._logs.values())

    def stop(self) -> None:
        """Commit all that is in the log, end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._commit(older_than_s=0.0)

    def consume(self, table: str, rows: pa.RecordBatch) -> None:
        """Return once the rows are on disk; spans that are there already are left out."""
        if table != SPANS.name:
            self._logs[table].append(rows)
            return
        fresh = self._window.fresh(rows)
        if fresh.num_rows:
            self._logs[table].append(fresh)
            # Only now: what could not be stored must not look like a duplicate when it is sent again.
            self._window.remember(identities(fresh))

    def _remember_recent_spans(self) -> None:
        try:
            self._window.remember(self._recent_spans())
        except StorageError:
            # A damaged file must not keep the server from taking new data.
            logger.exception("the latest spans can't be read: a retry of one of them will not be recognised")

    def _run(self) -> None:
        while not self._stopping.wait(min(self._flush_interval_s, 1.0)):
            self._commit(older_than_s=self._flush_interval_s)
            self._compact()

    def _compact(self) -> None:
        for table in TABLES:
            try:
                self._lake.compact(table)
            except StorageError:
                logger.exception("table %s could not be compacted; its rows are as they were", table.name)

    def _commit(self, *, older_than_s: float) -> None:
        for table in LOGGED_TABLES:
            log = self._logs[table.name]
            log.seal(older_than_s=older_than_s)
            for number in log.sealed():
                try:
                    self._commit_segment(table, log, number)
                except (StorageError, OSError) as error:
                    # The segment stays, its rows stay visible from it, and the next round tries again.
                    logger.error("segment %d of %s is not committed yet: %s", number, table.name, error)  # noqa: TRY400
                    break
                except Exception:
                    # Likewise: without this thread nothing would ever be committed again.
                    logger.exception("segment %d of %s is not committed yet", number, table.name)
                    break

    def _commit_segment(self, table: Table, log: SegmentLog, number: int) -> None:
        rows = log.rows(number)
        self._lake.commit(table, rows, writer_id=self._writer_id, segment=number)
        if SESSION_ROLLUP in _targets(table):
            self._lake.commit(SESSION_ROLLUP, session_rollup(rows), writer_id=self._writer_id, segment=number)
        log.remove(number)


def _targets(table: Table) -> tuple[Table, ...]:
    """Return the tables that a segment of ``table`` is committed to."""
    return (table, SESSION_ROLLUP) if table is SPANS else (table,)
