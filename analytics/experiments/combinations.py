"""Gives each combination of the values of several columns of codes a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CODES_MAX = 2**20


def combinations(
    columns: Sequence[NDArray[np.integer]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's combination, from 0, and of each combination a row that has it.

    There is a row, and a column's greatest code is less than 2^31 above its least.
    """
    codes, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        least = int(column.min())
        count = int(column.max()) - least + 1
        if size * count > _CODES_MAX:
            # Of many codes only those that are there are counted: no product of two outgrows 64 bits.
            codes, size = _dense(codes)
        codes, size = codes * count + (column.astype(np.int64) - least), size * count
    if size > _CODES_MAX:
        codes, size = _dense(codes)
    rows = np.full(size, -1)
    rows[codes] = np.arange(len(codes))
    found = np.flatnonzero(rows >= 0)
    numbers = np.empty(size, np.int64)
    numbers[found] = np.arange(len(found))
    return numbers[codes], rows[found]


def _dense(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    found, places = np.unique(codes, return_inverse=True)
    return places, len(found)
