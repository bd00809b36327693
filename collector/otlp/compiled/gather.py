"""Arrow buffers from what a scan found: all columns of a kind in one call, since a call costs as much as many rows."""

import numpy as np

from collector.jit import inlined, inner, jit
from collector.otlp.compiled.keys import FLAG
from collector.otlp.compiled.promotion import IN_MADE
from collector.otlp.compiled.span import COLUMNS, CONTEXT, FILLED
from collector.otlp.compiled.text import put_hex, put_raw

_SIZE = 0x7FFFFFFF


@inlined()
def _set_bit(bits, column, row):
    bits[column, row >> 3] |= np.uint8(1 << (row & 7))


@inner()
def _total_bytes(references):
    total = 0
    for row in range(len(references)):
        total += references[row] & _SIZE
    return total


@inner()
def _gather(references, buf, made, out, o, offsets, valid):
    """Copy texts one behind the other from ``o`` on; an empty one is NULL. Return how many are."""
    first = o
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
        offsets[row + 1] = o - first
    return nulls


@inner()
def _references(cells, contexts, place, scratch):
    """Return where a column's texts are; ``place`` is a row of ``cells``, or the inverse of one of ``contexts``."""
    rows = len(scratch)
    if place >= 0:
        return cells[place, :rows]
    shared = contexts[~place]
    for row in range(rows):
        scratch[row] = shared[cells[CONTEXT, row]]
    return scratch


@jit()
def text_sizes(cells, contexts, places, scratch, sizes):
    """Put into ``sizes`` how many bytes the texts of each column take; ``scratch`` is as long as there are rows."""
    for column in range(len(places)):
        sizes[column] = _total_bytes(_references(cells, contexts, places[column], scratch))


@jit()
def gather_texts(cells, contexts, places, scratch, sizes, starts, buf, made, out, offsets, valid, nulls):
    """Copy the texts of each column to its start in ``out``, one behind the other; an empty one is NULL. Count these.

    Of a column without any text nothing is written. The starts ascend: up to 15 bytes beyond a column are written.
    """
    for column in range(len(places)):
        nulls[column] = len(scratch)
        if sizes[column]:
            references = _references(cells, contexts, places[column], scratch)
            nulls[column] = _gather(references, buf, made, out, starts[column], offsets[column], valid[column])


@jit()
def gather_numbers(cells, rows, columns, kinds, values, bits, valid, nulls):
    """Copy the numbers of each column to ``values``, or the flags to ``bits``; count those that are not filled."""
    for place in range(len(columns)):
        column = columns[place]
        nulls[place] = rows
        for row in range(rows):
            if cells[FILLED, row] >> column & 1:
                _set_bit(valid, place, row)
                nulls[place] -= 1
        if nulls[place] == rows:
            continue
        for row in range(rows):
            value = cells[COLUMNS + column, row]
            if kinds[place] == FLAG:
                if value != 0:
                    _set_bit(bits, place, row)
            else:
                values[place, row] = value


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
def nonempty_bits(offsets, valid):
    """Set the bit of each row whose text is not empty; return how many are."""
    nulls = 0
    for row in range(len(offsets) - 1):
        if offsets[row + 1] > offsets[row]:
            valid[row >> 3] |= np.uint8(1 << (row & 7))
        else:
            nulls += 1
    return nulls
