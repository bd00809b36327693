"""Instructions that stand apart from the messages, put before them: JSON beside JSON, as it was sent."""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.cursor import MADE_END
from collector.otlp.compiled.json_text import UNSURE, is_whole_value, key_end, skip_space, string_end, value_end
from collector.otlp.compiled.keys import is_same
from collector.otlp.compiled.memory import address_of, load8, size_of, store8
from collector.otlp.compiled.promotion import IN_MADE, reference
from collector.otlp.compiled.text import ESCAPED_MAX, put_raw, put_string, put_text
from collector.otlp.compiled.value import NO_ROOM, ROOM

_SIZE = 0x7FFFFFFF
_SYSTEM = np.frombuffer(b'[{"role":"system","parts":', np.uint8)
_TEXT_PARTS = np.frombuffer(b'[{"type":"text","content":', np.uint8)
_USER = np.frombuffer(b',{"role":"user","parts":[{"type":"text","content":', np.uint8)
_CONSTANTS = b'"role""system"'
_WORDS = np.frombuffer(_CONSTANTS + bytes(64), np.uint8)
_ROLE, _ROLE_STOP, _SYSTEM_STOP = 0, 6, len(_CONSTANTS)

# What instructions are.
_NONE, _LISTED, _OBJECT, _PLAIN = range(4)


@inner()
def put_before(best, column, buf, source, start, stop, made, cursor):
    """Put the instructions in ``source`` before a column's messages; return 0, UNSURE, or NO_ROOM."""
    kind, start, stop = _instructions(source, start, stop)
    if kind <= _NONE:
        return kind
    place = best[1, column]
    messages = made if place & IN_MADE else buf
    first = place >> 32
    last = first + (place & _SIZE)
    inner = skip_space(messages, first, last)
    is_list = inner < last and load8(messages, inner) == 91
    if is_list:
        if not is_whole_value(messages, inner, last):
            return UNSURE
        inner = skip_space(messages, inner + 1, last)
        begins = _begins_with_system(messages, inner, last)
        if begins:
            return min(begins, 0)
    o = cursor[MADE_END]
    if o + (stop - start + last - first) * ESCAPED_MAX + 4 * ROOM > size_of(made):
        return NO_ROOM
    begin = o
    o = put_text(made, o, _SYSTEM)
    if kind == _PLAIN:
        o = put_text(made, o, _TEXT_PARTS)
        o = put_string(made, o, source, start, stop)
        store8(made, o, 125)
        store8(made, o + 1, 93)
        o += 2
    else:
        if kind == _OBJECT:
            store8(made, o, 91)
            o += 1
        o = put_raw(made, o, source, start, stop)
        if kind == _OBJECT:
            store8(made, o, 93)
            o += 1
    store8(made, o, 125)
    o += 1
    if is_list:
        if load8(messages, inner) != 93:
            store8(made, o, 44)
            o += 1
        o = put_raw(made, o, messages, inner, last)
    else:
        o = put_text(made, o, _USER)
        o = put_string(made, o, messages, first, last)
        for byte in (125, 93, 125, 93):
            store8(made, o, byte)
            o += 1
    best[1, column] = reference(begin, o) | IN_MADE
    cursor[MADE_END] = o
    return 0


@inlined()
def _instructions(source, start, stop):
    """Return (what they are, where they begin and end); UNSURE in the first."""
    first = skip_space(source, start, stop)
    if first == stop:
        return (_PLAIN if stop > start else _NONE), start, stop
    byte = load8(source, first)
    if byte == 91 or byte == 123:
        end = value_end(source, first, stop)
        if end < 0 or skip_space(source, end, stop) != stop:
            return UNSURE, 0, 0
        if skip_space(source, first + 1, stop) == end - 1:
            return _NONE, 0, 0
        return (_LISTED if byte == 91 else _OBJECT), first, end
    # A text, or a number, true, false, null: these are rare.
    if byte == 34 or byte == 45 or 48 <= byte <= 57 or is_whole_value(source, first, stop):
        return UNSURE, 0, 0
    return _PLAIN, start, stop


@inner()
def _begins_with_system(messages, pos, stop):
    """Return 1 if the messages, which are JSON, begin with one whose role is ``system``, 0 if not; UNSURE."""
    if load8(messages, pos) != 123:
        return 0
    pos = skip_space(messages, pos + 1, stop)
    is_system = False
    while load8(messages, pos) != 125:
        if load8(messages, pos) == 44:
            pos = skip_space(messages, pos + 1, stop)
        name_stop = string_end(messages, pos, stop)
        for place in range(pos, name_stop):
            if load8(messages, place) == 92:
                return UNSURE
        is_role = is_same(messages, pos, name_stop, address_of(_WORDS), _ROLE, _ROLE_STOP)
        pos = key_end(messages, pos, stop)
        end = value_end(messages, pos, stop)
        if is_role:
            is_system = is_same(messages, pos, end, address_of(_WORDS), _ROLE_STOP, _SYSTEM_STOP)
            for place in range(pos, end):
                if load8(messages, place) == 92:
                    return UNSURE
        pos = skip_space(messages, end, stop)
    return np.int64(is_system)
