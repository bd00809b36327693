"""Counts what protobuf's own parser would have to make of a body, before it is let to: two bytes can be a message."""

import numpy as np

from collector.jit import jit
from collector.otlp.compiled.protobuf import DEPTH_MAX, LEN, TOO_DEEP, length, skip, tag

PLAIN = -1
"""A field that costs its bytes, or is unknown."""

SCALARS = -2
"""A field of many scalars, eight bytes each."""


@jit()
def count(buf, start, end, kinds, elements_max):
    """Return how many messages and groups of eight scalars there are, counted up to ``elements_max``; or an error.

    ``kinds[k, f]`` is what field f of a message of kind k is: a kind of message, PLAIN or SCALARS. The body is of kind
    0.
    """
    ends = np.empty(DEPTH_MAX + 1, np.int64)
    within = np.empty(DEPTH_MAX + 1, np.int64)
    level, elements, pos = 0, 0, start
    ends[0], within[0] = end, 0
    while elements <= elements_max:
        while pos >= ends[level]:
            if level == 0:
                return elements
            level -= 1
        field, wire, pos = tag(buf, pos, ends[level])
        if pos < 0:
            return pos
        kind = kinds[within[level], field] if field < kinds.shape[1] else PLAIN
        if wire != LEN:
            elements += kind == SCALARS
            pos = skip(buf, pos, ends[level], field, wire, level)
            if pos < 0:
                return pos
            continue
        inner, stop = length(buf, pos, ends[level])
        if stop < 0:
            return stop
        pos = stop
        if kind == SCALARS:
            elements += 1 + (stop - inner) // 8
        elif kind >= 0:
            if level == DEPTH_MAX:
                return TOO_DEEP
            level += 1
            ends[level], within[level] = stop, kind
            elements += 1
            pos = inner
    return elements
