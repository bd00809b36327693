"""The lake: one Delta table of Parquet files a table, that anyone may read while the server runs.

A commit bears the writer's id and its segment's number in the table's own transaction log, in the same atomic step as
the rows, so that a segment that is replayed after a crash is recognised and skipped. delta-rs syncs nothing: what a
commit wrote is synced here, before ``commit`` returns and its caller may forget the segment.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import orjson
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
from storage.durability import sync_directory, sync_file
from storage.errors import LakeError

ROW_GROUP_ROWS_MAX = 128 * 1024
COMPACT_EVERY_FILES = 64
# After a start it is not known what was synced; what is older than so many commits was, minutes ago.
COMMITS_SYNCED_MAX = 100
COMPACTED_FILE_BYTES = 128 * 1024 * 1024
# Files that compaction replaced are kept as long as a query that began before it may still read them.
REPLACED_FILES_KEPT_HOURS = 1


@dataclass(frozen=True, slots=True)
class TableSnapshot:
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
        self._synced_version: dict[str, int] = {}
        self._compacted_files: dict[str, int] = {}

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
        """Append the rows of a segment, once; return when they are on disk.

        Return False where the table had that segment already. Raises LakeError.
        """
        with self._lock_of(table):
            delta = self._open(table)
            try:
                if (delta.transaction_version(writer_id) or 0) >= segment:
                    # The process that committed it may have died before it was synced.
                    self._sync(table, delta)
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
                self._sync(table, delta)
            except (DeltaError, OSError) as error:
                self._tables.pop(table.name, None)
                raise LakeError(
                    f"table {table.name}: segment {segment} can't be committed: {_first_line(error)}"
                ) from error
            return True

    def compact(self, table: Table) -> None:
        """Merge small files where many have come since the last time, and remove files replaced long ago."""
        with self._lock_of(table):
            delta = self._open(table)
            try:
                count = len(delta.file_uris())
                if count < self._compacted_files.get(table.name, 0) + COMPACT_EVERY_FILES:
                    return
                delta.optimize.compact(
                    target_size=COMPACTED_FILE_BYTES, writer_properties=_writer_properties(table, ROW_GROUP_ROWS_MAX)
                )
                self._sync(table, delta)
                delta.vacuum(REPLACED_FILES_KEPT_HOURS, dry_run=False, enforce_retention_duration=False)
                self._compacted_files[table.name] = len(delta.file_uris())
            except (DeltaError, OSError) as error:
                raise self._unreadable(table, error) from error

    def snapshot(self, table: Table, writer_id: str) -> TableSnapshot:
        """Return the table as it is now."""
        with self._lock_of(table):
            delta = self._open(table)
            try:
                # Delta names files as URIs, also where they are local paths.
                files = tuple(unquote(uri) for uri in delta.file_uris())
                return TableSnapshot(delta.version(), files, delta.transaction_version(writer_id) or 0)
            except (DeltaError, OSError) as error:
                raise self._unreadable(table, error) from error

    def _sync(self, table: Table, delta: DeltaTable) -> None:
        """Sync what the versions since the last sync wrote: data files, log entries, checkpoints, their folders."""
        delta.update_incremental()
        version = delta.version()
        if version == self._synced_version.get(table.name):
            return
        since = self._synced_version.get(table.name, -1)
        root = self.directory / table.name
        folders = {root.parent, root, root / "_delta_log"}
        for path in _written_since(root, since, version):
            sync_file(path)
            folders.add(path.parent)
        for folder in folders:
            sync_directory(folder)
        self._synced_version[table.name] = version

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


def _written_since(root: Path, since: int, version: int) -> Iterator[Path]:
    """Yield the files that the versions after ``since`` up to ``version`` added to a table; all where it is -1."""
    log = root / "_delta_log"
    for number in range(max(since + 1, version - COMMITS_SYNCED_MAX), version + 1):
        entry = log / f"{number:020}.json"
        if not entry.exists():
            continue  # A checkpoint has taken its place.
        yield entry
        for line in entry.read_bytes().splitlines():
            added = orjson.loads(line).get("add")
            if added and (root / unquote(added["path"])).exists():
                yield root / unquote(added["path"])
        yield from log.glob(f"{number:020}.checkpoint*.parquet")
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        yield pointer


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
