"""Hot rows: what is acknowledged and not yet committed, read from the log's segments, by this or another process."""

import threading
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pyarrow as pa

from schemas.table import Table
from storage.lake import Lake, TableSnapshot
from storage.segments import SegmentReader, segment_numbers, segment_path

ATTEMPTS_MAX = 20
_READINGS = count(1)


@dataclass(frozen=True, slots=True)
class View:
    """All acknowledged rows of a table at one moment: committed files, and the rows that are in none of them.

    Where it ``is_evolved`` files may lack columns. ``statistics`` has of each file what the table's log has, JSON.
    ``segments`` are the hot rows' parts, in their order: whoever finds one with as many rows finds the same rows.
    """

    table: Table
    files: tuple[str, ...]
    hot: pa.Table
    is_evolved: bool = False
    statistics: tuple[str, ...] = ()
    segments: tuple["HotSegment", ...] = ()


@dataclass(frozen=True, slots=True)
class HotSegment:
    """A segment's part of the hot rows. ``reading`` is another number where its rows may have been others before."""

    number: int
    reading: int
    rows: int


@dataclass(slots=True)
class _Read:
    """A segment as far as it has been read."""

    reader: SegmentReader
    batches: list[pa.RecordBatch] = field(default_factory=list)
    reading: int = field(default_factory=_READINGS.__next__)


class HotRows:
    """Reads the log of one writer beside the lake, so that each acknowledged row is seen exactly once.

    What was read of a segment is kept until it is committed, so that a query reads only what has come since the last.
    """

    def __init__(self, log_directory: Path, lake: Lake, writer_id: str) -> None:
        self._log_directory = log_directory
        self._lake = lake
        self._writer_id = writer_id
        self._lock = threading.Lock()
        self._read: dict[str, dict[int, _Read]] = {}

    def view(self, table: Table, *, logged: Table | None = None) -> View:
        """Return the table's rows. ``logged`` names the log they come from, where that is another table's."""
        source = logged or table
        directory = self._log_directory / source.name
        for _ in range(ATTEMPTS_MAX):
            # The segments are listed before the table is read: one that is committed in between is in the table, one
            # that is not is still there to be opened, or has been committed and removed since, and we look again.
            numbers = segment_numbers(directory) if directory.is_dir() else []
            snapshot = self._lake.snapshot(table, self._writer_id)
            try:
                hot, segments = self._hot(source, numbers, snapshot)
                return View(table, snapshot.files, hot, snapshot.is_evolved, snapshot.statistics, segments)
            except FileNotFoundError:
                continue
        raise FileNotFoundError(f"{directory}: its segments are committed faster than they can be read")

    def _hot(
        self, table: Table, numbers: list[int], snapshot: TableSnapshot
    ) -> tuple[pa.Table, tuple[HotSegment, ...]]:
        directory = self._log_directory / table.name
        with self._lock:
            known = self._read.setdefault(table.name, {})
            for number in known.keys() - set(numbers):
                del known[number]
            batches: list[pa.RecordBatch] = []
            segments: list[HotSegment] = []
            for number in numbers:
                if number > snapshot.committed_segment:
                    path = segment_path(directory, number)
                    known[number] = _read_on(path, known.get(number) or _Read(SegmentReader(path, table.schema)), table)
                    batches += known[number].batches
                    rows = sum(batch.num_rows for batch in known[number].batches)
                    segments.append(HotSegment(number, known[number].reading, rows))
        return pa.Table.from_batches(batches, table.schema), tuple(segments)


def _read_on(path: Path, read: _Read, table: Table) -> _Read:
    size_bytes = path.stat().st_size
    if size_bytes < read.reader.end:
        # Its tail was cut: what was refused may have been read.
        read = _Read(SegmentReader(path, table.schema))
    if size_bytes > read.reader.end:
        # Copied, not mapped: the tail that another process cuts would take the mapped pages away.
        read.batches += [frame.rows for frame in read.reader.read() if frame.rows is not None]
    return read
