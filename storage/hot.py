"""Hot rows: what is acknowledged and not yet committed, read from the log's segments, by this or another process."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from schemas.table import Table
from storage.lake import Lake, Snapshot
from storage.segments import read_rows, segment_numbers, segment_path

ATTEMPTS_MAX = 20


@dataclass(frozen=True, slots=True)
class View:
    """All acknowledged rows of a table at one moment: committed files, and the rows that are in none of them."""

    table: Table
    files: tuple[str, ...]
    hot: pa.Table


class HotRows:
    """Reads the log of one writer beside the lake, so that each acknowledged row is seen exactly once."""

    def __init__(self, log_directory: Path, lake: Lake, writer_id: str) -> None:
        self._log_directory = log_directory
        self._lake = lake
        self._writer_id = writer_id

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
                return View(table, snapshot.files, self._hot(source, numbers, snapshot))
            except FileNotFoundError:
                continue
        raise FileNotFoundError(f"{directory}: its segments are committed faster than they can be read")

    def _hot(self, table: Table, numbers: list[int], snapshot: Snapshot) -> pa.Table:
        directory = self._log_directory / table.name
        batches = [
            rows
            for number in numbers
            if number > snapshot.committed_segment
            for rows in read_rows(segment_path(directory, number), table.schema)
        ]
        return pa.Table.from_batches(batches, table.schema)
