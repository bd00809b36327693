"""Parquet files of a table: rows sorted and written row group by row group, synced, with what is known of them.

Theory of operation. Nearly all of the work is ZSTD over the long texts; the rest is kept small. Texts that repeat are
made codes in a dictionary before anything else, so that to sort is to compare small integers, to gather is to move
them, and the file's dictionary is there already. Rows are gathered one row group at a time: no second copy of the whole
is made. Columns say in their schema what they are (``Table.unique``, ``Table.long``); statistics for the table's log
come from the file's own footer, not from the rows once more.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.table import TIMESTAMP, Table
from storage.durability import sync_directory, sync_file

# A log segment as it is by default becomes one row group: smaller ones cost more to write and compress less.
ROW_GROUP_BYTES = 128 * 1024 * 1024
ROW_GROUP_ROWS_MAX = 128 * 1024
ZSTD_LEVEL = 1
# A reader of a few rows decompresses the pages of their long texts: pages of 1 MB, as is usual, cost it three times as
# much, and are hardly smaller. A page's size is looked at after so many rows.
PAGE_BYTES = 128 * 1024
WRITE_BATCH_ROWS = 1024
BLOOM_FALSE_POSITIVES = 0.01
# Longer ones would fill the table's log; a file without them is read where it might have been skipped.
STATISTICS_TEXT_CHARACTERS_MAX = 128
_KEY_SPAN_MAX = 2**62


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet file that is on disk. ``stats`` is its statistics as the table's log has them, JSON."""

    path: Path
    rows: int
    size_bytes: int
    stats: str


def file_schema(table: Table) -> pa.Schema:
    """Return the columns of the table's files: without those of the partition, repeating texts as dictionaries."""
    return pa.schema(
        [
            pa.field(field.name, _DICTIONARY if _repeats(table, field) else field.type)
            for field in table.schema
            if field.name not in table.partition_by
        ]
    )


def write_file(path: Path, table: Table, chunks: Iterable[pa.Table]) -> WrittenFile:
    """Write rows to a new file and return when it and its name are on disk; nothing is left where that fails.

    Each chunk is sorted by itself and becomes one row group or more; it must fit into memory twice over.
    """
    with new_file(path):
        metadata = _write(path, table, chunks)
    return WrittenFile(path, metadata.num_rows, path.stat().st_size, _statistics(metadata, table))


