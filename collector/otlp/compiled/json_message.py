"""OTLP/JSON to the bytes of the same message in protobuf: what ``collector.otlp.json`` does, for what clients send.

Theory of operation. A message's length stands before it, and its fields in the order of their numbers, whichever order
JSON has. So the bytes are written from the last to the first: the document's tape is walked from its end, and once a
message is written, its length is known. What is rare (a name twice, a number with an exponent, bytes, an enum's name),
and all that is wrong, is left to Python.
"""

import numpy as np

from collector.jit import inlined, inner, jit
from collector.otlp.compiled.json_fields import (
    BOOL,
    DOUBLE,
    ENUM,
    FIXED32,
    FIXED64,
    HEX,
    INT64,
    MESSAGE,
    OTHER,
    STRING,
    load,
)
from collector.otlp.compiled.json_tape import (
    BRACE,
    BRACKET,
    ESCAPED,
    FALSE,
    KIND,
    LAST,
    NONE,
    NULL,
    NUMBER,
    PREVIOUS,
    QUOTE,
    START,
    STOP,
    TRUE,
    put_tape,
)
from collector.otlp.compiled.json_text import UNSURE, unescaped_size, write_unescaped
from collector.otlp.compiled.keys import is_same
from collector.otlp.compiled.memory import address_of, bits_of, copy_bytes, load8, store8, store64
from collector.otlp.compiled.number import exact_decimal
from collector.otlp.compiled.protobuf import is_utf8

FIELDS = load()
DEPTH_MAX = 60
SLOTS_MAX = int(FIELDS.slots.max())
ROOM = 64
"""So much room is kept free in front."""

_DIGITS_MAX = 18
# Fewer digits than an unsigned 64-bit integer may have.
_TIME_DIGITS_MAX = 19
_SMALL_DIGITS_MAX = 9

# A row of the table of messages that are being written.
_MESSAGE, _END, _SLOT, _ITEM = range(4)
_NOT_BEGUN = -2

# Compiled as constants.
_FIRST, _SLOTS, _SLOT_OF, _TAG, _KIND = FIELDS.first, FIELDS.slots, FIELDS.slot, FIELDS.tag, FIELDS.kind
_HELD, _DIGITS, _IS_REPEATED, _HAS_PRESENCE = FIELDS.message, FIELDS.digits, FIELDS.is_repeated, FIELDS.has_presence
_DATA, _STARTS = FIELDS.data, FIELDS.starts


@jit()
def encode(buf, stop, tape, out, size):
    """Write the message of the JSON in ``buf`` to the end of ``out``; return where it begins, or UNSURE."""
    if not is_utf8(buf, 0, stop) or put_tape(buf, 0, stop, tape) < 0:
        return UNSURE
    messages = np.empty((DEPTH_MAX + 1, 4), np.int64)
    values = np.empty((DEPTH_MAX + 1, SLOTS_MAX), np.int64)
    fields = np.empty((DEPTH_MAX + 1, SLOTS_MAX), np.int64)
    depth, o = 0, size
    # Without its one field it is no such request.
    if _begin(buf, tape, 0, 0, o, messages, values, fields, 0) < 0 or values[0, 0] == NONE:
        return UNSURE
    while True:
        if o < ROOM:
            return UNSURE
        slot = messages[depth, _SLOT]
        if slot < 0:
            if depth == 0:
                return o
            length = messages[depth, _END] - o
            depth -= 1
            field = fields[depth, messages[depth, _SLOT]]
            o = _varint_before(out, _varint_before(out, o, np.uint64(length)), np.uint64(_TAG[field]))
            _go_on(messages, depth, tape, field)
            continue
        entry = values[depth, slot]
        if entry == NONE or tape[entry, KIND] == NULL:
            messages[depth, _SLOT] = slot - 1
            continue
        field = fields[depth, slot]
        if _KIND[field] != MESSAGE:
            o = _scalar_before(buf, tape, entry, field, out, o)
            if o < 0:
                return UNSURE
            messages[depth, _SLOT] = slot - 1
            continue
        if _IS_REPEATED[field]:
            if messages[depth, _ITEM] == _NOT_BEGUN:
                if tape[entry, KIND] != BRACKET:
                    return UNSURE
                messages[depth, _ITEM] = tape[entry, LAST]
            entry = messages[depth, _ITEM]
            if entry == NONE:
                messages[depth, _ITEM] = _NOT_BEGUN
                messages[depth, _SLOT] = slot - 1
                continue
        depth += 1
        if depth > DEPTH_MAX or _begin(buf, tape, entry, _HELD[field], o, messages, values, fields, depth) < 0:
            return UNSURE


@inlined()
def _go_on(messages, depth, tape, field):
    """Go from a message that is written to the one before it, or to the field before it."""
    if _IS_REPEATED[field]:
        messages[depth, _ITEM] = tape[messages[depth, _ITEM], PREVIOUS]
    else:
        messages[depth, _SLOT] -= 1


@inner()
def _begin(buf, tape, entry, message, o, messages, values, fields, depth):
    """Find the values of a message's fields; return 0, or UNSURE."""
    messages[depth, _MESSAGE], messages[depth, _END] = message, o
    messages[depth, _SLOT], messages[depth, _ITEM] = _SLOTS[message] - 1, _NOT_BEGUN
    for slot in range(_SLOTS[message]):
        values[depth, slot] = NONE
    if tape[entry, KIND] != BRACE:
        # In a list, null is a message without any field.
        return 0 if tape[entry, KIND] == NULL else UNSURE
    value = tape[entry, LAST]
    while value != NONE:
        key = value - 1
        if tape[key, KIND] == ESCAPED:
            return UNSURE
        field = _field(buf, tape[key, START], tape[key, STOP], message)
        if field >= 0:
            slot = _SLOT_OF[field]
            if values[depth, slot] != NONE:
                return UNSURE
            values[depth, slot], fields[depth, slot] = value, field
        value = tape[value, PREVIOUS]
    return 0


