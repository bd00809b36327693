"""Rewriting: the rows of some files of one partition into one new file, a bounded part in memory at a time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from storage.concatenation import concatenate
from storage.data_file import DataFile
from storage.errors import LakeError
from storage.lake import PREFIX, Lake
from storage.parquet import WrittenFile, file_schema, write_file
from storage.rollup import added, negated, rollup_of_each
from storage.upkeep.corrections import replace_spans

CHUNK_BYTES = 64 * 1024 * 1024
CHUNK_ROWS_MAX = 128 * 1024

Keep = Callable[[pa.Table], NDArray[np.bool_]]
Change = Callable[[pa.Table], pa.Table]


class StoppedError(Exception):
    """The server stops: what is half done is given up."""


class Rewriter:
    """Replaces files of a table by a new one. ``stopping`` ends it between two chunks, with StoppedError."""

    def __init__(self, lake: Lake, stopping: threading.Event) -> None:
        self.lake = lake
        self._stopping = stopping
        self._unreadable: set[Path] = set()

    def files(self, table: Table) -> list[DataFile]:
        """Return the files that can be merged: not those that could not be read, for which the others must not wait."""
        return [file for file in self.lake.files(table) if self.lake.path(table, file) not in self._unreadable]

    def rewrite(
        self,
        table: Table,
        files: Sequence[DataFile],
        *,
        operation: str,
        keep: Keep | None = None,
        change: Change | None = None,
        is_recounted: bool = False,
        last: Callable[[], pa.Table] | None = None,
        prefix: str = PREFIX,
        data_change: bool = True,
    ) -> int | None:
        """Replace files of one partition by one of those rows that ``keep`` says, changed by ``change``.

        ``last`` gives rows to put at the end, when all others have been read. The rollup is corrected for spans that
        are gone and, where it ``is_recounted``, for those whose cost ``change`` changes. Return how many rows are gone;
        None, with nothing changed, where the files are no longer the table's.
        """
        counted = _Counted(table)

        def rewritten() -> Iterator[pa.Table]:
            for chunk in self.chunks(table, files):
                kept = chunk if keep is None else counted.without(chunk, keep(chunk))
                if kept.num_rows:
                    changed = kept if change is None else change(kept)
                    if is_recounted:
                        counted.changed(kept, changed)
                    yield changed
            if last is not None:
                yield last()

        def write(path: Path) -> WrittenFile:
            return write_file(path, table, rewritten())

        with self.lake.writing(table, files[0].partition, write, prefix=prefix) as file:
            new = [file] if file.rows else []
            if table is SPANS and (counted.lost or is_recounted):
                replaced = replace_spans(self.lake, files, new, counted.correction(), operation=operation)
            else:
                replaced = self.lake.replace(table, files, new, operation=operation, data_change=data_change)
        return counted.lost if replaced else None

    def concatenate(self, table: Table, files: Sequence[DataFile], *, prefix: str = PREFIX) -> bool:
        """Replace files of one partition by one of their row groups as they are; False where they have changed.

        Raises UnlikeError where the files are not of the same columns.
        """
        for file in files:
            with self._reading(table, file) as path:
                pq.read_metadata(path)

        def write(path: Path) -> WrittenFile:
            sources = [self.lake.path(table, file) for file in files]
            return concatenate(path, sources, [file.stats for file in files], between=self._stop_if_told)

        with self.lake.writing(table, files[0].partition, write, prefix=prefix) as file:
            return self.lake.replace(table, files, [file], operation="OPTIMIZE", data_change=False)

    def chunks(self, table: Table, files: Sequence[DataFile]) -> Iterator[pa.Table]:
        """Yield the rows of the files, in their order, a bounded number at a time."""
        waiting: list[pa.Table] = []
        for file in files:
            for rows in self.row_groups(table, file):
                if waiting and _is_too_much([*waiting, rows]):
                    yield pa.concat_tables(waiting)
                    waiting = []
                waiting.append(rows)
        if waiting:
            yield pa.concat_tables(waiting)

    def row_groups(self, table: Table, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of each row group, with the partition's columns; one that the file lacks is NULL."""
        schema = pa.schema([field for field in table.schema if columns is None or field.name in columns])
        # Texts that repeat are read as codes; not those of the rollup, whose sums are made of the texts.
        types = {field.name: field.type for field in file_schema(table)} if table is not SESSION_ROLLUP else {}
        with self._reading(table, file) as path:
            metadata = pq.read_metadata(path)
            wanted = [name for name in metadata.schema.to_arrow_schema().names if name in schema.names]
            coded = [name for name in wanted if name in types and pa.types.is_dictionary(types[name])]
            with pq.ParquetFile(path, metadata=metadata, read_dictionary=coded) as parquet:
                for group in range(parquet.num_row_groups):
                    self._stop_if_told()
                    rows = parquet.read_row_group(group, columns=wanted, use_threads=False)
                    yield _with_all_columns(rows, schema, types, file, parquet.metadata.row_group(group).num_rows)

    @contextmanager
    def _reading(self, table: Table, file: DataFile) -> Iterator[Path]:
        """Give the file's path; what can't be read there is a LakeError, and the file is merged no more."""
        path = self.lake.path(table, file)
        try:
            yield path
        except (OSError, pa.ArrowException) as error:
            if not isinstance(error, MemoryError):
                self._unreadable.add(path)
            raise LakeError(f"table {table.name}: {file.path} can't be read: {error}") from error

    def _stop_if_told(self) -> None:
        if self._stopping.is_set():
            raise StoppedError


