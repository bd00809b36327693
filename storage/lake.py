"""The lake: one Delta table of Parquet files a table, that anyone may read while the server runs.

A commit bears the writer's id and its segment's number in the table's own transaction log, in the same atomic step as
the rows, so that a segment that is replayed after a crash is recognised and skipped. What a commit names is on disk
before the commit is: data files and their folders are synced, then the entry of the log, then its name; only then does
``commit`` return, and its caller may forget the segment. Whatever a crash or a power cut leaves is a file that no entry
names, which upkeep removes.

Files are written without any lock. Whoever replaces files (``replace``) learns at the commit whether they still were
the table's, and begins anew if not, so that commits and queries never wait for upkeep.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.table import Table
from storage.data_file import Action, DataFile, add_action, remove_action
from storage.durability import sync_directory
from storage.errors import LakeError
from storage.older_rows import with_all_columns
from storage.parquet import WrittenFile, without_duplicates, write_file
from storage.side_file import side_file
from storage.table_columns import added_columns
from storage.transaction_log import CONFIGURATION, TransactionLog, VersionTakenError

logger = logging.getLogger(__name__)

# Other programs that write to the table, one commit after the other.
VERSION_TAKEN_ATTEMPTS_MAX = 20
PREFIX = "part"
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_FAILURES = (DeltaError, OSError, pa.ArrowException, LakeError, VersionTakenError)

# Writes the file of a path, and returns when it is on disk.
Write = Callable[[Path], WrittenFile]


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """A table at one moment: its live files, and the last segment of a writer that they include (0: none).

    Where it ``is_evolved`` files may lack columns that the table has. ``statistics`` has of each file JSON.
    """

    version: int
    files: tuple[str, ...]
    committed_segment: int
    is_evolved: bool = False
    statistics: tuple[str, ...] = ()


class Lake:
    """The Delta tables under one directory. Thread-safe; many readers, one writer a writer id."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._logs: dict[str, TransactionLog] = {}
        # Files that are written and not yet committed: they look like what a crash left.
        self._in_flight: set[Path] = set()
        self._unreferenced_since_s: dict[Path, float] = {}

    def create(self, table: Table) -> None:
        """Make the table if it does not exist; repair what a power cut may have done to it.

        One of an older version gets the columns that it lacks. Raises LakeError, also for a column of another type.
        """
        path = self.directory / table.name
        with self._lock_of(table):
            try:
                self._logs[table.name] = log = TransactionLog(path)
                log.set_torn_entry_aside()
                if not (path / "_delta_log").is_dir() or not DeltaTable.is_deltatable(str(path)):
                    self._make(table, path)
                log.repair()
                self._add_columns(table, log)
                # Also of a table that is there: who made it may have died before it was on disk.
                log.sync()
                for folder in (path, path.parent):
                    sync_directory(folder)
            except _FAILURES as error:
                raise LakeError(f"table {table.name} can't be made in {path}: {_first_line(error)}") from error

    def committed_segment(self, table: Table, writer_id: str) -> int:
        """Return the number of the last segment of this writer in the table; 0 if there is none."""
        return self.snapshot(table, writer_id).committed_segment

    def commit(self, table: Table, rows: pa.Table, *, writer_id: str, segment: int) -> bool:
        """Append the rows of a segment, once; return when they are on disk.

        Rows that are alike in the table's identity are stored once. Return False where the table had that segment
        already. Raises LakeError.
        """
        try:
            if self._has_segment(table, writer_id, segment):
                return False
            if rows.num_rows == 0:
                return True
            # An older version may have written them down.
            rows = without_duplicates(with_all_columns(rows, table.schema), table.identity)
            with self._written(table, _by_partition(table, rows)) as files:
                return self._append_segment(table, files, writer_id, segment)
        except _FAILURES as error:
            raise LakeError(
                f"table {table.name}: segment {segment} can't be committed: {_first_line(error)}"
            ) from error

    def snapshot(self, table: Table, writer_id: str) -> TableSnapshot:
        """Return the table as it is now."""
        root = str(self.directory / table.name)
        with self._reading(table) as log:
            state = log.refresh()
            files = tuple(f"{root}/{path}" for path in state.files)
            statistics = tuple(file.stats for file in state.files.values())
            number = state.transactions.get(writer_id, 0)
            return TableSnapshot(state.version, files, number, state.is_evolved, statistics)

    def files(self, table: Table) -> tuple[DataFile, ...]:
        """Return what the table's log says of its live files."""
        with self._reading(table) as log:
            return tuple(log.refresh().files.values())

    def transaction(self, table: Table, application: str) -> int:
        """Return the number of the last transaction that an application has made; 0 if none."""
        return self.snapshot(table, application).committed_segment

    def sync(self, table: Table) -> None:
        """Return when the newest version of the table is on disk, whoever made it."""
        with self._reading(table) as log:
            log.refresh()
            log.sync()

    def path(self, table: Table, file: DataFile) -> Path:
        """Return where a file lies on disk."""
        return self.directory / table.name / file.path

    @contextmanager
    def writing(
        self, table: Table, partition: Mapping[str, str | None], write: Write, *, prefix: str = PREFIX
    ) -> Iterator[DataFile]:
        """Have a file written that is not yet the table's; it is removed if it is not by the end."""
        with self._written(table, [(partition, write)], prefix=prefix) as files:
            yield files[0]

    def replace(
        self,
        table: Table,
        removed: Sequence[DataFile],
        added: Sequence[DataFile],
        *,
        operation: str,
        data_change: bool,
        transactions: Mapping[str, int] | None = None,
    ) -> bool:
        """Take files out of the table and others in, in one commit; return when it is on disk.

        Return False, with nothing changed, where one of ``removed`` is no longer the table's. The files that are
        removed stay on disk for those who read them. Raises LakeError.
        """
        actions = [
            *(remove_action(file, data_change=data_change) for file in removed),
            *(add_action(file, data_change=data_change) for file in added),
        ]
        for _ in range(VERSION_TAKEN_ATTEMPTS_MAX):
            with self._reading(table) as log:
                if any(file.path not in log.refresh().files for file in removed):
                    return False
                if self._try_append(table, log, actions, operation, transactions or {}):
                    return True
        raise LakeError(f"table {table.name}: other programs change it faster than it can be changed here")

    def remove_unreferenced(self, table: Table, *, kept_s: float) -> int:
        """Remove files that have been none of the table's for so long, as far as is known here; return how many."""
        root = self.directory / table.name
        # In this order: what is committed meanwhile is in flight, or in the table that is read after.
        found = {path for pattern in ("*.parquet", "*=*/*.parquet") for path in root.glob(pattern)}
        with self._lock:
            spared = set(self._in_flight)
        spared |= {root / file.path for file in self.files(table)}
        now_s = time.monotonic()
        since_s = self._unreferenced_since_s
        for path in [path for path in since_s if path.is_relative_to(root) and (path in spared or path not in found)]:
            del since_s[path]
        due = [path for path in found - spared if now_s - since_s.setdefault(path, now_s) >= kept_s]
        try:
            for path in due:
                # Before it: nobody would look for it after.
                side_file(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        except OSError as error:
            raise LakeError(f"table {table.name}: {path} can't be removed: {error.strerror}") from error
        return len(due)

    def _make(self, table: Table, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            path,
            schema=table.schema,
            partition_by=list(table.partition_by),
            name=table.name,
            mode="ignore",
            configuration=CONFIGURATION,
        )

    def _add_columns(self, table: Table, log: TransactionLog) -> None:
        for _ in range(VERSION_TAKEN_ATTEMPTS_MAX):
            log.refresh()
            added = added_columns(DeltaTable(self.directory / table.name), table.schema)
            if added is None:
                return
            with suppress(VersionTakenError):
                log.append([added], operation="ADD COLUMN", transactions={})
                logger.info("table %s: of an older version; it has the columns of this one now", table.name)
                return
        raise LakeError("other programs change it faster than columns can be added to it")

    def _has_segment(self, table: Table, writer_id: str, segment: int) -> bool:
        with self._reading(table) as log:
            if log.refresh().transactions.get(writer_id, 0) < segment:
                return False
            # The process that committed it may have died before it was synced.
            log.sync()
            return True

    def _append_segment(self, table: Table, files: Sequence[DataFile], writer_id: str, segment: int) -> bool:
        actions = [add_action(file, data_change=True) for file in files]
        for _ in range(VERSION_TAKEN_ATTEMPTS_MAX):
            with self._reading(table) as log:
                if log.refresh().transactions.get(writer_id, 0) >= segment:
                    log.sync()
                    return False
                if self._try_append(table, log, actions, "WRITE", {writer_id: segment}):
                    return True
        raise LakeError("other programs commit to it faster than it can be committed to here")

    def _try_append(
        self, table: Table, log: TransactionLog, actions: Iterable[Action], operation: str, numbers: Mapping[str, int]
    ) -> bool:
        try:
            log.append(actions, operation=operation, transactions=numbers)
        except VersionTakenError:
            return False
        finally:
            # Also where it is the table's and could not be synced.
            self._land(table, log)
        try:
            log.checkpoint()
        except (DeltaError, OSError) as error:
            # The commit is done; without a checkpoint the table only takes longer to open.
            logger.warning("table %s: no checkpoint could be made: %s", table.name, _first_line(error))
        return True

    def _land(self, table: Table, log: TransactionLog) -> None:
        """Let the files in flight that the table now has be in flight no more."""
        root = self.directory / table.name
        with self._lock:
            self._in_flight -= {
                path
                for path in self._in_flight
                if path.is_relative_to(root) and str(path.relative_to(root)) in log.files
            }

    @contextmanager
    def _written(
        self,
        table: Table,
        parts: Iterable[tuple[Mapping[str, str | None], Write]],
        *,
        prefix: str = PREFIX,
    ) -> Iterator[list[DataFile]]:
        """Write a file a part; whatever happens, no file stays that the table does not have."""
        root = self.directory / table.name
        files: list[DataFile] = []
        paths: list[Path] = []
        try:
            for partition, write in parts:
                folder = root.joinpath(*(f"{key}={value or _NULL_PARTITION}" for key, value in partition.items()))
                path = folder / f"{prefix}-{uuid.uuid4().hex}.parquet"
                paths.append(path)
                with self._lock:
                    self._in_flight.add(path)
                written = write(path)
                modified_ms = time.time_ns() // 1_000_000
                files.append(
                    DataFile(str(path.relative_to(root)), partition, written.size_bytes, modified_ms, written.stats)
                )
            yield files
        finally:
            self._remove_uncommitted(table, set(paths))

    def _remove_uncommitted(self, table: Table, paths: set[Path]) -> None:
        """Remove those of the files that are not the table's; where that can't be known or done, upkeep does it."""
        if not self._in_flight_of(paths):
            return
        with suppress(LakeError):
            with self._reading(table) as log:
                # A commit may have failed after its entry was there.
                log.refresh()
                self._land(table, log)
            for path in self._in_flight_of(paths):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        with self._lock:
            self._in_flight -= paths

    def _in_flight_of(self, paths: set[Path]) -> set[Path]:
        with self._lock:
            return self._in_flight & paths

    @contextmanager
    def _reading(self, table: Table) -> Iterator[TransactionLog]:
        """Give the table's log to one thread; what goes wrong there is a LakeError, and the log is read anew."""
        with self._lock_of(table):
            log = self._logs.get(table.name)
            if log is None:
                log = self._logs[table.name] = TransactionLog(self.directory / table.name)
            try:
                yield log
            except _FAILURES as error:
                log.forget()
                path = self.directory / table.name
                raise LakeError(f"table {table.name} can't be read from {path}: {_first_line(error)}") from error

    def _lock_of(self, table: Table) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(table.name, threading.Lock())


def _by_partition(table: Table, rows: pa.Table) -> Iterator[tuple[Mapping[str, str | None], Write]]:
    """Yield the values of each partition, as Delta writes them, and what writes its rows."""
    if not table.partition_by:
        yield {}, partial(write_file, table=table, chunks=[rows])
        return
    (name,) = table.partition_by
    column = rows[name]
    values = pc.unique(column).to_pylist()
    for value in values:
        of_value = rows if len(values) == 1 else rows.filter(pc.equal(column, value) if value else pc.is_null(column))
        yield {name: None if value is None else str(value)}, partial(write_file, table=table, chunks=[of_value])


def _first_line(error: Exception) -> str:
    # The rest is a backtrace of the library's own.
    return str(error).partition("\n")[0]
