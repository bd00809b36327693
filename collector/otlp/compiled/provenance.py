"""Which attribute filled which column: one JSON object a combination, written once."""

from collector.jit import inlined, inner
from collector.otlp.compiled.cursor import COMBINATIONS, LAST_COMBINATION, MADE_END
from collector.otlp.compiled.keys import KEYS
from collector.otlp.compiled.memory import address_of, size_of, store8
from collector.otlp.compiled.pairs import ID
from collector.otlp.compiled.promotion import COLUMN_COUNT, FAMILY_PAIR, IN_MADE, reference
from collector.otlp.compiled.text import put_raw
from collector.otlp.compiled.value import NO_ROOM

COMBINATIONS_MAX = 256
"""So many are remembered; the same one is written again beyond that."""

_KEY_COUNT = len(KEYS.scale)
_NAMES, _NAME_STARTS = KEYS.names, KEYS.name_starts


@inner()
def put_promoted(made, cursor, best, combinations, pairs):
    """Return the place of the JSON object that says which key filled which column; each such object is written once."""
    last = cursor[LAST_COMBINATION]
    place = cursor[COMBINATIONS]
    for column in range(COLUMN_COUNT):
        pair = best[2, column]
        key = pairs[pair, ID] if pair >= 0 else _KEY_COUNT + FAMILY_PAIR - pair if pair <= FAMILY_PAIR else -1
        combinations[place, column] = key
    if last >= 0 and _is_combination(combinations, last, place):
        return combinations[last, COLUMN_COUNT]
    for other in range(place):
        if _is_combination(combinations, other, place):
            cursor[LAST_COMBINATION] = other
            return combinations[other, COLUMN_COUNT]
    return _write_promoted(made, cursor, combinations)


@inlined()
def _is_combination(combinations, one, other):
    for column in range(COLUMN_COUNT):
        if combinations[one, column] != combinations[other, column]:
            return False
    return True


@inner()
def _write_promoted(made, cursor, combinations):
    place = cursor[COMBINATIONS]
    start = cursor[MADE_END]
    o = start
    for column in range(COLUMN_COUNT):
        key = combinations[place, column]
        if key < 0:
            continue
        if o + 512 > size_of(made):
            return NO_ROOM
        store8(made, o, 123 if o == start else 44)
        o = put_raw(made, o + 1, address_of(_NAMES), _NAME_STARTS[column], _NAME_STARTS[column + 1])
        o = put_raw(made, o, address_of(_NAMES), _NAME_STARTS[COLUMN_COUNT + key], _NAME_STARTS[COLUMN_COUNT + key + 1])
    if o > start:
        store8(made, o, 125)
        o += 1
    cursor[MADE_END] = o
    combinations[place, COLUMN_COUNT] = reference(start, o) | IN_MADE if o > start else 0
    if place + 1 < COMBINATIONS_MAX:
        cursor[COMBINATIONS] = place + 1
        cursor[LAST_COMBINATION] = place
    return combinations[place, COLUMN_COUNT]
