"""Columns from the members of an object in JSON: numbers, sums of them, texts."""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.json_text import UNSURE, has_backslash, skip_space, string_end, value_end
from collector.otlp.compiled.keys import COST, KEYS, is_same
from collector.otlp.compiled.memory import address_of, bits_of, copy_bytes, double_of, load8, size_of, store8
from collector.otlp.compiled.number import exact_decimal
from collector.otlp.compiled.promotion import (
    CONVERTED,
    COST_USD_MAX,
    COUNT_MAX,
    COUNTS,
    HOLDERS,
    MEMBERS,
    NAME_STOPS,
    NAMES,
    SUMS,
    as_count,
    reference,
    win,
)
from collector.otlp.compiled.readings import NUMBERS, READINGS_BY_KEY, TEXTS
from collector.otlp.compiled.value import NO_ROOM, ROOM, STRING

LEVELS_MAX = 4
"""Objects are read within each other so deep."""

_NAME_BYTES_MAX = 64

# Compiled as constants.
_FIRST, _KIND, _COLUMN, _RANK = (
    READINGS_BY_KEY.first,
    READINGS_BY_KEY.kind,
    READINGS_BY_KEY.column,
    READINGS_BY_KEY.rank,
)
_FIRST_ALTERNATIVE, _FIRST_NAME = READINGS_BY_KEY.first_alternative, READINGS_BY_KEY.first_name
_DATA, _STARTS, _IS_BEGINNING = READINGS_BY_KEY.data, READINGS_BY_KEY.starts, READINGS_BY_KEY.is_beginning
_IS_DEEP = READINGS_BY_KEY.is_deep
_KINDS = KEYS.kinds


@inner()
def read_members(source, start, stop, key, best, made, o, in_made):
    """Let the members of the object at ``start`` fill columns; return 0, UNSURE, or NO_ROOM.

    What is in ``made`` from ``o`` on is lost.
    """
    first = _FIRST_ALTERNATIVE[_FIRST[key]]
    for alternative in range(first, _FIRST_ALTERNATIVE[_FIRST[key + 1]]):
        best[COUNTS, alternative - first] = 0
        best[SUMS, alternative - first] = 0
    error = _walk(source, start, stop, key, best, made, o)
    if error < 0:
        return error
    for reading in range(_FIRST[key], _FIRST[key + 1]):
        column = _COLUMN[reading]
        if _RANK[reading] >= best[0, column]:
            continue
        for alternative in range(_FIRST_ALTERNATIVE[reading] - first, _FIRST_ALTERNATIVE[reading + 1] - first):
            if best[COUNTS, alternative] == 0:
                continue
            if _KIND[reading] == TEXTS:
                win(best, column, _RANK[reading], best[SUMS, alternative] | in_made, CONVERTED)
                break
            total = double_of(np.uint64(best[SUMS, alternative]))
            is_cost = _KINDS[column] == COST
            if total <= (COST_USD_MAX if is_cost else COUNT_MAX):
                value = best[SUMS, alternative] if is_cost else np.int64(total)
                win(best, column, _RANK[reading], value, CONVERTED)
                break
    return 0


@inner()
def _walk(source, pos, stop, key, best, made, o):
    """Add up an object's members into COUNTS and SUMS; return 0, UNSURE, or NO_ROOM."""
    seen, level, path_stop = 0, 0, o
    best[HOLDERS, 0], best[HOLDERS, LEVELS_MAX] = pos, path_stop
    pos += 1
    may_end = True
    while True:
        pos = skip_space(source, pos, stop)
        if pos >= stop:
            return UNSURE
        if may_end and load8(source, pos) == 125:
            pos += 1
            if level == 0:
                return 0 if skip_space(source, pos, stop) == stop else UNSURE
            level -= 1
            path_stop = best[HOLDERS, LEVELS_MAX + level]
        else:
            name, name_stop, pos = _name(source, pos, stop, _IS_DEEP[key])
            if pos < 0 or _is_repeated(source, name, name_stop, best, seen, best[HOLDERS, level]):
                return UNSURE
            seen += 1
            size = name_stop - name
            is_deeper = _IS_DEEP[key] and level + 1 < LEVELS_MAX and load8(source, pos) == 123
            if level or is_deeper:
                if size > _NAME_BYTES_MAX:
                    return UNSURE
                if path_stop + _NAME_BYTES_MAX + ROOM > size_of(made):
                    return NO_ROOM
                copy_bytes(made, path_stop, source, name, size)
            if is_deeper:
                store8(made, path_stop + size, 46)
                path_stop += size + 1
                level += 1
                best[HOLDERS, level], best[HOLDERS, LEVELS_MAX + level] = pos, path_stop
                pos += 1
                may_end = True
                continue
            end = value_end(source, pos, stop)
            if end < 0:
                return UNSURE
            if level:
                error = _take(made, o, path_stop + size, source, pos, end, key, best)
            else:
                error = _take(source, name, name_stop, source, pos, end, key, best)
            if error < 0:
                return error
            pos = end
        pos = skip_space(source, pos, stop)
        if pos >= stop:
            return UNSURE
        may_end = load8(source, pos) == 125
        if not may_end:
            if load8(source, pos) != 44:
                return UNSURE
            pos += 1