class _Counted:
    """Counts the rows that are left out, and for spans what the rollup changes by: they, and others' costs."""

    def __init__(self, table: Table) -> None:
        self.lost = 0
        self._table = table
        self._rollups: list[pa.Table] = [SESSION_ROLLUP.schema.empty_table()]

    def without(self, rows: pa.Table, keep: NDArray[np.bool_]) -> pa.Table:
        if keep.all():
            return rows
        self.lost += int((~keep).sum())
        if self._table is SPANS:
            self._rollups.append(negated(_rollup(rows, ~keep)))
        # As plain texts: a dictionary would still hold those of the rows that are left out, and be written so.
        return rows.filter(pa.array(keep)).cast(self._table.schema)

    def changed(self, before: pa.Table, after: pa.Table) -> None:
        one, other = (rows["cost"].fill_null(np.nan).to_numpy() for rows in (before, after))
        differing = (one != other) & ~(np.isnan(one) & np.isnan(other))
        if differing.any():
            self._rollups += [negated(_rollup(before, differing)), _rollup(after, differing)]

    def correction(self) -> pa.Table:
        return added(pa.concat_tables(self._rollups))


def _rollup(spans: pa.Table, those: NDArray[np.bool_]) -> pa.Table:
    return rollup_of_each(spans.filter(pa.array(those)).cast(SPANS.schema))


def _is_too_much(parts: Sequence[pa.Table]) -> bool:
    size_bytes: int = sum(part.nbytes for part in parts)
    rows: int = sum(part.num_rows for part in parts)
    return size_bytes > CHUNK_BYTES or rows > CHUNK_ROWS_MAX


def _with_all_columns(
    rows: pa.Table, schema: pa.Schema, types: dict[str, pa.DataType], file: DataFile, count: int
) -> pa.Table:
    columns = []
    for field in schema:
        if field.name in file.partition:
            value = file.partition[field.name]
            columns.append(pa.repeat(pa.scalar(value and date.fromisoformat(value), field.type), count))
        elif field.name in rows.schema.names:
            columns.append(rows[field.name].cast(types.get(field.name, field.type)))
        else:
            columns.append(pa.nulls(count, types.get(field.name, field.type)))
    return pa.Table.from_arrays(columns, names=schema.names)
