"""Arrow buffers from what a scan found."""

import numpy as np

from collector.jit import jit
from collector.otlp.compiled.promotion import IN_MADE
from collector.otlp.compiled.text import put_hex, put_raw

_SIZE = 0x7FFFFFFF


@jit()
def total_bytes(references):
    """Return how many bytes the referred texts take together."""
    total = 0
    for row in range(len(references)):
        total += references[row] & _SIZE
    return total


@jit()
def gather_text(references, buf, made, out, offsets, valid):
    """Copy the referred texts one behind the other; an empty one is NULL. Return how many are NULL."""
    o = 0
    nulls = 0
    offsets[0] = 0
    for row in range(len(references)):
        place = references[row]
        size = place & _SIZE
        if size == 0:
            nulls += 1
        else:
            start = place >> 32
            if place & IN_MADE:
                o = put_raw(out, o, made, start, start + size)
            else:
                o = put_raw(out, o, buf, start, start + size)
            valid[row >> 3] |= np.uint8(1 << (row & 7))
        offsets[row + 1] = o
    return nulls


@jit()
def gather_ids(positions, buf, out, offsets, valid, size):
    """Write ids of ``size`` bytes as hex digits; a negative position is NULL. Return how many are NULL."""
    o = 0
    nulls = 0
    offsets[0] = 0
    for row in range(len(positions)):
        if positions[row] < 0:
            nulls += 1
        else:
            o = put_hex(out, o, buf, positions[row], positions[row] + size)
            valid[row >> 3] |= np.uint8(1 << (row & 7))
        offsets[row + 1] = o
    return nulls


@jit()
def filled_bits(filled, column, valid):
    """Set the bit of each row whose ``column`` is filled; return how many are not."""
    nulls = 0
    for row in range(len(filled)):
        if filled[row] >> column & 1:
            valid[row >> 3] |= np.uint8(1 << (row & 7))
        else:
            nulls += 1
    return nulls


@jit()
def nonzero_bits(values, bits):
    """Set the bit of each row whose value is not zero."""
    for row in range(len(values)):
        if values[row] != 0:
            bits[row >> 3] |= np.uint8(1 << (row & 7))


@jit()
def nonempty_bits(offsets, valid):
    """Set the bit of each row whose text is not empty; return how many are."""
    nulls = 0
    for row in range(len(offsets) - 1):
        if offsets[row + 1] > offsets[row]:
            valid[row >> 3] |= np.uint8(1 << (row & 7))
        else:
            nulls += 1
    return nulls
