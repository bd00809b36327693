"""JSON strings, base64 and hex digits."""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.memory import copy_bytes, load8, load64, store8, store64, trailing_zeros

ESCAPED_MAX = 6
"""A byte takes at most so many in a JSON string."""

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8).astype(np.int64)
_HEX_PAIRS = np.array([ord(f"{n:02x}"[0]) | ord(f"{n:02x}"[1]) << 8 for n in range(256)], np.uint64)
_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8).astype(np.int64)
# What follows the backslash; 0: the character stands as it is; 1: \u00XX.
_ESCAPES = np.array([1] * 32 + [0] * 224, np.int64)
for _character, _letter in {'"': '"', "\\": "\\", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}.items():
    _ESCAPES[ord(_character)] = ord(_letter)

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x22) * _ONES
_BACKSLASHES = np.uint64(0x5C) * _ONES
_SPACES = np.uint64(0x20) * _ONES
_EVERY_BIT = np.uint64(2**64 - 1)


@inlined()
def escaped_bytes(word):
    """Return bits of those of eight bytes that are control characters, quotes or backslashes; the lowest is exact."""
    quotes = word ^ _QUOTES
    backslashes = word ^ _BACKSLASHES
    found = (word - _SPACES) & ~word
    found |= (quotes - _ONES) & ~quotes
    found |= (backslashes - _ONES) & ~backslashes
    return found & _HIGHS


@inner()
def put_string(out, o, buf, start, stop):
    """Write valid UTF-8 as a JSON string; return the end. Reads and writes up to seven bytes beyond."""
    store8(out, o, 34)
    o += 1
    pos = start
    while pos + 8 <= stop:
        word = load64(buf, pos)
        store64(out, o, word)
        found = escaped_bytes(word)
        if found == 0:
            pos += 8
            o += 8
            continue
        # As far as the first that is escaped, the word is right.
        before = trailing_zeros(found) >> 3
        pos += before + 1
        o = _put_escaped(out, o + before, buf, pos - 1, pos)
    if pos < stop:
        # What follows the text counts as spaces, which are never escaped.
        beyond = _EVERY_BIT << np.uint64(8 * (stop - pos))
        word = load64(buf, pos) & ~beyond | _SPACES & beyond
        if escaped_bytes(word):
            o = _put_escaped(out, o, buf, pos, stop)
        else:
            store64(out, o, word)
            o += stop - pos
    store8(out, o, 34)
    return o + 1


@inner()
def _put_escaped(out, o, buf, start, stop):
    for pos in range(start, stop):
        byte = load8(buf, pos)
        escape = _ESCAPES[byte]
        if escape == 0:
            store8(out, o, byte)
            o += 1
        elif escape == 1:
            for character in (92, 117, 48, 48, _HEX[byte >> 4], _HEX[byte & 15]):
                store8(out, o, character)
                o += 1
        else:
            store8(out, o, 92)
            store8(out, o + 1, escape)
            o += 2
    return o


@inner()
def put_text(out, o, text):
    """Write a constant text; return the end."""
    for index in range(len(text)):
        store8(out, o + index, text[index])
    return o + len(text)


@inlined()
def put_raw(out, o, buf, start, stop):
    """Copy bytes as they are; return the end. Writes and reads up to 15 bytes beyond."""
    count = stop - start
    if count <= 16:
        store64(out, o, load64(buf, start))
        store64(out, o + 8, load64(buf, start + 8))
    else:
        copy_bytes(out, o, buf, start, count)
    return o + count


@inner()
def put_hex(out, o, buf, start, stop):
    """Write bytes as lowercase hex digits; return the end."""
    pos = start
    while pos + 4 <= stop:
        word = _HEX_PAIRS[load8(buf, pos)] | _HEX_PAIRS[load8(buf, pos + 1)] << np.uint64(16)
        word |= _HEX_PAIRS[load8(buf, pos + 2)] << np.uint64(32) | _HEX_PAIRS[load8(buf, pos + 3)] << np.uint64(48)
        store64(out, o, word)
        o += 8
        pos += 4
    while pos < stop:
        byte = load8(buf, pos)
        store8(out, o, _HEX[byte >> 4])
        store8(out, o + 1, _HEX[byte & 15])
        o += 2
        pos += 1
    return o


@inner()
def put_base64(out, o, buf, start, stop):
    """Write bytes in base64; return the end."""
    pos = start
    while pos < stop:
        count = min(stop - pos, 3)
        bits = load8(buf, pos) << 16
        bits |= load8(buf, pos + 1) << 8 if count > 1 else 0
        bits |= load8(buf, pos + 2) if count > 2 else 0
        store8(out, o, _BASE64[bits >> 18])
        store8(out, o + 1, _BASE64[bits >> 12 & 63])
        store8(out, o + 2, _BASE64[bits >> 6 & 63] if count > 1 else 61)
        store8(out, o + 3, _BASE64[bits & 63] if count > 2 else 61)
        o += 4
        pos += 3
    return o
