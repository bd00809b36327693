"""The sums of each trace in a file, kept beside it: what lists are sorted and cut by, without reading each span again.

Theory of operation. A data file never changes, so neither do the sums of its spans. One thread makes them, after a list
was first asked for, as a side file of a twentieth of the size. A list reads them instead of the file where the whole
file is meant, and else the spans themselves, which add up to the same: whatever is missing, broken or new costs time
alone. What changes rows (forgetting, prices, retention, a merge) makes a new file, whose sums are made anew. Small
files are soon merged, or few, and have none.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from storage import sql
from storage.durability import sync_file
from storage.engines.table_view import quoted
from storage.hot import View
from storage.side_file import SUFFIX, data_file_of, side_file

logger = logging.getLogger(__name__)

ROWS_MIN = 64 * 1024
ROW_GROUP_ROWS = 32 * 1024
MEMORY_LIMIT = "512MB"
NICENESS = 10
# Of other sums than this version makes none is read: the statement has changed.
_VERSION = b"1"
_VERSION_KEY = b"fallom.sums"


class TraceSums:
    """Makes and knows the side files of a table's files. Thread-safe."""

    def __init__(self, directory: Path, *, rows_min: int = ROWS_MIN) -> None:
        self._directory = directory
        self._rows_min = rows_min
        # None: it has none.
        self._known: dict[str, str | None] = {}
        self._wanted: View | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._thread: threading.Thread | None = None

    def files(self, view: View) -> dict[str, str]:
        """Return the side file of each file that has one by now; those that are missing are made after this."""
        with self._lock:
            self._wanted = view
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="trace-sums", daemon=True)
                self._thread.start()
        if any(file not in self._known for file in view.files):
            self._wake.set()
        known = self._known
        return {file: side for file in view.files if (side := known.get(file)) and Path(side).exists()}

    def close(self) -> None:
        """End the thread, also amid a file; safe twice."""
        self._stopping.set()
        self._wake.set()
        thread = self._thread
        while thread is not None and thread.is_alive():
            if (database := self._database) is not None:
                # It may be closed already.
                with suppress(duckdb.Error):
                    database.interrupt()
            thread.join(0.05)

    def _run(self) -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            self._remove_orphans()
            with _database(self._directory) as self._database:
                while not self._stopping.is_set():
                    self._wake.wait()
                    self._wake.clear()
                    self._learn(self._database)
        except Exception:
            logger.exception("lists are made of spans alone until the server is started anew")

    def _learn(self, database: duckdb.DuckDBPyConnection) -> None:
        view = self._wanted
        if view is None:
            return
        known = {file: self._known[file] for file in view.files if file in self._known}
        self._known = known
        statistics = view.statistics or ("",) * len(view.files)
        # What is asked for most is newest.
        for file, known_of_file in reversed(list(zip(view.files, statistics, strict=True))):
            if self._stopping.is_set():
                return
            if file not in known:
                known[file] = self._side_file(database, Path(file), _rows(known_of_file))

    def _side_file(self, database: duckdb.DuckDBPyConnection, path: Path, rows: int) -> str | None:
        side = side_file(path)
        try:
            if rows < self._rows_min:
                return None
            if not _is_whole(side):
                _write(database, path, side)
            if path.exists():
                return str(side)
            # It was removed meanwhile, and nobody else would remove this.
            side.unlink(missing_ok=True)
        except (OSError, duckdb.Error, pa.ArrowException) as error:
            # A full disk, a file that is gone, one of an older version: the spans are read.
            logger.debug("a file's sums can't be made: %s", error)
        return None

    def _remove_orphans(self) -> None:
        for side in self._directory.glob(f"*=*/_*{SUFFIX}"):
            if not data_file_of(side).exists():
                side.unlink(missing_ok=True)


def _database(directory: Path) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(":memory:")
    database.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    database.execute("SET threads = 1")
    database.execute("SET temp_directory = ''")
    database.execute(f"SET allowed_directories = [{quoted(str(directory))}]")
    database.execute("SET enable_external_access = false")
    return database


def _write(database: duckdb.DuckDBPyConnection, path: Path, side: Path) -> None:
    """Make the side file; it has its name when it is on disk."""
    draft = side.with_name(f"{side.stem}.draft{SUFFIX}")
    spans = f"read_parquet({quoted(str(path))}, hive_partitioning = false)"
    statement = sql.load("trace_sums").format(span_sums=sql.load("span_sums").format(spans=spans))
    try:
        database.execute(
            f"COPY ({statement}) TO {quoted(str(draft))} (FORMAT parquet, COMPRESSION zstd, "
            f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, KV_METADATA {{'{_VERSION_KEY.decode()}': '{_VERSION.decode()}'}})"
        )
        sync_file(draft)
        draft.replace(side)
    finally:
        draft.unlink(missing_ok=True)


def _is_whole(side: Path) -> bool:
    try:
        metadata = pq.read_metadata(side).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return metadata.get(_VERSION_KEY) == _VERSION


def _rows(statistics: str) -> int:
    try:
        return int(orjson.loads(statistics)["numRecords"])
    except (ValueError, KeyError, TypeError):
        # Another program has written it; it may be large.
        return ROWS_MIN
