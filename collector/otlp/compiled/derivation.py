"""Columns from attributes that hold more than their own value: members of JSON, times, instructions.

What is common is read here. Of what is not surely read as Python would (``collector.derive``), the span is marked, and
Python reads it again: what is filled already stays, since a column is only filled anew at a lower rank.
"""

from collector.jit import inner
from collector.otlp.compiled.cursor import MADE_END
from collector.otlp.compiled.json_text import UNSURE, has_backslash, is_whole_value, skip_space, string_end
from collector.otlp.compiled.members import read_members
from collector.otlp.compiled.memory import load8
from collector.otlp.compiled.moment import unix_nano
from collector.otlp.compiled.pairs import ID, KIND, PRESENT, STATE, A, B, put_pair_value
from collector.otlp.compiled.preface import put_before
from collector.otlp.compiled.promotion import (
    CONVERTED,
    COUNT_MAX,
    HINTS,
    IN_MADE,
    IS_UNREAD,
    VALUE_DEPTH,
    reference,
    win,
)
from collector.otlp.compiled.readings import MOMENT, NUMBERS, PREFACE, READINGS_BY_KEY, TEXTS, WHOLE
from collector.otlp.compiled.value import LIST, MAP, STRING

# Compiled as constants.
_FIRST, _KIND, _COLUMN, _RANK = (
    READINGS_BY_KEY.first,
    READINGS_BY_KEY.kind,
    READINGS_BY_KEY.column,
    READINGS_BY_KEY.rank,
)


@inner()
def derive(buf, made, cursor, pairs, count, best, began):
    """Fill columns from the attributes that hold more; mark the span where Python has to. Return 0, or an error."""
    prefaces = 0
    for row in range(count):
        key = pairs[row, ID]
        if key < 0 or pairs[row, STATE] != PRESENT or _FIRST[key] == _FIRST[key + 1]:
            continue
        if _KIND[_FIRST[key]] == PREFACE:
            prefaces += 1
            continue
        error = _read(buf, made, cursor, pairs, row, best, began)
        if error == UNSURE:
            best[HINTS, IS_UNREAD] = 1
        elif error < 0:
            return error
    # Instructions go before what is there at the end: where Python may still fill it, they are left to it as well.
    if prefaces == 0 or best[HINTS, IS_UNREAD]:
        return 0
    for row in range(count):
        key = pairs[row, ID]
        if key < 0 or pairs[row, STATE] != PRESENT or _FIRST[key] == _FIRST[key + 1]:
            continue
        reading = _FIRST[key]
        if _KIND[reading] != PREFACE or best[0, _COLUMN[reading]] != _RANK[reading]:
            continue
        source, start, stop, error = _text(buf, made, cursor, pairs, row)
        if error == 0:
            error = put_before(best, _COLUMN[reading], buf, source, start, stop, made, cursor)
        if error == UNSURE:
            best[HINTS, IS_UNREAD] = 1
        elif error < 0:
            return error
    return 0


@inner()
def _text(buf, made, cursor, pairs, row):
    """Return (buffer, start, stop, 0) of the JSON that an attribute is; UNSURE or an error in the last."""
    kind = pairs[row, KIND]
    if kind == STRING:
        return buf, pairs[row, A], pairs[row, B], 0
    if kind != LIST and kind != MAP:
        return buf, 0, 0, UNSURE
    o = cursor[MADE_END]
    end = put_pair_value(made, o, buf, pairs, row, VALUE_DEPTH - 1)
    if end < 0:
        return buf, 0, 0, end
    cursor[MADE_END] = end
    return made, o, end, 0


@inner()
def _read(buf, made, cursor, pairs, row, best, began):
    """Read one attribute; return 0, UNSURE, or an error."""
    key = pairs[row, ID]
    reading = _FIRST[key]
    kind = _KIND[reading]
    is_text = pairs[row, KIND] == STRING
    if kind == NUMBERS or kind == TEXTS:
        if not is_text and pairs[row, KIND] != LIST and pairs[row, KIND] != MAP:
            return 0
        source, start, stop, error = _text(buf, made, cursor, pairs, row)
        if error < 0:
            return error
        start = skip_space(source, start, stop)
        if start == stop or load8(source, start) != 123:
            return 0
        in_made = 0 if is_text else IN_MADE
        return read_members(source, start, stop, key, best, made, cursor[MADE_END], in_made)
    if _RANK[reading] >= best[0, _COLUMN[reading]]:
        return 0
    if kind == MOMENT:
        return _read_moment(buf, pairs[row, A], pairs[row, B], best, reading, began) if is_text else 0
    if kind == WHOLE:
        return _read_whole(buf, pairs[row, A], pairs[row, B], best, reading) if is_text else UNSURE
    return 0


@inner()
def _unquoted(buf, start, stop):
    """Return (start, stop) of the text that a JSON string is, or of what is surely no JSON; UNSURE in the first."""
    first = skip_space(buf, start, stop)
    if first == stop:
        return start, stop
    byte = load8(buf, first)
    if byte == 34:
        end = string_end(buf, first, stop)
        if end < 0 or skip_space(buf, end, stop) != stop or has_backslash(buf, first, end):
            return UNSURE, 0
        return first + 1, end - 1
    is_letter = 65 <= byte & 0xDF <= 90
    if is_letter and not is_whole_value(buf, first, stop):
        return start, stop
    return UNSURE, 0


@inner()
def _read_whole(buf, start, stop, best, reading):
    start, stop = _unquoted(buf, start, stop)
    if start < 0:
        return UNSURE
    if stop > start:
        win(best, _COLUMN[reading], _RANK[reading], reference(start, stop), CONVERTED)
    return 0


@inner()
def _read_moment(buf, start, stop, best, reading, began):
    if began == 0:
        return 0
    # A time is no JSON, but may stand in quotes.
    if stop > start and load8(buf, start) == 34:
        start, stop = _unquoted(buf, start, stop)
        if start < 0:
            return UNSURE
    time = unix_nano(buf, start, stop)
    if time < 0:
        return UNSURE
    if 0 <= time - began <= COUNT_MAX:
        win(best, _COLUMN[reading], _RANK[reading], time - began, CONVERTED)
    return 0
