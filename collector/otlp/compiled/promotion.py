"""Columns from attributes: for each column the value of lowest rank that can be made one of.

The winners of one span stand in four small arrays by column: ``rank``, the value's ``a`` and ``b`` (a text's place; an
integer; a double's bits), and the ``pair`` that it was taken from unchanged (CONVERTED: it had to be converted, or came
from elsewhere; a family: FAMILY_PAIR minus its number).
"""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.cursor import MADE_END
from collector.otlp.compiled.keys import COST, COUNT, FLAG, KEYS, NO_RANK, TEXT, find_family, is_where
from collector.otlp.compiled.memory import bits_of, load8, load_double, size_of, store8
from collector.otlp.compiled.number import parse_number
from collector.otlp.compiled.pairs import (
    FAMILY,
    ID,
    INDEX,
    KEY,
    KEY_STOP,
    KIND,
    PRESENT,
    REST,
    STATE,
    TAKEN,
    A,
    B,
    put_pair_value,
)
from collector.otlp.compiled.protobuf import LEN, length, skip, tag
from collector.otlp.compiled.text import ESCAPED_MAX, put_string
from collector.otlp.compiled.value import (
    BOOL,
    DOUBLE,
    EMPTY,
    INT,
    LIST,
    MAP,
    NO_ROOM,
    ROOM,
    STRING,
    any_value,
    put_nested,
    put_scalar,
)

CONVERTED = -1
FAMILY_PAIR = -2

COUNT_MAX = 10**12
COST_USD_MAX = 1e9

IN_MADE = 1 << 31
"""Set in a reference whose text is in the buffer of made texts, not in the requests' own."""


VALUE_DEPTH = 5
"""How deep the AnyValue of a span's attribute is: request, resource, scope, span, pair, value."""

COLUMN_COUNT = len(KEYS.columns)
FINISH_REASON = KEYS.columns.index("finish_reason")

# Compiled as constants.
_COLUMN, _RANK, _SCALE, _KINDS = KEYS.column, KEYS.rank, KEYS.scale, KEYS.kinds
_FAMILY_COLUMN, _FAMILY_RANK = KEYS.family_column, KEYS.family_rank
_WHERE, _WHERE_COLUMN, _WHERE_KEY = KEYS.where, KEYS.where_column, KEYS.where_key
_HINT, _HINT_RANK, _HINT_IS_UNREAD = KEYS.hint, KEYS.hint_rank, KEYS.hint_is_unread

# A row of the winners' table: by column, the lowest rank at which what is read later (``derivation``) may fill it.
# Behind it, whether it may fill any, and whether some of that is left to Python.
HINTS = 4
IS_HINTED, IS_UNREAD = COLUMN_COUNT, COLUMN_COUNT + 1

# Rows of it in which the members of an object are added up (``members``): by alternative, how many there are, and the
# bits of their sum; by level, where an object begins; by member, its object, and where its name begins and ends.
COUNTS, SUMS, HOLDERS, MEMBERS, NAMES, NAME_STOPS = range(5, 11)
WINNERS_ROWS = 11
# No power of two: its rows would fall on the same lines of the cache.
WINNERS_WIDTH = max(COLUMN_COUNT + 2, 72)


@inlined()
def reference(start, stop):
    """Return a text's place as one number."""
    return start << 32 | (stop - start)


@inner()
def as_count(buf, kind, a, b, scale):
    """Return the whole number from 0 to COUNT_MAX that a value tells; -1 where it tells none."""
    integer, number = np.int64(0), 0.0
    is_integer = False
    if kind == INT:
        integer, is_integer = a, True
        number = np.float64(a)
    elif kind == DOUBLE:
        number = load_double(buf, a)
    elif kind == STRING:
        is_number, is_integer, integer, number = parse_number(buf, a, b)
        if not is_number:
            return -1
    else:
        return -1
    if scale != 1.0:
        if not abs(number) < COUNT_MAX:
            return -1
        number = np.rint(number * scale)
        is_integer = False
    if is_integer:
        return integer if 0 <= integer <= COUNT_MAX else -1
    return np.int64(number) if 0 <= number <= COUNT_MAX else -1


