"""How large an answer is once it is told as JSON, and as much of one as its limits allow."""

from dataclasses import dataclass

import pyarrow as pa

# A value that takes a bit in Arrow, or nothing, is an object in Python, and some characters in JSON.
VALUE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and whether there were more than its limits allow."""

    rows: pa.Table
    truncated: bool


def limited(reader: pa.RecordBatchReader, rows_max: int, bytes_max: int) -> Answer:
    """Return as many of the first rows as fit into both limits; no more is read than shows that there are others."""
    batches: list[pa.RecordBatch] = []
    rows_left, bytes_left = rows_max, bytes_max
    for batch in reader:
        rows = _fitting(batch, rows_left, bytes_left)
        batches.append(batch.slice(0, rows))
        if rows < batch.num_rows:
            return Answer(pa.Table.from_batches(batches, reader.schema), truncated=True)
        rows_left -= rows
        bytes_left -= _size_bytes(batch)
    return Answer(pa.Table.from_batches(batches, reader.schema), truncated=False)


def _fitting(batch: pa.RecordBatch, rows_max: int, bytes_max: int) -> int:
    fits, does_not = 0, int(min(batch.num_rows, rows_max)) + 1
    if _size_bytes(batch.slice(0, does_not - 1)) <= bytes_max:
        return does_not - 1
    while does_not - fits > 1:
        middle = (fits + does_not) // 2
        if _size_bytes(batch.slice(0, middle)) <= bytes_max:
            fits = middle
        else:
            does_not = middle
    return fits


def _size_bytes(batch: pa.RecordBatch) -> int:
    return int(batch.nbytes) + VALUE_BYTES * sum(map(_values, batch.columns))


def _values(array: pa.Array) -> int:
    """Return how many values there are, those within lists, maps and structs included."""
    kind = array.type
    if pa.types.is_map(kind):
        # A part of an array has the keys and items of the whole.
        start, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return len(array) + sum(_values(part.slice(start, end - start)) for part in (array.keys, array.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return len(array) + _values(array.flatten())
    if pa.types.is_struct(kind):
        return len(array) + sum(map(_values, array.flatten()))
    if pa.types.is_union(kind):
        return len(array) + sum(_values(array.field(place)) for place in range(kind.num_fields))
    return len(array)