@contextmanager
def new_file(path: Path) -> Iterator[None]:
    """Make its folders; sync the file and its name when it has been written, remove it where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
        sync_file(path)
        # The folder's own name too: who made the folder may have failed before it was on disk.
        for folder in (path.parent, path.parent.parent):
            sync_directory(folder)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def encoded(rows: pa.Table, table: Table) -> pa.Table:
    """Return the rows as ``file_schema`` has them."""
    schema = file_schema(table)
    return pa.Table.from_arrays([_encoded(rows[field.name], field.type) for field in schema], schema=schema)


def sort_order(rows: pa.Table, columns: Sequence[str]) -> NDArray[np.int64]:
    """Return the places of encoded rows in the order of the columns, NULL first; rows that are alike stay in order."""
    keys: list[NDArray[np.int64]] = []
    span = _KEY_SPAN_MAX
    for name in columns:
        ranks, size = _ranks(rows[name])
        if span * size < _KEY_SPAN_MAX:
            keys[-1] = keys[-1] * size + ranks
            span *= size
        else:
            keys.append(ranks)
            span = size
    return np.lexsort(keys[::-1])


def without_duplicates(rows: pa.Table, identity: Sequence[str]) -> pa.Table:
    """Return the rows without those whose identity has come before; a row with a NULL in its identity is its own."""
    if not identity or rows.num_rows < 2:
        return rows
    last = np.sort(rows[identity[-1]].fill_null(0).to_numpy())
    if (last[1:] != last[:-1]).all():
        return rows
    mask = first_occurrences(rows.select(list(identity)))
    return rows if mask.all() else rows.filter(pa.array(mask))


def first_occurrences(identities: pa.Table) -> NDArray[np.bool_]:
    """Return for each row whether it is the first of its kind, or has a NULL and so is of none."""
    rows = identities.num_rows
    places = pa.array(np.arange(rows))
    names = identities.schema.names
    grouped = identities.append_column("place", places).group_by(names, use_threads=False).aggregate([("place", "min")])
    mask = np.zeros(rows, np.bool_)
    mask[grouped["place_min"].to_numpy()] = True
    for column in identities.columns:
        if column.null_count:
            mask |= column.is_null().to_numpy()
    return mask


def row_group_slices(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """Yield offset and length of the parts of ``rows`` that are row groups."""
    groups = max(-(-rows.nbytes // ROW_GROUP_BYTES), -(-rows.num_rows // ROW_GROUP_ROWS_MAX), 1)
    length = max(-(-rows.num_rows // groups), 1)
    for offset in range(0, rows.num_rows, length):
        yield offset, min(length, rows.num_rows - offset)


_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def _repeats(table: Table, field: pa.Field) -> bool:
    return pa.types.is_string(field.type) and field.name not in table.unique | table.long


def _encoded(column: pa.ChunkedArray, data_type: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if column.null_count == len(column):
        return pa.nulls(len(column), data_type)
    if not pa.types.is_dictionary(data_type):
        return column
    coded = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return _in_one(coded)


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _write(path: Path, table: Table, chunks: Iterable[pa.Table]) -> pq.FileMetaData:
    writer: pq.ParquetWriter | None = None
    try:
        for part in _row_groups(table, chunks):
            writer = writer or _writer(path, table, part)
            writer.write_table(part, row_group_size=max(part.num_rows, 1))
        writer = writer or _writer(path, table, file_schema(table).empty_table())
        writer.close()
    except BaseException:
        if writer is not None:
            # What it says of a file that could not be written is less than the error that is on its way.
            with suppress(Exception):
                writer.close()
        raise
    return writer.writer.metadata


def _row_groups(table: Table, chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for chunk in chunks:
        rows = encoded(chunk, table)
        order = pa.array(sort_order(rows, table.sort_by))
        slices = list(row_group_slices(rows))
        if len(slices) > 1:
            # To gather from many pieces joins them first, each time anew.
            rows = rows.combine_chunks()
        for offset, length in slices:
            yield rows.take(order.slice(offset, length))


def _writer(path: Path, table: Table, first: pa.Table) -> pq.ParquetWriter:
    schema = file_schema(table)
    plain = table.unique | table.long
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in schema.names if name not in plain],
        write_statistics=[name for name in schema.names if name not in table.long],
        # The texts' Arrow type would come back as a dictionary, which is a matter of how they are written alone.
        store_schema=False,
        data_page_size=PAGE_BYTES,
        write_batch_size=WRITE_BATCH_ROWS,
        bloom_filter_options={
            name: {"ndv": _distinct(first[name]), "fpp": BLOOM_FALSE_POSITIVES} for name in table.bloom_filters
        },
    )


def _distinct(column: pa.ChunkedArray) -> int:
    """Return about how many values a row group has: what its bloom filter is to hold."""
    if pa.types.is_dictionary(column.type):
        return max(sum(len(chunk.dictionary) for chunk in column.chunks), 1)
    return max(len(column), 1)


def _ranks(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], int]:
    """Return the values' places in their order, NULL at 0, and how many places there are."""
    array = _in_one(column)
    if pa.types.is_dictionary(array.type):
        order = pc.sort_indices(array.dictionary).to_numpy()
        ranks = np.empty(len(order) + 1, np.int64)
        ranks[order] = np.arange(1, len(order) + 1)
        ranks[-1] = 0
        # A NULL's code, -1, is the last place.
        return ranks[array.indices.fill_null(-1).to_numpy()], len(order) + 1
    if array.type == TIMESTAMP:
        array = array.view(pa.int64())
    if pa.types.is_integer(array.type):
        return array.fill_null(np.iinfo(np.int64).min).to_numpy().astype(np.int64, copy=False), _KEY_SPAN_MAX
    ranks = pc.rank(array, sort_keys=[("", "ascending")], tiebreaker="dense").to_numpy()
    return np.where(array.is_null().to_numpy(zero_copy_only=False), 0, ranks).astype(np.int64), len(array) + 1


def _statistics(metadata: pq.FileMetaData, table: Table) -> str:
    """Return the least and greatest values by which readers skip files: of the sorting columns and the times.

    Not of columns with bloom filters: ids lie anywhere in their range, and would outlive their rows in the log.
    """
    least: dict[str, object] = {}
    greatest: dict[str, object] = {}
    nulls: dict[str, int] = {}
    bounded = set(table.sort_by) - set(table.bloom_filters)
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    for field in table.schema:
        if field.name in places and (field.name in bounded or field.type == TIMESTAMP):
            of_groups = [
                metadata.row_group(group).column(places[field.name]).statistics
                for group in range(metadata.num_row_groups)
            ]
            if not of_groups or any(found is None for found in of_groups):
                continue
            nulls[field.name] = sum(found.null_count for found in of_groups)
            with_values = [found for found in of_groups if found.num_values]
            if with_values and all(found.has_min_max for found in with_values):
                low, high = min(found.min for found in with_values), max(found.max for found in with_values)
                if _is_short(low) and _is_short(high):
                    least[field.name], greatest[field.name] = _json_value(low), _json_value(high)
    found = {"numRecords": metadata.num_rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}
    return orjson.dumps(found).decode()


def _is_short(value: object) -> bool:
    return not isinstance(value, str) or len(value) <= STATISTICS_TEXT_CHARACTERS_MAX


def _json_value(value: object) -> object:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
