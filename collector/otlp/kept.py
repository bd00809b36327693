"""Rows of log records and data points that are kept: made into batches a bounded part at a time.

A row as a Python object is many times as large as in Arrow, and what stands once in a request, its resource, stands in
each row: so parts are small, and their sum has a limit.
"""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from collector.component import TooLargeError
from collector.rows import Row, batch

KEPT_BYTES_MAX = 256 * 1024 * 1024
"""What requests that are decoded together may come to."""

KEPT_ROWS_MAX = 100_000
"""In a request, as of spans: a row takes about 15 µs, and meanwhile nothing else is decoded."""

_PART_ROWS = 4_096
_PART_BYTES = 4 * 1024 * 1024


class KeptRows:
    """The rows of one request for one table."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rows: list[Row] = []
        self._bytes = 0
        self._batches: list[pa.RecordBatch] = []
        self.count = 0
        self.size_bytes = 0

    def add(self, row: Row, size_bytes: int) -> None:
        """Add a row, of texts of about that size. Raises TooLargeError, and DecodeError for what can't be stored."""
        if self.count >= KEPT_ROWS_MAX:
            self.clear()
            raise TooLargeError(f"at most {KEPT_ROWS_MAX} rows of {self._table} in a request allowed: send it in parts")
        self._rows.append(row)
        self._bytes += size_bytes
        self.count += 1
        if len(self._rows) >= _PART_ROWS or self._bytes >= _PART_BYTES:
            self._end_part()

    def batches(self) -> list[pa.RecordBatch]:
        """Return all rows. Raises as ``add``."""
        if self._rows:
            self._end_part()
        return self._batches

    def _end_part(self) -> None:
        part = batch(self._table, self._rows)
        self._rows, self._bytes = [], 0
        self._batches.append(part)
        self.size_bytes += part.nbytes
        check_size(self.size_bytes, [self])

    def clear(self) -> None:
        """Let go of the rows."""
        self._rows, self._batches = [], []


def check_size(size_bytes: int, kept: Sequence[KeptRows]) -> None:
    """Raise TooLargeError where these come to more than KEPT_BYTES_MAX; they let go of their rows then.

    Else they would live as long as the error does, whose traceback refers to them.
    """
    if size_bytes > KEPT_BYTES_MAX:
        for each in kept:
            each.clear()
        raise TooLargeError(f"decoded, its rows take more than {KEPT_BYTES_MAX} bytes: send it in parts")


def joined(table: str, kept: Iterable[KeptRows]) -> pa.RecordBatch:
    """Return the rows of several requests as one batch."""
    batches = [part for each in kept for part in each.batches()]
    return pa.concat_batches(batches) if batches else batch(table, [])