@inner()
def as_cost(buf, kind, a, b):
    """Return the cost that a value tells, USD; -1.0 where it tells none."""
    number = -1.0
    if kind == INT:
        number = np.float64(a)
    elif kind == DOUBLE:
        number = load_double(buf, a)
    elif kind == STRING:
        is_number, _, _, parsed = parse_number(buf, a, b)
        number = parsed if is_number else -1.0
    return number if 0 <= number <= COST_USD_MAX else -1.0


@inlined()
def as_flag(buf, kind, a, b):
    """Return the truth value that a value tells as 0 or 1; -1 where it tells none."""
    if kind == BOOL:
        return a
    if kind == STRING:
        if b - a == 4 and _is_word(buf, a, 116, 114, 117, 101, 0):
            return 1
        if b - a == 5 and _is_word(buf, a, 102, 97, 108, 115, 101):
            return 0
    return -1


@inlined()
def _is_word(buf, start, first, second, third, fourth, fifth):
    is_same = load8(buf, start) | 32 == first and load8(buf, start + 1) | 32 == second
    is_same = is_same and load8(buf, start + 2) | 32 == third and load8(buf, start + 3) | 32 == fourth
    return is_same and (fifth == 0 or load8(buf, start + 4) | 32 == fifth)


@inner()
def as_text(made, o, buf, kind, a, b, depth, is_first_only):
    """Write a value that is no string as text into ``made``; return the end, ``o`` for none, NO_ROOM, or an error."""
    if kind == EMPTY:
        return o
    if kind == LIST and is_first_only:
        kind, a, b = first_of(buf, a, b, depth + 2)
        if kind < 0:
            return kind
        depth += 2
        if kind == STRING:
            if o + (b - a) + ROOM > size_of(made):
                return NO_ROOM
            for pos in range(a, b):
                store8(made, o, load8(buf, pos))
                o += 1
            return o
        if kind == EMPTY:
            return o
    if kind != LIST and kind != MAP:
        return put_scalar(made, o, buf, kind, a, b)
    end = put_nested(made, o, buf, kind, a, b, depth)
    # An empty list or map is no text.
    return o if end == o + 2 else end


@inner()
def first_of(buf, start, end, depth):
    """Return the first value of a list; EMPTY where it has none."""
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, 0, 0
        if wire == LEN and field == 1:
            a, b = length(buf, pos, end)
            if b < 0:
                return b, 0, 0
            return any_value(buf, a, b, depth)
        pos = skip(buf, pos, end, field, wire, depth)
        if pos < 0:
            return pos, 0, 0
    return EMPTY, 0, 0


@inlined()
def consider(best, column, rank, kind_of_column, scale, pair, buf, made, o, kind, a, b, depth, is_first_only):
    """Let a value fill its column if it ranks before what does, and can; return where ``made`` ends, or an error."""
    if rank > best[0, column]:
        return o
    if kind_of_column == TEXT:
        if kind == STRING:
            if b == a:
                return o
            win(best, column, rank, reference(a, b), pair)
            return o
        end = as_text(made, o, buf, kind, a, b, depth, is_first_only)
        if end > o:
            win(best, column, rank, reference(o, end) | IN_MADE, CONVERTED)
        return end
    if kind_of_column == COUNT:
        count = as_count(buf, kind, a, b, scale)
        if count >= 0:
            win(best, column, rank, count, pair if kind == INT and scale == 1.0 else CONVERTED)
    elif kind_of_column == COST:
        cost = as_cost(buf, kind, a, b)
        if cost >= 0:
            win(best, column, rank, np.int64(bits_of(cost)), pair if kind == DOUBLE else CONVERTED)
    elif kind_of_column == FLAG:
        flag = as_flag(buf, kind, a, b)
        if flag >= 0:
            win(best, column, rank, flag, pair if kind == BOOL else CONVERTED)
    return o


