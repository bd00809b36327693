"""The window of rows lately taken, spans most of all: it tells a client's retry from a new row.

Theory of operation. A span is known by 128 bits: a keyed hash of (project, trace_id, span_id), and its content hash.
The keys lie in a ring in the order of their arrival, so that the oldest is the one that is overwritten; a hash table
with linear probing, at most half full, finds a key's place in the ring. A slot is ``tag << 32 | place + 1``, 0 where it
is empty; the tag, the upper half of the keyed hash, says in which slot a probe begins, so that a slot is emptied by
shifting back what follows it, and no tombstone remains.

No Python object is made of a span. The memory is all taken at the start: 32 to 48 bytes a span.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.jit import inlined, jit
from collector.siphash import RowHash, UInt64s

IDENTITY = ("project", "trace_id", "span_id", "content_hash")
_HALF = np.uint64(32)
_PLACE = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_EMPTY = np.uint64(0)


@dataclass(frozen=True, slots=True)
class FreshSpans:
    """Spans of a batch that were not sent before, with the keys to remember them by."""

    rows: pa.RecordBatch
    keys: UInt64s


class SpanWindow:
    """Remembers the last ``spans_max`` rows that are on disk, spans or others of that identity. For one thread."""

    def __init__(self, spans_max: int, identity: tuple[str, ...] = IDENTITY) -> None:
        self._identity = identity
        self._spans_max = spans_max
        self._hash = RowHash()
        self._ring = np.zeros((max(spans_max, 1), 2), np.uint64)
        self._slots = np.zeros(_slot_count(spans_max), np.uint64)
        self._remembered = 0

    def fresh(self, spans: pa.RecordBatch) -> FreshSpans:
        """Return the spans that are neither remembered nor twice in the batch itself."""
        if spans.num_rows == 0:
            return FreshSpans(spans, np.empty((0, 2), np.uint64))
        keys = self._keys(spans)
        mask = np.empty(len(keys), np.bool_)
        if _mark_fresh(keys, self._slots, self._ring, np.zeros(_slot_count(len(keys)), np.uint32), mask) == len(keys):
            return FreshSpans(spans, keys)
        return FreshSpans(spans.filter(pa.array(mask)), keys[mask])

    def remember(self, keys: UInt64s) -> None:
        """Add spans that are on disk, oldest first; the oldest fall out."""
        if self._spans_max:
            self._remembered = _remember(keys[-self._spans_max :], self._slots, self._ring, self._remembered)

    def fill(self, spans: pa.Table) -> None:
        """Add rows that an earlier process stored, the columns of the identity, latest first."""
        for batch in reversed(spans.to_batches()):
            if batch.num_rows:
                self.remember(np.ascontiguousarray(self._keys(batch)[::-1]))

    def _keys(self, spans: pa.RecordBatch) -> UInt64s:
        keys = np.empty((spans.num_rows, 2), np.uint64)
        *names, content_hash = (spans.column(name) for name in self._identity)
        # The project alone is the same for all: they would lie in one place of the table.
        keys[:, 0] = self._hash(names if len(names) > 1 else [*names, content_hash.cast(pa.string())])
        keys[:, 1] = _integers(content_hash)
        return keys


@dataclass(frozen=True, slots=True)
class RecentRows:
    """The window of one table, and what reads from the lake what it is filled with: the latest first."""

    window: SpanWindow
    read: Callable[[], pa.Table]


def _integers(column: pa.Array) -> NDArray[np.uint64]:
    if column.null_count:
        column = column.fill_null(0)
    return np.frombuffer(column.buffers()[1], np.uint64)[column.offset : column.offset + len(column)]


def _slot_count(keys_max: int) -> int:
    return 1 << max(2 * keys_max - 1, 1).bit_length()


@inlined()
def _find(high, low, slots, ring):  # type: ignore[no-untyped-def]
    """Return whether a key is remembered, and the slot where it is or would be."""
    mask = np.uint64(len(slots) - 1)
    tag = high >> _HALF
    slot = tag & mask
    while slots[slot] != _EMPTY:
        if slots[slot] >> _HALF == tag:
            place = (slots[slot] & _PLACE) - _ONE
            if ring[place, 0] == high and ring[place, 1] == low:
                return True, slot
        slot = (slot + _ONE) & mask
    return False, slot


@inlined()
def _forget(place, slots, ring):  # type: ignore[no-untyped-def]
    """Empty the slot of a place in the ring; move what follows it back to where a probe finds it."""
    mask = np.uint64(len(slots) - 1)
    hole = (ring[place, 0] >> _HALF) & mask
    while slots[hole] & _PLACE != place + _ONE:
        hole = (hole + _ONE) & mask
    slot = (hole + _ONE) & mask
    while slots[slot] != _EMPTY:
        home = (slots[slot] >> _HALF) & mask
        if (slot - home) & mask >= (slot - hole) & mask:
            slots[hole] = slots[slot]
            hole = slot
        slot = (slot + _ONE) & mask
    slots[hole] = _EMPTY


@jit()
def _remember(keys, slots, ring, remembered):  # type: ignore[no-untyped-def]
    """Add keys; return how many have been added in all."""
    capacity = len(ring)
    for row in range(len(keys)):
        high, low = keys[row, 0], keys[row, 1]
        if _find(high, low, slots, ring)[0]:
            continue
        place = np.uint64(remembered % capacity)
        if remembered >= capacity:
            _forget(place, slots, ring)
        # Only now: emptying a slot may have moved others.
        slot = _find(high, low, slots, ring)[1]
        ring[place, 0], ring[place, 1] = high, low
        slots[slot] = ((high >> _HALF) << _HALF) | (place + _ONE)
        remembered += 1
    return remembered


@jit()
def _mark_fresh(keys, slots, ring, seen, mask):  # type: ignore[no-untyped-def]
    """Mark the keys that are neither remembered nor earlier in the batch; ``seen`` is a table for these. Count them."""
    seen_mask = np.uint64(len(seen) - 1)
    count = 0
    for row in range(len(keys)):
        high, low = keys[row, 0], keys[row, 1]
        mask[row] = not _find(high, low, slots, ring)[0]
        slot = high & seen_mask
        while mask[row] and seen[slot] != 0:
            earlier = seen[slot] - 1
            if keys[earlier, 0] == high and keys[earlier, 1] == low:
                mask[row] = False
            slot = (slot + _ONE) & seen_mask
        if mask[row]:
            seen[slot] = row + 1
            count += 1
    return count
