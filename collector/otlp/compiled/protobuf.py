"""Protobuf's wire format: varints, tags, lengths, what to do with unknown fields, UTF-8.

A function returns the position that follows what it read, or an error: a negative number. What is accepted is what
upb, Google's parser, accepts.
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.memory import load8, load64

TRUNCATED = -1
BAD_VARINT = -2
BAD_TAG = -3
BAD_GROUP = -4
BAD_UTF8 = -5
TOO_DEEP = -6
BAD_LENGTH = -7

VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = 0, 1, 2, 3, 4, 5

DEPTH_MAX = 100
"""Messages may be nested so deep: upb's own limit."""

TAG_BYTES_MAX = 5
TAG_MAX = np.uint64(2**32 - 1)
LENGTH_BYTES_MAX = 5
LENGTH_MAX = np.uint64(2**31 - 1)

_NOT_ASCII = np.uint64(0x8080808080808080)


@inlined()
def varint(buf, pos, end):
    """Return (value, next); (0, error)."""
    if pos >= end:
        return np.uint64(0), TRUNCATED
    byte = load8(buf, pos)
    if byte < 0x80:
        return np.uint64(byte), pos + 1
    return long_varint(buf, pos, end)


@inner()
def long_varint(buf, pos, end):
    """Return (value, next) of a varint of more than one byte; (0, error)."""
    value = np.uint64(0)
    for index in range(10):
        if pos + index >= end:
            return np.uint64(0), TRUNCATED
        byte = load8(buf, pos + index)
        # Of a tenth byte the shift drops what is beyond 64 bits, as upb does.
        value |= np.uint64(byte & 0x7F) << np.uint64(7 * index)
        if byte < 0x80:
            return value, pos + index + 1
    return np.uint64(0), BAD_VARINT


@inlined()
def tag(buf, pos, end):
    """Return (field, wire type, next); (0, 0, error)."""
    if pos < end:
        byte = load8(buf, pos)
        if byte < 0x80:
            if byte < 8:
                return 0, 0, BAD_TAG
            return byte >> 3, byte & 7, pos + 1
    value, after = long_varint(buf, pos, end)
    if after < 0:
        return 0, 0, after
    if after - pos > TAG_BYTES_MAX or value > TAG_MAX or value < np.uint64(8):
        return 0, 0, BAD_TAG
    number = np.int64(value)
    return number >> 3, number & 7, after


@inlined()
def length(buf, pos, end):
    """Return (start, stop) of a length-delimited value; (0, error)."""
    value, after = varint(buf, pos, end)
    if after < 0:
        return 0, after
    if after - pos > LENGTH_BYTES_MAX or value > LENGTH_MAX:
        return 0, BAD_LENGTH
    if value > np.uint64(end - after):
        return 0, TRUNCATED
    return after, after + np.int64(value)


@inner()
def skip(buf, pos, end, field, wire, depth):
    """Return what follows the unknown field whose tag was just read, in a message at ``depth``; or an error."""
    if wire != START_GROUP:
        return _skip_plain(buf, pos, end, wire)
    open_groups = np.empty(DEPTH_MAX + 1, np.int64)
    level = 0
    while True:
        if wire == START_GROUP:
            if depth + level + 1 > DEPTH_MAX:
                return TOO_DEEP
            open_groups[level] = field
            level += 1
        elif wire == END_GROUP:
            if field != open_groups[level - 1]:
                return BAD_GROUP
            level -= 1
            if level == 0:
                return pos
        else:
            pos = _skip_plain(buf, pos, end, wire)
            if pos < 0:
                return pos
        field, wire, pos = _tag_in_group(buf, pos, end)
        if pos < 0:
            return pos


@inlined()
def _tag_in_group(buf, pos, end):
    """Return what ``tag`` does; but in an unknown group upb takes any field number, also 0."""
    value, after = varint(buf, pos, end)
    if after < 0:
        return 0, 0, after
    if after - pos > TAG_BYTES_MAX or value > TAG_MAX:
        return 0, 0, BAD_TAG
    number = np.int64(value)
    return number >> 3, number & 7, after


@inlined()
def _skip_plain(buf, pos, end, wire):
    if wire == VARINT:
        _, after = varint(buf, pos, end)
        return after
    if wire == LEN:
        _, after = length(buf, pos, end)
        return after
    if wire == I64:
        return pos + 8 if pos + 8 <= end else TRUNCATED
    if wire == I32:
        return pos + 4 if pos + 4 <= end else TRUNCATED
    return BAD_GROUP if wire == END_GROUP else BAD_TAG


@inlined()
def is_utf8(buf, start, stop):
    """Return whether the bytes are valid UTF-8. Reads up to seven bytes beyond ``stop``."""
    pos = start
    while pos + 32 <= stop:
        bits = load64(buf, pos) | load64(buf, pos + 8) | load64(buf, pos + 16) | load64(buf, pos + 24)
        if bits & _NOT_ASCII:
            return _is_utf8(buf, pos, stop)
        pos += 32
    while pos + 8 <= stop:
        if load64(buf, pos) & _NOT_ASCII:
            return _is_utf8(buf, pos, stop)
        pos += 8
    if pos < stop:
        rest = load64(buf, pos) << np.uint64(8 * (8 - (stop - pos)))
        if rest & _NOT_ASCII:
            return _is_utf8(buf, pos, stop)
    return True


@inner()
def _is_utf8(buf, start, stop):
    pos = start
    while pos < stop:
        if pos + 8 <= stop and not (load64(buf, pos) & _NOT_ASCII):
            pos += 8
            continue
        byte = load8(buf, pos)
        if byte < 0x80:
            pos += 1
            continue
        count = _following(byte)
        if count == 0 or pos + count >= stop:
            return False
        second = load8(buf, pos + 1)
        if second < _second_min(byte) or second > _second_max(byte):
            return False
        for index in range(2, count + 1):
            if load8(buf, pos + index) & 0xC0 != 0x80:
                return False
        pos += count + 1
    return True


@inlined()
def _following(first):
    """Return how many bytes follow the first one of a character; 0 where none begins so."""
    if first < 0xC2 or first > 0xF4:
        return 0
    return 1 if first < 0xE0 else 2 if first < 0xF0 else 3


@inlined()
def _second_min(first):
    # No overlong forms.
    return 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80


@inlined()
def _second_max(first):
    # No surrogates, nothing beyond U+10FFFF.
    return 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
