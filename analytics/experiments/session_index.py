"""Numbers sessions, so that tables of them are joined by numbers: a text is hashed once a row, and never compared."""

from __future__ import annotations

import secrets

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.compiled.texts import md5_heads, number_hashes, place_again, sip_hashes
from storage.errors import QueryTooLargeError

SESSIONS_MAX = 8_000_000
"""Sessions that one index numbers: with all that is known of each, they take some 1.5 GiB."""
_SLOTS_MIN = 1024
_GROWTH = 4

Numbers = NDArray[np.int32]


class SessionIndex:
    """Gives each session the next number, from 0. It takes 32 to 64 bytes a session."""

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        self.count = 0
        self._sessions_max = sessions_max
        self._key = np.frombuffer(secrets.token_bytes(16), np.uint64)
        self._slots = np.full(_SLOTS_MIN, -1, np.int32)
        self._lows = np.empty(_SLOTS_MIN // 2, np.uint64)
        self._highs = np.empty(_SLOTS_MIN // 2, np.uint64)

    def add(self, session_ids: pa.Array) -> Numbers:
        """Return the number of each session, a new one of those that have none; -1 of NULL.

        Raises QueryTooLargeError where there are more than it may number.
        """
        self._make_room(len(session_ids))
        numbers = self._numbers(session_ids, is_adding=True)
        if self.count > self._sessions_max:
            raise QueryTooLargeError(
                f"more than {self._sessions_max:,} sessions, the most that are counted at once: ask for an earlier "
                "moment by as_of, or go on under a new key"
            )
        return numbers

    def find(self, session_ids: pa.Array) -> Numbers:
        """Return the number of each session, -1 of those that have none."""
        return self._numbers(session_ids, is_adding=False)

    def _numbers(self, session_ids: pa.Array, *, is_adding: bool) -> Numbers:
        data, ends = _buffers(session_ids)
        is_valid = session_ids.is_valid().to_numpy(zero_copy_only=False) if session_ids.null_count else _ALL_VALID
        numbers = np.empty(len(session_ids), np.int32)
        of_low, of_high = np.empty((2, len(session_ids)), np.uint64)
        sip_hashes(data, ends, self._key, of_low, of_high)
        self.count = number_hashes(
            of_low, of_high, is_valid, self._slots, self._lows, self._highs, self.count, is_adding, numbers
        )
        return numbers

    def _make_room(self, count: int) -> None:
        wanted = self.count + count
        if wanted > len(self._lows):
            # All are placed anew each time.
            slots = 1 << (2 * max(wanted, _GROWTH * len(self._lows)) - 1).bit_length()
            self._lows, self._highs = (_longer(hashes, slots // 2) for hashes in (self._lows, self._highs))
            self._slots = np.full(slots, -1, np.int32)
            place_again(self._slots, self._lows, self.count)


def md5_numbers(salt: str, texts: pa.Array) -> NDArray[np.uint64]:
    """Return the first eight bytes of the MD5 of the salt and each text, as little-endian numbers."""
    data, ends = _buffers(texts)
    found = np.empty(len(texts), np.uint64)
    md5_heads(data, ends, np.frombuffer(salt.encode(), np.uint8), found)
    return found


_ALL_VALID = np.empty(0, np.bool_)
_NO_BYTES = np.empty(0, np.uint8)


def _buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the bytes of all texts, and where each begins and the last ends."""
    if texts.type != pa.string():
        texts = texts.cast(pa.string())
    _, ends, data = texts.buffers()
    if not len(texts):
        return _NO_BYTES, np.zeros(1, np.int32)
    found = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return _NO_BYTES if data is None else np.frombuffer(data, np.uint8), found


def _longer(values: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    made = np.empty(length, values.dtype)
    made[: len(values)] = values
    return made