@inlined()
def win(best, column, rank, value, pair):
    """Let a value fill a column."""
    best[0, column] = rank
    best[1, column] = value
    best[2, column] = pair


@inner()
def put_family(made, o, buf, pairs, count, family, depth):
    """Write a family's messages as a JSON list; return (end, whether their indices are 0, 1, 2, …)."""
    members = np.empty(count, np.int64)
    indices = np.empty(count, np.int64)
    found = 0
    for row in range(count):
        if pairs[row, FAMILY] == family and pairs[row, STATE] == PRESENT:
            members[found] = row
            indices[found] = pairs[row, INDEX]
            found += 1
    order = np.argsort(indices[:found], kind="mergesort")
    if o + ROOM > size_of(made):
        return NO_ROOM, False
    store8(made, o, 91)
    o += 1
    is_whole = True
    last, messages = -1, 0
    for place in range(found):
        row = members[order[place]]
        index = pairs[row, INDEX]
        if o + (pairs[row, KEY_STOP] - pairs[row, REST]) * ESCAPED_MAX + ROOM > size_of(made):
            return NO_ROOM, False
        if index == last:
            store8(made, o, 44)
            o += 1
        else:
            if last >= 0:
                store8(made, o, 125)
                store8(made, o + 1, 44)
                o += 2
            store8(made, o, 123)
            o += 1
            is_whole = is_whole and index == messages
            messages += 1
            last = index
        o = put_string(made, o, buf, pairs[row, REST], pairs[row, KEY_STOP])
        store8(made, o, 58)
        o = put_pair_value(made, o + 1, buf, pairs, row, depth)
        if o < 0:
            return o, False
    if o + ROOM > size_of(made):
        return NO_ROOM, False
    store8(made, o, 125)
    store8(made, o + 1, 93)
    return o + 2, is_whole


@inlined()
def reset(best):
    """Begin a span: no column has a value."""
    for column in range(COLUMN_COUNT):
        best[0, column] = NO_RANK
        best[2, column] = CONVERTED
    best[HINTS, IS_HINTED] = 0
    best[HINTS, IS_UNREAD] = 0


@inner()
def take_hint(best, hint):
    """Note what an attribute or event may fill that is read further, once the span's row is made."""
    if best[HINTS, IS_HINTED] == 0:
        best[HINTS, IS_HINTED] = 1
        for column in range(COLUMN_COUNT):
            best[HINTS, column] = NO_RANK
    for column in range(COLUMN_COUNT):
        best[HINTS, column] = min(best[HINTS, column], _HINT_RANK[hint, column])
    best[HINTS, IS_UNREAD] |= _HINT_IS_UNREAD[hint]


@inner()
def give_back_hinted(best, pairs, count):
    """Leave attributes among the others whose columns may yet be filled by something else, or changed."""
    for column in range(COLUMN_COUNT):
        if best[HINTS, column] <= best[0, column]:
            give_back(pairs, count, best[2, column])
            best[2, column] = CONVERTED


@inner()
def give_back(pairs, count, taken):
    """Put what filled a column unchanged, a pair or a family, among the other attributes again."""
    if taken >= 0:
        pairs[taken, STATE] = PRESENT
    elif taken <= FAMILY_PAIR:
        _give_back(pairs, count, FAMILY_PAIR - taken)


@inner()
def _holds(buf, pairs, count, condition):
    for row in range(count):
        if pairs[row, ID] == _WHERE_KEY[condition] and pairs[row, STATE] == PRESENT:
            return pairs[row, KIND] == STRING and is_where(buf, pairs[row, A], pairs[row, B], condition)
    return False


@inner()
def consider_of_event(best, column, rank, buf, made, cursor, kind, a, b, pairs, count):
    """Let an event's attribute fill a column, if it ranks before what does; return 0, NO_ROOM, or an error."""
    o = cursor[MADE_END]
    if rank >= best[0, column]:
        return 0
    if o + ROOM > size_of(made):
        return NO_ROOM
    taken = best[2, column]
    o = consider(
        best, column, rank, _KINDS[column], 1.0, CONVERTED, buf, made, o, kind, a, b, VALUE_DEPTH + 1,
        column == FINISH_REASON,
    )  # fmt: skip
    if o < 0:
        return o
    cursor[MADE_END] = o
    if best[0, column] == rank:
        give_back(pairs, count, taken)
    return 0


