"""Columns of a batch as NumPy arrays and as codes, and back: so that rows cost arithmetic, and distinct texts the rest.

A batch's operations, providers and models are few texts, repeated. What follows from a text is worked out once for each
distinct one, and looked up by its code for each row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

FEW = 32
"""So few rows are sooner done one by one than a column is set up for."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts: the distinct ones, NULL among them where a row has it, and each row's index into them."""

    texts: Sequence[str | None]
    codes: Integers

    @classmethod
    def of(cls, column: pa.Array) -> "Coded":
        """Encode a column of strings."""
        if column.null_count == len(column):
            return cls([None], np.zeros(len(column), np.int64))
        if len(column) <= FEW:
            values = column.to_pylist()
            distinct = list(dict.fromkeys(values))
            return cls(distinct, np.array([distinct.index(value) for value in values], np.int64))
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        return cls(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64))

    def filled(self, rows: Booleans, text: str) -> "Coded":
        """Return the column with the text in these of its rows."""
        return Coded([*self.texts, text], np.where(rows, len(self.texts), self.codes))

    def take(self, choices: Sequence[str | None]) -> pa.Array:
        """Return the column of strings that has, in the place of each text, the choice at its index."""
        if len(self.codes) <= FEW:
            return pa.array([choices[code] for code in self.codes.tolist()], pa.string())
        return pa.array(choices, pa.string()).take(pa.array(self.codes))

    def flags(self, flags: Sequence[bool]) -> Booleans:
        """Return each row's flag, given those of the texts."""
        return np.array(flags, np.bool_)[self.codes]


def with_columns(rows: pa.RecordBatch, **columns: pa.Array) -> pa.RecordBatch:
    """Return the batch with these of its columns replaced."""
    # One set_column takes 3.5 µs; to make the batch of all its 56 columns anew takes 50.
    schema = rows.schema
    for name, values in columns.items():
        index = schema.get_field_index(name)
        rows = rows.set_column(index, schema.field(index), values)
    return rows


def validity(column: pa.Array) -> Booleans:
    """Return which rows are not NULL."""
    if column.null_count == 0:
        return ~np.zeros(len(column), np.bool_)  # Three times as fast as np.ones, for one row.
    if column.null_count == len(column):
        return np.zeros(len(column), np.bool_)
    return _bits(column, 0)


def integers(column: pa.Array) -> Integers:
    """Return the values of a column of 64-bit integers or timestamps, 0 where NULL."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    values = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column)]
    # What lies in the place of a NULL is anything.
    return values if column.null_count == 0 else np.where(validity(column), values, 0)


def booleans(column: pa.Array) -> Booleans:
    """Return the values of a column of booleans, False where NULL."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.bool_)
    return _bits(column, 1) if column.null_count == 0 else _bits(column, 1) & _bits(column, 0)


def _bits(column: pa.Array, buffer: int) -> Booleans:
    """Return the bits of a column's first buffer, its validity, or of a boolean column's second, its values."""
    packed = np.frombuffer(column.buffers()[buffer], np.uint8)
    end = column.offset + len(column)
    return np.unpackbits(packed, count=end, bitorder="little").view(np.bool_)[column.offset :]
