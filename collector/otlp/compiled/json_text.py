"""JSON within attributes: where a value ends, for what is surely JSON.

Libraries send objects and lists as texts. What is read here is a strict part of JSON, and all that libraries write in
practice; of what is rarer (a number that may be too large, half a surrogate pair, more than ``DEPTH_MAX`` levels)
nothing is said, and Python reads it.
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.memory import copy_bytes, load8, load64, store8, trailing_zeros
from collector.otlp.compiled.text import escaped_bytes

DEPTH_MAX = 60
"""Values may be nested so deep."""

NUMBER_BYTES_MAX = 24
"""A number is no longer than this."""

UNSURE = -200
"""Whether it is JSON, and which, is for others to say."""

_BRACE, _BRACKET, _QUOTE, _BACKSLASH, _COMMA, _COLON = 123, 91, 34, 92, 44, 58
_TRUE = int.from_bytes(b"true", "little")
_NULL = int.from_bytes(b"null", "little")
_ALSE = int.from_bytes(b"alse", "little")
_FOUR_BYTES = 0xFFFFFFFF
# What an escape's letter stands for; for a quote, a backslash and a slash, themselves.
_LETTERS = np.arange(256)
for _letter, _character in {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.items():
    _LETTERS[ord(_letter)] = ord(_character)


@inlined()
def skip_space(buf, pos, stop):
    """Return where what is no white space begins."""
    while pos < stop:
        byte = load8(buf, pos)
        if byte > 32 or not (byte == 32 or byte == 10 or byte == 13 or byte == 9):
            return pos
        pos += 1
    return pos


@inner()
def string_span(buf, pos, stop):
    """Return (what follows the string whose opening quote is at ``pos``, whether it has escapes); UNSURE in the first.

    Reads up to seven bytes beyond.
    """
    has_escapes = False
    pos += 1
    while pos < stop:
        found = escaped_bytes(load64(buf, pos))
        if found == 0:
            pos += 8
            continue
        pos += trailing_zeros(found) >> 3
        if pos >= stop:
            return UNSURE, False
        byte = load8(buf, pos)
        if byte == _QUOTE:
            return pos + 1, has_escapes
        if byte != _BACKSLASH:
            return UNSURE, False
        has_escapes = True
        pos = _escape_end(buf, pos, stop)
        if pos < 0:
            return UNSURE, False
    return UNSURE, False


@inner()
def string_end(buf, pos, stop):
    """Return what follows the string whose opening quote is at ``pos``; UNSURE."""
    end, _ = string_span(buf, pos, stop)
    return end


@inner()
def unescaped_size(buf, start, stop):
    """Return how many bytes the text within a string's quotes has. Reads up to seven bytes beyond."""
    size = stop - start
    pos = start
    while pos < stop:
        found = escaped_bytes(load64(buf, pos))
        if found == 0:
            pos += 8
            continue
        pos += trailing_zeros(found) >> 3
        if pos < stop:
            code, after = _escaped(buf, pos, stop)
            size += (1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4) - (after - pos)
            pos = after
    return size


@inner()
def write_unescaped(out, o, buf, start, stop):
    """Write the text within a string's quotes: ``unescaped_size`` bytes, not one more."""
    pos = start
    while pos < stop:
        run = pos
        while pos < stop:
            found = escaped_bytes(load64(buf, pos))
            if found:
                pos += trailing_zeros(found) >> 3
                break
            pos += 8
        pos = min(pos, stop)
        copy_bytes(out, o, buf, run, pos - run)
        o += pos - run
        if pos < stop:
            code, pos = _escaped(buf, pos, stop)
            o = _write_character(out, o, code)


@inlined()
def _escaped(buf, pos, stop):
    """Return (the character that an escape is, what follows it)."""
    byte = load8(buf, pos + 1)
    if byte != 117:
        return _LETTERS[byte], pos + 2
    unit = _unit(buf, pos, stop)
    if 0xD800 <= unit < 0xDC00:
        return 0x10000 + ((unit - 0xD800) << 10) + _unit(buf, pos + 6, stop) - 0xDC00, pos + 12
    return unit, pos + 6


@inlined()
def _write_character(out, o, code):
    if code < 0x80:
        store8(out, o, code)
        return o + 1
    if code < 0x800:
        store8(out, o, 0xC0 | code >> 6)
        store8(out, o + 1, 0x80 | code & 0x3F)
        return o + 2
    if code < 0x10000:
        store8(out, o, 0xE0 | code >> 12)
        store8(out, o + 1, 0x80 | code >> 6 & 0x3F)
        store8(out, o + 2, 0x80 | code & 0x3F)
        return o + 3
    store8(out, o, 0xF0 | code >> 18)
    store8(out, o + 1, 0x80 | code >> 12 & 0x3F)
    store8(out, o + 2, 0x80 | code >> 6 & 0x3F)
    store8(out, o + 3, 0x80 | code & 0x3F)
    return o + 4