@inlined()
def take_pairs(best, pairs):
    """Mark the pairs whose values fill columns unchanged."""
    for column in range(COLUMN_COUNT):
        if best[2, column] >= 0:
            pairs[best[2, column], STATE] = TAKEN


@inlined()
def take_family(pairs, count, family):
    """Mark a family's pairs."""
    for row in range(count):
        if pairs[row, FAMILY] == family and pairs[row, STATE] == PRESENT:
            pairs[row, STATE] = TAKEN


@inner()
def promote(buf, made, cursor, pairs, count, best, scope, headers, first_header, last_header):
    """Fill columns from the attributes, the headers and the message families; return 0, NO_ROOM, or an error."""
    o = cursor[MADE_END]
    families_seen = 0
    for row in range(count):
        pairs[row, FAMILY] = -1
        if pairs[row, STATE] != PRESENT:
            continue
        if o + (pairs[row, KEY_STOP] - pairs[row, KEY]) + ROOM > size_of(made):
            return NO_ROOM
        family, index, rest = find_family(buf, pairs[row, KEY], pairs[row, KEY_STOP])
        if family >= 0:
            pairs[row, FAMILY] = family
            pairs[row, INDEX] = index
            pairs[row, REST] = rest
            families_seen |= 1 << family
        key = pairs[row, ID]
        if key < 0:
            continue
        column = _COLUMN[scope, key]
        if column < 0:
            if _HINT[key] >= 0:
                take_hint(best, _HINT[key])
            if _WHERE[key] < 0 or not _holds(buf, pairs, count, _WHERE[key]):
                continue
            column = _WHERE_COLUMN[key]
        o = consider(
            best, column, _RANK[scope, key], _KINDS[column], _SCALE[key],
            CONVERTED if family >= 0 else row, buf, made, o, pairs[row, KIND], pairs[row, A], pairs[row, B],
            VALUE_DEPTH, column == FINISH_REASON,
        )  # fmt: skip
        if o < 0:
            return o
    for header in range(first_header, last_header):
        key = headers[header, 0]
        column = _COLUMN[scope, key]
        if column >= 0:
            o = consider(
                best, column, _RANK[scope, key], _KINDS[column], _SCALE[key], CONVERTED, buf, made, o,
                STRING, headers[header, 1], headers[header, 2], VALUE_DEPTH, False,
            )  # fmt: skip
            if o < 0:
                return o
    cursor[MADE_END] = o
    take_pairs(best, pairs)
    if families_seen:
        return _promote_families(buf, made, cursor, pairs, count, best, families_seen)
    return 0


@inner()
def _promote_families(buf, made, cursor, pairs, count, best, families_seen):
    for family in range(len(_FAMILY_RANK)):
        column = _FAMILY_COLUMN[family]
        if families_seen >> family & 1 == 0 or _FAMILY_RANK[family] >= best[0, column]:
            continue
        if best[2, column] >= 0:
            pairs[best[2, column], STATE] = PRESENT
        o = cursor[MADE_END]
        end, is_whole = put_family(made, o, buf, pairs, count, family, VALUE_DEPTH - 1)
        if end < 0:
            return end
        cursor[MADE_END] = end
        if best[2, column] <= FAMILY_PAIR:
            _give_back(pairs, count, FAMILY_PAIR - best[2, column])
        best[0, column] = _FAMILY_RANK[family]
        best[1, column] = reference(o, end) | IN_MADE
        best[2, column] = FAMILY_PAIR - family if is_whole else CONVERTED
        if is_whole:
            take_family(pairs, count, family)
    return 0


@inlined()
def _give_back(pairs, count, family):
    for row in range(count):
        if pairs[row, FAMILY] == family and pairs[row, STATE] == TAKEN:
            pairs[row, STATE] = PRESENT
