"""AnyValue: read, checked, and written as typed JSON (``collector/otlp/__init__.py`` says which).

A value is (kind, a, b): where a text, bytes, list or map begins and ends; the integer or truth value, or a double's
position, in ``a``. Negative kinds are errors, as in ``protobuf``.
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.hashing import xxh64
from collector.otlp.compiled.memory import load8, load_double, size_of, store8
from collector.otlp.compiled.number import NUMBER_BYTES_MAX, put_double, put_integer
from collector.otlp.compiled.protobuf import (
    BAD_UTF8,
    DEPTH_MAX,
    I64,
    LEN,
    TOO_DEEP,
    TRUNCATED,
    VARINT,
    is_utf8,
    length,
    skip,
    tag,
    varint,
)
from collector.otlp.compiled.text import ESCAPED_MAX, put_base64, put_string, put_text

EMPTY, STRING, BOOL, INT, DOUBLE, LIST, MAP, BYTES = range(8)

NO_ROOM = -100
"""The output buffer is too small: the caller tries again with a larger one."""

ROOM = 64
"""So much room is kept free beyond what is checked for, for brackets, commas and wide stores."""

PAIRS_COMPARED_MAX = 16

_NULL = np.frombuffer(b"null", np.uint8)
_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)
_BYTES = np.frombuffer(b'{"$bytes":"', np.uint8)
_BYTES_END = np.frombuffer(b'"}', np.uint8)
_NAN = np.frombuffer(b'{"$double":"NaN"}', np.uint8)
_INFINITY = np.frombuffer(b'{"$double":"Infinity"}', np.uint8)
_MINUS_INFINITY = np.frombuffer(b'{"$double":"-Infinity"}', np.uint8)
_LISTED = np.frombuffer(b'{"$kvlist":[', np.uint8)


@inlined()
def any_value(buf, start, end, depth):
    """Return the value of an AnyValue message at ``depth``: the last of its fields counts; all are checked."""
    kind, a, b = EMPTY, 0, 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, 0, 0
        if wire == LEN and (field == 1 or 5 <= field <= 7):
            if kind == LIST or kind == MAP:
                error = check_value(buf, start, end, depth)
                if error < 0:
                    return error, 0, 0
            a, b = length(buf, pos, end)
            if b < 0:
                return b, 0, 0
            pos = b
            if field == 1:
                kind = STRING
                if not is_utf8(buf, a, b):
                    return BAD_UTF8, 0, 0
            else:
                kind = LIST if field == 5 else MAP if field == 6 else BYTES
        elif (wire == VARINT and (field == 2 or field == 3 or field == 8)) or (wire == I64 and field == 4):
            if kind == LIST or kind == MAP:
                error = check_value(buf, start, end, depth)
                if error < 0:
                    return error, 0, 0
            if wire == I64:
                if pos + 8 > end:
                    return TRUNCATED, 0, 0
                kind, a = DOUBLE, pos
                pos += 8
            else:
                value, pos = varint(buf, pos, end)
                if pos < 0:
                    return pos, 0, 0
                kind = BOOL if field == 2 else INT if field == 3 else EMPTY
                a = np.int64(value != 0) if field == 2 else np.int64(value)
        else:
            pos = skip(buf, pos, end, field, wire, depth)
            if pos < 0:
                return pos, 0, 0
    return kind, a, b


@inlined()
def key_value(buf, start, end, depth):
    """Return (key start, key stop, kind, a, b) of a KeyValue message at ``depth``; an error in the first."""
    key_start, key_stop, value_start, value_stop = start, start, start, start
    has_value = False
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, 0, 0, 0, 0
        if wire == LEN and field == 1:
            key_start, key_stop = length(buf, pos, end)
            if key_stop < 0:
                return key_stop, 0, 0, 0, 0
            pos = key_stop
            if not is_utf8(buf, key_start, key_stop):
                return BAD_UTF8, 0, 0, 0, 0
        elif wire == LEN and field == 2:
            if depth + 1 > DEPTH_MAX:
                return TOO_DEEP, 0, 0, 0, 0
            if has_value:
                error = check_value(buf, value_start, value_stop, depth + 1)
                if error < 0:
                    return error, 0, 0, 0, 0
            value_start, value_stop = length(buf, pos, end)
            if value_stop < 0:
                return value_stop, 0, 0, 0, 0
            pos = value_stop
            has_value = True
        else:
            pos = skip(buf, pos, end, field, wire, depth)
            if pos < 0:
                return pos, 0, 0, 0, 0
    kind, a, b = any_value(buf, value_start, value_stop, depth + 1)
    if kind < 0:
        return kind, 0, 0, 0, 0
    return key_start, key_stop, kind, a, b


@inner()
def check_value(buf, start, end, depth):
    """Return 0 if an AnyValue, with all that it holds, is well-formed; else an error."""
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos
        if wire != LEN or not (field == 1 or field == 5 or field == 6):
            pos = skip(buf, pos, end, field, wire, depth)
            if pos < 0:
                return pos
            continue
        a, b = length(buf, pos, end)
        if b < 0:
            return b
        pos = b
        if field == 1:
            if not is_utf8(buf, a, b):
                return BAD_UTF8
            continue
        if depth + 1 > DEPTH_MAX:
            return TOO_DEEP
        inner = a
        while inner < b:
            field_inner, wire, inner = tag(buf, inner, b)
            if inner < 0:
                return inner
            if wire != LEN or field_inner != 1:
                inner = skip(buf, inner, b, field_inner, wire, depth + 1)
                if inner < 0:
                    return inner
                continue
            s, e = length(buf, inner, b)
            if e < 0:
                return e
            inner = e
            if depth + 2 > DEPTH_MAX:
                return TOO_DEEP
            if field == 5:
                error = check_value(buf, s, e, depth + 2)
                if error < 0:
                    return error
                continue
            while s < e:
                field_pair, wire, s = tag(buf, s, e)
                if s < 0:
                    return s
                if wire != LEN or not (field_pair == 1 or field_pair == 2):
                    s = skip(buf, s, e, field_pair, wire, depth + 2)
                    if s < 0:
                        return s
                    continue
                p, q = length(buf, s, e)
                if q < 0:
                    return q
                s = q
                if field_pair == 1:
                    if not is_utf8(buf, p, q):
                        return BAD_UTF8
                    continue
                if depth + 3 > DEPTH_MAX:
                    return TOO_DEEP
                error = check_value(buf, p, q, depth + 3)
                if error < 0:
                    return error
    return 0


@inner()
def _is_plain(buf, start, end, count, depth):
    """Return 1 if the keys of a map are unlike each other and none begins with ``$``, 0 if not; or an error."""
    hashes = np.empty(count, np.uint64)
    found = 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or field != 1:
            pos = skip(buf, pos, end, field, wire, depth)
            continue
        a, b = length(buf, pos, end)
        pos = b
        key_start, key_stop = a, a
        while a < b:
            field, wire, a = tag(buf, a, b)
            if a < 0:
                return a
            if wire == LEN and field == 1:
                key_start, key_stop = length(buf, a, b)
                a = key_stop
            else:
                a = skip(buf, a, b, field, wire, depth + 1)
            if a < 0:
                return a
        if key_stop > key_start and load8(buf, key_start) == 36:
            return 0
        hashes[found] = xxh64(buf, key_start, key_stop)
        found += 1
    if count > PAIRS_COMPARED_MAX:
        hashes = np.sort(hashes)
        for index in range(1, count):
            if hashes[index] == hashes[index - 1]:
                return 0
        return 1
    for index in range(1, count):
        for earlier in range(index):
            if hashes[index] == hashes[earlier]:
                return 0
    return 1


@inner()
def _count(buf, start, end, depth):
    """Return how many values or pairs a list or map at ``depth`` has; or an error."""
    count = 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos
        if wire == LEN and field == 1:
            _, pos = length(buf, pos, end)
            count += 1
        else:
            pos = skip(buf, pos, end, field, wire, depth)
        if pos < 0:
            return pos
    return count


@inner()
def put_scalar(out, o, buf, kind, a, b):
    """Write a value that is no list or map; return the end, or NO_ROOM."""
    if kind == STRING:
        if o + (b - a) * ESCAPED_MAX + ROOM > size_of(out):
            return NO_ROOM
        return put_string(out, o, buf, a, b)
    if o + NUMBER_BYTES_MAX + ROOM > size_of(out):
        return NO_ROOM
    if kind == INT:
        return put_integer(out, o, a)
    if kind == BOOL:
        return put_text(out, o, _TRUE) if a else put_text(out, o, _FALSE)
    if kind == DOUBLE:
        number = load_double(buf, a)
        if np.isfinite(number):
            return put_double(out, o, number)
        return put_text(out, o, _NAN if np.isnan(number) else _INFINITY if number > 0 else _MINUS_INFINITY)
    if kind == EMPTY:
        return put_text(out, o, _NULL)
    if o + (b - a) * 2 + ROOM > size_of(out):
        return NO_ROOM
    o = put_text(out, o, _BYTES)
    o = put_base64(out, o, buf, a, b)
    return put_text(out, o, _BYTES_END)


@inner()
def put_nested(out, o, buf, kind, a, b, depth):
    """Write a list or map that an AnyValue at ``depth`` holds; return the end, NO_ROOM, or an error."""
    if depth + 1 > DEPTH_MAX:
        return TOO_DEEP
    count = _count(buf, a, b, depth + 1)
    if count < 0:
        return count
    if o + ROOM > size_of(out):
        return NO_ROOM
    is_listed = False
    if kind == MAP and count:
        plain = _is_plain(buf, a, b, count, depth + 1)
        if plain < 0:
            return plain
        is_listed = plain == 0
    if is_listed:
        o = put_text(out, o, _LISTED)
    else:
        store8(out, o, 91 if kind == LIST else 123)
        o += 1
    is_first = True
    pos = a
    while pos < b:
        field, wire, pos = tag(buf, pos, b)
        if wire != LEN or field != 1:
            pos = skip(buf, pos, b, field, wire, depth + 1)
            continue
        s, e = length(buf, pos, b)
        pos = e
        if depth + 2 > DEPTH_MAX:
            return TOO_DEEP
        if not is_first:
            store8(out, o, 44)
            o += 1
        is_first = False
        inner_depth = depth + 2
        if kind == LIST:
            inner, p, q = any_value(buf, s, e, inner_depth)
            if inner < 0:
                return inner
        else:
            key_start, key_stop, inner, p, q = key_value(buf, s, e, inner_depth)
            if key_start < 0:
                return key_start
            if o + (key_stop - key_start) * ESCAPED_MAX + ROOM > size_of(out):
                return NO_ROOM
            if is_listed:
                store8(out, o, 91)
                o += 1
            o = put_string(out, o, buf, key_start, key_stop)
            store8(out, o, 44 if is_listed else 58)
            o += 1
            inner_depth += 1
        if inner == LIST or inner == MAP:
            o = put_nested(out, o, buf, inner, p, q, inner_depth)
        else:
            o = put_scalar(out, o, buf, inner, p, q)
        if o < 0:
            return o
        if is_listed:
            store8(out, o, 93)
            o += 1
        if o + ROOM > size_of(out):
            return NO_ROOM
    if is_listed:
        store8(out, o, 93)
        o += 1
    store8(out, o, 93 if kind == LIST else 125)
    return o + 1