@inlined()
def _name(source, pos, stop, is_deep):
    """Return (start, stop of the name, where its value begins) of the member at ``pos``; UNSURE in the last."""
    if load8(source, pos) != 34:
        return 0, 0, UNSURE
    after = string_end(source, pos, stop)
    if after < 0:
        return 0, 0, UNSURE
    for place in range(pos + 1, after - 1):
        byte = load8(source, place)
        if byte == 92 or (is_deep and byte == 46):
            return 0, 0, UNSURE
    value = skip_space(source, after, stop)
    if value >= stop or load8(source, value) != 58:
        return 0, 0, UNSURE
    value = skip_space(source, value + 1, stop)
    return pos + 1, after - 1, value if value < stop else UNSURE


@inlined()
def _is_repeated(source, name, name_stop, best, seen, holder):
    """Note a member's name; return whether its object has it already, or has too many."""
    if seen >= best.shape[1]:
        return True
    for other in range(seen):
        if best[MEMBERS, other] == holder and is_same(
            source, name, name_stop, source, best[NAMES, other], best[NAME_STOPS, other]
        ):
            return True
    best[MEMBERS, seen], best[NAMES, seen], best[NAME_STOPS, seen] = holder, name, name_stop
    return False


@inlined()
def _take(names, name, name_stop, source, value, end, key, best):
    """Add a member to the alternatives that it is of; return 0 or UNSURE."""
    first = _FIRST_ALTERNATIVE[_FIRST[key]]
    for reading in range(_FIRST[key], _FIRST[key + 1]):
        for alternative in range(_FIRST_ALTERNATIVE[reading], _FIRST_ALTERNATIVE[reading + 1]):
            if _is_of(names, name, name_stop, alternative):
                if _KIND[reading] == NUMBERS:
                    error = _add(source, value, end, best, alternative - first, _KINDS[_COLUMN[reading]] == COST)
                else:
                    error = _note(source, value, end, best, alternative - first)
                if error < 0:
                    return error
    return 0


@inner()
def _is_of(names, name, name_stop, alternative):
    for each in range(_FIRST_NAME[alternative], _FIRST_NAME[alternative + 1]):
        start, stop = _STARTS[each], _STARTS[each + 1]
        size = stop - start
        if name_stop - name == size or (_IS_BEGINNING[each] and name_stop - name > size):
            if is_same(names, name, name + size, address_of(_DATA), start, stop):
                return True
    return False


@inner()
def _add(source, start, stop, best, place, is_cost):
    """Add the number that a value tells, if it tells one; return 0 or UNSURE."""
    byte = load8(source, start)
    if byte == 34:
        start += 1
        stop -= 1
        if has_backslash(source, start, stop):
            return UNSURE
    elif byte != 45 and not 48 <= byte <= 57:
        return 0
    is_exact, number = exact_decimal(source, start, stop)
    if not is_exact:
        # Of a text that is no number nothing is added; other numbers are Python's.
        return 0 if byte == 34 and not _may_be_number(source, start, stop) else UNSURE
    if not is_cost:
        # The part of it that is whole, as of any other count.
        number = np.float64(as_count(source, STRING, start, stop, 1.0))
    if 0 <= number <= (COST_USD_MAX if is_cost else COUNT_MAX):
        total = double_of(np.uint64(best[SUMS, place])) + number if best[COUNTS, place] else number
        best[SUMS, place] = np.int64(bits_of(total))
        best[COUNTS, place] += 1
    return 0


@inlined()
def _may_be_number(source, start, stop):
    for pos in range(start, stop):
        byte = load8(source, pos)
        is_part = 48 <= byte <= 57 or byte == 43 or byte == 45 or byte == 46 or byte | 32 == 101
        if not is_part:
            return False
    return stop > start


@inner()
def _note(source, start, stop, best, place):
    """Note the text that a value is, if it is one; return 0 or UNSURE."""
    byte = load8(source, start)
    if byte == 34:
        if has_backslash(source, start, stop):
            return UNSURE
        if stop - start > 2:
            best[COUNTS, place] = 1
            best[SUMS, place] = reference(start + 1, stop - 1)
        return 0
    return 0 if byte == 110 else UNSURE
