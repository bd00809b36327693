"""Attributes: the pairs of one object, read into a table of numbers, and written as a JSON object.

A row of the table is a pair: where its key begins and ends, its value as ``value`` has it, its key's hash and number,
its message family, and its state. Of a key that stands twice, which OTLP forbids, the last counts.
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.hashing import xxh64
from collector.otlp.compiled.keys import find_key, is_same
from collector.otlp.compiled.memory import size_of, store8
from collector.otlp.compiled.text import ESCAPED_MAX, put_string
from collector.otlp.compiled.value import LIST, MAP, NO_ROOM, ROOM, key_value, put_nested, put_scalar

PAIRS_MAX = 65_536
"""An object with more attributes than this is refused."""

KEY, KEY_STOP, KIND, A, B, HASH, ID, FAMILY, INDEX, REST, STATE = range(11)
WIDTH = 12

PRESENT, SUPERSEDED, TAKEN = 0, 1, 2

# A row of the winners' table (``promotion``) that is used as a filter of the keys that were seen.
SEEN = 3
_SEEN_BITS = 1024
_COMPARED_MAX = 32


ROWS = 2 * (PAIRS_MAX + 1)
"""The table has room for the pairs of a span and, behind them, of one of its events or links."""


@inlined()
def read_pair(pairs, count, buf, start, end, depth):
    """Read a KeyValue message into row ``count``, at most PAIRS_MAX; return 0, or an error."""
    row = min(count, PAIRS_MAX)
    key, key_stop, kind, a, b = key_value(buf, start, end, depth)
    if key < 0:
        return key
    pairs[row, KEY] = key
    pairs[row, KEY_STOP] = key_stop
    pairs[row, KIND] = kind
    pairs[row, A] = a
    pairs[row, B] = b
    pairs[row, STATE] = PRESENT
    return 0


@inlined()
def identify(pairs, count, buf, best):
    """Find the number of each pair's key among the dialects'; mark all but the last of pairs that share a key."""
    for word in range(_SEEN_BITS >> 6):
        best[SEEN, word] = 0
    may_repeat = False
    for row in range(count):
        hashed, number = find_key(buf, pairs[row, KEY], pairs[row, KEY_STOP])
        pairs[row, HASH] = np.int64(hashed)
        pairs[row, ID] = number
        place = np.int64(hashed & np.uint64(_SEEN_BITS - 1))
        bit = np.int64(1) << (place & 63)
        may_repeat |= best[SEEN, place >> 6] & bit != 0
        best[SEEN, place >> 6] |= bit
    if may_repeat:
        supersede(pairs, count, buf)


@inner()
def supersede(pairs, count, buf):
    """Mark all but the last of pairs that share a key."""
    if count <= _COMPARED_MAX:
        for row in range(count - 1, 0, -1):
            for earlier in range(row):
                if pairs[earlier, HASH] == pairs[row, HASH] and _share_key(pairs, earlier, row, buf):
                    pairs[earlier, STATE] = SUPERSEDED
        return
    hashes = np.empty(count, np.uint64)
    for row in range(count):
        # Of the whole key: many keys of one hash would cost the square of their number.
        hashes[row] = xxh64(buf, pairs[row, KEY], pairs[row, KEY_STOP])
    order = np.argsort(hashes, kind="mergesort")
    for place in range(1, count):
        row = order[place]
        # Back to the last one of the same key; others of its hash may stand between, if somebody made them.
        for before in range(place - 1, max(place - 1 - _COMPARED_MAX, -1), -1):
            earlier = order[before]
            if hashes[earlier] != hashes[row]:
                break
            if _share_key(pairs, earlier, row, buf):
                pairs[earlier, STATE] = SUPERSEDED
                break


@inlined()
def _share_key(pairs, one, other, buf):
    return is_same(buf, pairs[one, KEY], pairs[one, KEY_STOP], buf, pairs[other, KEY], pairs[other, KEY_STOP])


@inner()
def put_pair_value(out, o, buf, pairs, row, depth):
    """Write a pair's value; return the end, NO_ROOM, or an error. ``depth`` is the KeyValue message's."""
    kind = pairs[row, KIND]
    if kind == LIST or kind == MAP:
        return put_nested(out, o, buf, kind, pairs[row, A], pairs[row, B], depth + 1)
    return put_scalar(out, o, buf, kind, pairs[row, A], pairs[row, B])


@inner()
def put_pairs(out, o, buf, pairs, count, depth):
    """Write the pairs that are present as a JSON object; return the end, NO_ROOM, or an error.

    Values that are not written are checked all the same.
    """
    if o + ROOM > size_of(out):
        return NO_ROOM
    store8(out, o, 123)
    o += 1
    is_first = True
    for row in range(count):
        if pairs[row, STATE] != PRESENT:
            if pairs[row, KIND] == LIST or pairs[row, KIND] == MAP:
                end = put_pair_value(out, o, buf, pairs, row, depth)
                if end < 0:
                    return end
            continue
        if o + (pairs[row, KEY_STOP] - pairs[row, KEY]) * ESCAPED_MAX + ROOM > size_of(out):
            return NO_ROOM
        if not is_first:
            store8(out, o, 44)
            o += 1
        is_first = False
        o = put_string(out, o, buf, pairs[row, KEY], pairs[row, KEY_STOP])
        store8(out, o, 58)
        o = put_pair_value(out, o + 1, buf, pairs, row, depth)
        if o < 0:
            return o
    if o + ROOM > size_of(out):
        return NO_ROOM
    store8(out, o, 125)
    return o + 1


@inner()
def check_pair(out, o, buf, pairs, row, depth):
    """Return 0 if the value in a row is well-formed, NO_ROOM, or an error; what is in ``out`` from ``o`` on is lost."""
    end = put_pair_value(out, o, buf, pairs, row, depth)
    return min(end, 0)


@inner()
def mark_repeated(pairs, count, buf):
    """Mark all but the last of pairs that share a key, in an object whose keys are not looked up."""
    for row in range(count):
        pairs[row, HASH] = np.int64(xxh64(buf, pairs[row, KEY], pairs[row, KEY_STOP]))
    if count > 1:
        supersede(pairs, count, buf)