@inlined()
def _field(buf, start, stop, message):
    """Return the field of this name; -1: none."""
    for field in range(_FIRST[message], _FIRST[message + 1]):
        for name in range(2 * field, 2 * field + 2):
            if stop - start == _STARTS[name + 1] - _STARTS[name] and is_same(
                buf, start, stop, address_of(_DATA), _STARTS[name], _STARTS[name + 1]
            ):
                return field
    return -1


@inlined()
def _varint_before(out, o, value):
    """Write a varint that ends at ``o``; return where it begins."""
    size = 1
    rest = value >> np.uint64(7)
    while rest:
        rest >>= np.uint64(7)
        size += 1
    for place in range(o - size, o - 1):
        store8(out, place, np.int64(value & np.uint64(0x7F)) | 0x80)
        value >>= np.uint64(7)
    store8(out, o - 1, np.int64(value))
    return o - size


@inner()
def _scalar_before(buf, tape, entry, field, out, o):
    """Write a field that is no message so that it ends at ``o``; return where it begins, or UNSURE."""
    kind, token = _KIND[field], tape[entry, KIND]
    start, stop = tape[entry, START], tape[entry, STOP]
    tag = np.uint64(_TAG[field])
    if kind == STRING:
        if token != QUOTE and token != ESCAPED:
            return UNSURE
        return _text_before(buf, start, stop, token == ESCAPED, out, o, tag, _HAS_PRESENCE[field])
    if kind == HEX:
        if token != QUOTE or o - (stop - start) < ROOM:
            return UNSURE
        return _hex_before(buf, start, stop, _DIGITS[field], out, o, tag)
    if kind == BOOL:
        if token != TRUE and token != FALSE:
            return UNSURE
        value = np.uint64(token == TRUE)
    elif kind == DOUBLE:
        if token != NUMBER:
            return UNSURE
        is_exact, number = _double(buf, start, stop)
        if not is_exact:
            return UNSURE
        value = bits_of(number)
    elif kind == OTHER:
        return UNSURE
    else:
        digits_max = _TIME_DIGITS_MAX if kind == FIXED64 else _DIGITS_MAX if kind == INT64 else _SMALL_DIGITS_MAX
        is_written = token == NUMBER or (token == QUOTE and kind != ENUM)
        is_whole, value = _integer(buf, start, stop, digits_max, kind == INT64)
        if not is_written or not is_whole:
            return UNSURE
    if value == 0 and not _HAS_PRESENCE[field]:
        return o
    if kind == FIXED64 or kind == DOUBLE:
        store64(out, o - 8, value)
        return _varint_before(out, o - 8, tag)
    if kind == FIXED32:
        for place in range(4):
            store8(out, o - 4 + place, np.int64(value >> np.uint64(8 * place)) & 0xFF)
        return _varint_before(out, o - 4, tag)
    return _varint_before(out, _varint_before(out, o, value), tag)


@inner()
def _text_before(buf, start, stop, is_escaped, out, o, tag, has_presence):
    size = unescaped_size(buf, start, stop) if is_escaped else stop - start
    if size == 0 and not has_presence:
        return o
    if o - size < ROOM:
        return UNSURE
    if is_escaped:
        write_unescaped(out, o - size, buf, start, stop)
    else:
        copy_bytes(out, o - size, buf, start, size)
    return _varint_before(out, _varint_before(out, o - size, np.uint64(size)), tag)


@inlined()
def _nibble(byte):
    if 48 <= byte <= 57:
        return byte - 48
    return (byte | 32) - 87 if 97 <= byte | 32 <= 102 else UNSURE


@inner()
def _hex_before(buf, start, stop, digits, out, o, tag):
    if start == stop:
        return o
    if stop - start != digits:
        return UNSURE
    size = digits >> 1
    for place in range(size):
        high, low = _nibble(load8(buf, start + 2 * place)), _nibble(load8(buf, start + 2 * place + 1))
        if high < 0 or low < 0:
            return UNSURE
        store8(out, o - size + place, high << 4 | low)
    return _varint_before(out, _varint_before(out, o - size, np.uint64(size)), tag)


@inlined()
def _integer(buf, start, stop, digits_max, may_be_negative):
    """Return (whether it is one, its 64 bits)."""
    is_negative = may_be_negative and start < stop and load8(buf, start) == 45
    start += is_negative
    if not 0 < stop - start <= digits_max:
        return False, np.uint64(0)
    value = np.uint64(0)
    for pos in range(start, stop):
        byte = load8(buf, pos)
        if byte < 48 or byte > 57:
            return False, np.uint64(0)
        value = value * np.uint64(10) + np.uint64(byte - 48)
    return True, np.uint64(0) - value if is_negative else value


@inlined()
def _double(buf, start, stop):
    """Return (whether it is surely exact, the double) of a number."""
    if load8(buf, start) != 45:
        return exact_decimal(buf, start, stop)
    is_exact, number = exact_decimal(buf, start + 1, stop)
    # Minus nought is a whole number to some, and so no minus nought.
    return is_exact and number != 0.0, -number
