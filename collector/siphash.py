"""SipHash-1-3 over rows of strings, compiled: a hash whose collisions nobody finds who does not know its key.

The key is drawn at start, so the hashes are of use in this process alone. Each string is preceded by its length, so
that rows which differ only in where one string ends and the next begins have different hashes.
"""

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.jit import inlined, jit

UInt64s = NDArray[np.uint64]
_FINALISATION = np.uint64(0xFF)
_WORD = np.uint64(8)


class RowHash:
    """Hashes rows of strings under a key of its own."""

    def __init__(self) -> None:
        key = np.frombuffer(os.urandom(16), np.uint64)
        constants = np.frombuffer(b"uespemosmodnarodarenegylsetybdet", np.uint64)
        self._state = constants ^ np.tile(key, 2)

    def __call__(self, columns: Sequence[pa.Array]) -> UInt64s:
        """Return one hash a row of string columns of the same length; NULL counts as empty."""
        states = np.tile(self._state, (len(columns[0]), 1))
        for column in columns:
            _absorb(states, *_offsets_and_bytes(column))
        hashes: UInt64s = _finish(states)
        return hashes


def _offsets_and_bytes(column: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    if column.type != pa.string():
        column = column.cast(pa.string())
    _, offsets, content = column.buffers()
    first = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return first, np.frombuffer(content or b"", np.uint8)


@inlined()
def _rotate(value, bits):  # type: ignore[no-untyped-def]
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@inlined()
def _round(a, b, c, d):  # type: ignore[no-untyped-def]
    a += b
    c += d
    b = _rotate(b, 13) ^ a
    d = _rotate(d, 16) ^ c
    a = _rotate(a, 32)
    c += b
    a += d
    b = _rotate(b, 17) ^ c
    d = _rotate(d, 21) ^ a
    return a, b, _rotate(c, 32), d


@inlined()
def _take(a, b, c, d, word):  # type: ignore[no-untyped-def]
    a, b, c, d = _round(a, b, c, d ^ word)
    return a ^ word, b, c, d


@inlined()
def _word(content, position):  # type: ignore[no-untyped-def]
    """Return eight bytes, little-endian; LLVM makes one load of them."""
    word = np.uint64(0)
    for byte in range(8):
        word |= np.uint64(content[position + np.uint64(byte)]) << np.uint64(8 * byte)
    return word


@jit()
def _absorb(states, offsets, content):  # type: ignore[no-untyped-def]
    for row in range(states.shape[0]):
        position, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        a, b, c, d = states[row, 0], states[row, 1], states[row, 2], states[row, 3]
        a, b, c, d = _take(a, b, c, d, end - position)
        while position + _WORD <= end:
            a, b, c, d = _take(a, b, c, d, _word(content, position))
            position += _WORD
        if position < end:
            rest = np.uint64(0)
            while position < end:
                rest = (rest << _WORD) | np.uint64(content[position])
                position += np.uint64(1)
            a, b, c, d = _take(a, b, c, d, rest)
        states[row, 0], states[row, 1], states[row, 2], states[row, 3] = a, b, c, d


@jit()
def _finish(states):  # type: ignore[no-untyped-def]
    hashes = np.empty(states.shape[0], np.uint64)
    for row in range(states.shape[0]):
        a, b, c, d = states[row, 0], states[row, 1], states[row, 2] ^ _FINALISATION, states[row, 3]
        for _ in range(3):
            a, b, c, d = _round(a, b, c, d)
        hashes[row] = a ^ b ^ c ^ d
    return hashes