@inlined()
def _escape_end(buf, pos, stop):
    if pos + 1 >= stop:
        return UNSURE
    byte = load8(buf, pos + 1)
    if byte != 117:
        is_known = byte == _QUOTE or byte == _BACKSLASH or byte == 47 or byte == 110 or byte == 116
        return pos + 2 if is_known or byte == 114 or byte == 98 or byte == 102 else UNSURE
    unit = _unit(buf, pos, stop)
    if unit < 0 or 0xDC00 <= unit < 0xE000:
        return UNSURE
    if 0xD800 <= unit < 0xDC00:
        low = _unit(buf, pos + 6, stop)
        return pos + 12 if 0xDC00 <= low < 0xE000 else UNSURE
    return pos + 6


@inner()
def _unit(buf, pos, stop):
    """Return the number in the six bytes of a ``\\uXXXX``; UNSURE where it is none."""
    if pos + 6 > stop or load8(buf, pos) != _BACKSLASH or load8(buf, pos + 1) != 117:
        return UNSURE
    unit = 0
    for place in range(pos + 2, pos + 6):
        byte = load8(buf, place)
        if 48 <= byte <= 57:
            unit = unit << 4 | byte - 48
        elif 97 <= byte | 32 <= 102:
            unit = unit << 4 | (byte | 32) - 87
        else:
            return UNSURE
    return unit


@inner()
def number_end(buf, pos, stop):
    """Return what follows the number at ``pos``; UNSURE also where it has an exponent, or is long."""
    start = pos
    if pos < stop and load8(buf, pos) == 45:
        pos += 1
    first = pos
    pos = _digits_end(buf, pos, stop)
    if pos == first or (pos > first + 1 and load8(buf, first) == 48):
        return UNSURE
    if pos < stop and load8(buf, pos) == 46:
        point = pos
        pos = _digits_end(buf, pos + 1, stop)
        if pos == point + 1:
            return UNSURE
    if pos - start > NUMBER_BYTES_MAX or (pos < stop and load8(buf, pos) | 32 == 101):
        return UNSURE
    return pos


@inlined()
def _digits_end(buf, pos, stop):
    while pos < stop and 48 <= load8(buf, pos) <= 57:
        pos += 1
    return pos


@inner()
def word_end(buf, pos, stop):
    """Return what follows ``true``, ``false`` or ``null``; UNSURE where it is none of them."""
    if pos + 4 > stop:
        return UNSURE
    word = np.int64(load64(buf, pos) & np.uint64(_FOUR_BYTES))
    if word == _TRUE or word == _NULL:
        return pos + 4
    is_false = pos + 5 <= stop and load8(buf, pos) == 102
    if is_false and np.int64(load64(buf, pos + 1) & np.uint64(_FOUR_BYTES)) == _ALSE:
        return pos + 5
    return UNSURE


@inlined()
def _scalar_end(buf, pos, stop):
    byte = load8(buf, pos)
    if byte == _QUOTE:
        return string_end(buf, pos, stop)
    if byte == 45 or 48 <= byte <= 57:
        return number_end(buf, pos, stop)
    return word_end(buf, pos, stop)


@inner()
def key_end(buf, pos, stop):
    """Return where the value of the member begins whose key is at ``pos``; UNSURE."""
    pos = skip_space(buf, pos, stop)
    if pos >= stop or load8(buf, pos) != _QUOTE:
        return UNSURE
    pos = string_end(buf, pos, stop)
    if pos < 0:
        return UNSURE
    pos = skip_space(buf, pos, stop)
    if pos >= stop or load8(buf, pos) != _COLON:
        return UNSURE
    return skip_space(buf, pos + 1, stop)


@inner()
def value_end(buf, pos, stop):
    """Return what follows the JSON value at ``pos``; UNSURE where it is not surely one. Reads a few bytes beyond."""
    depth, objects = 0, 0  # A bit a level: whether it is an object.
    while True:
        if pos >= stop:
            return UNSURE
        byte = load8(buf, pos)
        if byte == _BRACE or byte == _BRACKET:
            if depth == DEPTH_MAX:
                return UNSURE
            depth += 1
            objects = objects << 1 | np.int64(byte == _BRACE)
            pos = skip_space(buf, pos + 1, stop)
            if pos >= stop:
                return UNSURE
            if load8(buf, pos) != byte + 2:
                if byte == _BRACE:
                    pos = key_end(buf, pos, stop)
                    if pos < 0:
                        return UNSURE
                continue
        else:
            pos = _scalar_end(buf, pos, stop)
            if pos < 0:
                return UNSURE
            if depth == 0:
                return pos
            pos = skip_space(buf, pos, stop)
        # A value has ended; so may what holds it.
        while True:
            if pos >= stop:
                return UNSURE
            byte = load8(buf, pos)
            if byte == _COMMA:
                break
            if byte != (_BRACE if objects & 1 else _BRACKET) + 2:
                return UNSURE
            depth -= 1
            objects >>= 1
            pos += 1
            if depth == 0:
                return pos
            pos = skip_space(buf, pos, stop)
        pos = key_end(buf, pos + 1, stop) if objects & 1 else skip_space(buf, pos + 1, stop)
        if pos < 0:
            return UNSURE


@inner()
def is_whole_value(buf, pos, stop):
    """Return whether surely one JSON value, and nothing else, stands there."""
    end = value_end(buf, pos, stop)
    return end >= 0 and skip_space(buf, end, stop) == stop


@inlined()
def has_backslash(buf, start, stop):
    """Return whether an escape stands there."""
    for pos in range(start, stop):
        if load8(buf, pos) == _BACKSLASH:
            return True
    return False
