"""The lake: one Delta table of Parquet files a table, that anyone may read while the server runs.

A commit bears the writer's id and its segment's number in the table's own transaction log, in the same atomic step as
the rows, so that a segment that is replayed after a crash is recognised and skipped.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import (
    BloomFilterProperties,
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError

from schemas.table import Table
from storage.errors import LakeError

ROW_GROUP_ROWS_MAX = 128 * 1024


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table at one moment: its live files, and the last segment of a writer that they include (0: none)."""

    version: int
    files: tuple[str, ...]
    committed_segment: int


class Lake:
    """The Delta tables under one directory. Thread-safe; many readers, one writer a writer id."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tables: dict[str, DeltaTable] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def create(self, table: Table) -> None:
        """Make the table if it does not exist."""
        path = self.directory / table.name
        try:
            if DeltaTable.is_deltatable(str(path)):
                return
            path.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                path, schema=table.schema, partition_by=list(table.partition_by), name=table.name, mode="ignore"
            )
        except (DeltaError, OSError) as error:
            raise LakeError(f"table {table.name} can't be made in {path}: {_first_line(error)}") from error

    def committed_segment(self, table: Table, writer_id: str) -> int:
        """Return the number of the last segment of this writer in the table; 0 if there is none."""
        return self.snapshot(table, writer_id).committed_segment

    def commit(self, table: Table, rows: pa.Table, *, writer_id: str, segment: int) -> bool:
        """Append the rows of a segment, once. Return False where the table has that segment already."""
        with self._lock_of(table):
            delta = self._open(table)
            try:
                if (delta.transaction_version(writer_id) or 0) >= segment:
                    return False
                if rows.num_rows == 0:
                    return True
                write_deltalake(
                    delta,
                    rows.sort_by([(name, "ascending") for name in table.sort_by]),
                    mode="append",
                    writer_properties=_writer_properties(table, rows.num_rows),
                    commit_properties=CommitProperties(app_transactions=[Transaction(writer_id, segment)]),
                )
            except (DeltaError, OSError) as error:
                self._tables.pop(table.name, None)
                raise LakeError(
                    f"table {table.name}: segment {segment} can't be committed: {_first_line(error)}"
                ) from error
            return True

    def snapshot(self, table: Table, writer_id: str) -> Snapshot:
        """Return the table as it is now."""
        with self._lock_of(table):
            delta = self._open(table)
            try:
                # Delta names files as URIs, also where they are local paths.
                files = tuple(unquote(uri) for uri in delta.file_uris())
                return Snapshot(delta.version(), files, delta.transaction_version(writer_id) or 0)
            except (DeltaError, OSError) as error:
                raise self._unreadable(table, error) from error

    def _open(self, table: Table) -> DeltaTable:
        delta = self._tables.get(table.name)
        try:
            if delta is None:
                delta = self._tables[table.name] = DeltaTable(self.directory / table.name)
            else:
                delta.update_incremental()
        except (DeltaError, OSError) as error:
            raise self._unreadable(table, error) from error
        return delta

    def _unreadable(self, table: Table, error: Exception) -> LakeError:
        # What is known of the table may be stale: the next call reads it anew.
        self._tables.pop(table.name, None)
        path = self.directory / table.name
        return LakeError(f"table {table.name} can't be read from {path}: {_first_line(error)}")

    def _lock_of(self, table: Table) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(table.name, threading.Lock())


def _first_line(error: Exception) -> str:
    # The rest is a backtrace of the library's own.
    return str(error).partition("\n")[0]


def _writer_properties(table: Table, row_count: int) -> WriterProperties:
    bloom = ColumnProperties(bloom_filter_properties=BloomFilterProperties(True, 0.01, max(row_count, 1)))
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=ROW_GROUP_ROWS_MAX,
        column_properties=dict.fromkeys(table.bloom_filters, bloom),
    )
