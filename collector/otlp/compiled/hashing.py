"""xxHash64, the published algorithm with seed 0, for compiled code."""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.memory import load8, load64

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_LOW = np.uint64(0xFFFFFFFF)


@inlined()
def _rotate(value, bits):
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@inlined()
def _round(accumulator, lane):
    return _rotate(accumulator + lane * _P2, 31) * _P1


@inlined()
def _merge(value, accumulator):
    return (value ^ _round(np.uint64(0), accumulator)) * _P1 + _P4


@inner()
def xxh64(buf, start, stop):
    """Return the hash of the bytes, unsigned."""
    pos = start
    if stop - start >= 32:
        a, b, c, d = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
        while pos + 32 <= stop:
            a = _round(a, load64(buf, pos))
            b = _round(b, load64(buf, pos + 8))
            c = _round(c, load64(buf, pos + 16))
            d = _round(d, load64(buf, pos + 24))
            pos += 32
        value = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        value = _merge(_merge(_merge(_merge(value, a), b), c), d)
    else:
        value = _P5
    value += np.uint64(stop - start)
    while pos + 8 <= stop:
        value = _rotate(value ^ _round(np.uint64(0), load64(buf, pos)), 27) * _P1 + _P4
        pos += 8
    if pos + 4 <= stop:
        value = _rotate(value ^ ((load64(buf, pos) & _LOW) * _P1), 23) * _P2 + _P3
        pos += 4
    while pos < stop:
        value = _rotate(value ^ (np.uint64(load8(buf, pos)) * _P5), 11) * _P1
        pos += 1
    value = (value ^ (value >> np.uint64(33))) * _P2
    value = (value ^ (value >> np.uint64(29))) * _P3
    return value ^ (value >> np.uint64(32))
