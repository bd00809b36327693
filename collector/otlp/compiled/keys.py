"""Attribute keys: which of the dialects' keys a key is, found by hash, and which message family it belongs to."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.jit import inlined, inner, jit
from collector.otlp.compiled.memory import PADDING, address_of, load8, load64
from schemas.dialects import (
    FAMILIES,
    READINGS,
    EventAttribute,
    EventMessages,
    EventTime,
    Preface,
    readings,
    sources_by_key,
)
from schemas.dialects.fallom import RAW_BODIES, TAGS
from schemas.spans import SPANS

TEXT, COUNT, COST, FLAG = range(4)
NO_RANK = 2**31 - 1
INDEX_DIGITS_MAX = 4
# Vercel's AI SDK: its keys are read only on spans of this scope.
SCOPES = ("", "ai")

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_OTHER_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Keys:
    """The dialects as arrays. ``columns`` are the columns that attributes can fill, in the schema's order.

    By column: ``kinds`` (TEXT, COUNT, COST, FLAG). By scope and key: ``column`` (-1: none) and ``rank``; by key:
    ``scale``, ``where`` (its condition; -1: none) with ``where_column`` (what it fills then, ``column`` being -1) and
    ``hint`` (a row of ``hint_rank``; -1: none), which only keys without a column have; by family:
    ``family_column`` and ``family_rank``. Key k's bytes are ``data[starts[k]:starts[k + 1]]``; the families' prefixes
    follow the keys. ``names`` holds, for each column, then for each key, then for each family, its JSON text:
    ``"column":``, ``"key"``; these begin at ``name_starts``.

    Condition c is a key in ``where_key`` and its value's text, ``where_data[where_starts[c]:where_starts[c + 1]]``. A
    key or event that is read further has a hint: by column, the lowest rank it may fill it at; and whether that
    ``hint_is_unread`` here, but by ``collector.derive``.
    """

    columns: tuple[str, ...]
    kinds: NDArray[np.int64]
    table: NDArray[np.int64]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    column: NDArray[np.int64]
    rank: NDArray[np.int64]
    scale: NDArray[np.float64]
    family_column: NDArray[np.int64]
    family_rank: NDArray[np.int64]
    names: NDArray[np.uint8]
    name_starts: NDArray[np.int64]
    where: NDArray[np.int64]
    where_column: NDArray[np.int64]
    where_key: NDArray[np.int64]
    where_data: NDArray[np.uint8]
    where_starts: NDArray[np.int64]
    hint: NDArray[np.int64]
    hint_rank: NDArray[np.int64]
    hint_is_unread: NDArray[np.int64]
    ids: dict[str, int]


@dataclass(frozen=True, slots=True)
class Events:
    """The dialects' events as arrays. Event e's name is ``data[starts[e]:starts[e + 1]]``.

    By event: ``time_column`` and ``time_rank`` of what its time fills (-1: nothing), its ``hint`` as of a key, and its
    attributes: ``first[e]`` to ``first[e + 1]`` of ``column``, ``rank`` and ``key``, the keys being the texts that
    follow the names.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    time_column: NDArray[np.int64]
    time_rank: NDArray[np.int64]
    hint: NDArray[np.int64]
    first: NDArray[np.int64]
    column: NDArray[np.int64]
    rank: NDArray[np.int64]
    key: NDArray[np.int64]


def _load() -> Keys:
    by_scope = [sources_by_key(scope) for scope in SCOPES]
    sources = {source for found in by_scope for each in found.values() for source in each}
    conditions = sorted({source.where for source in sources if source.where})
    hints = _hints()
    keys = sorted({source.key for source in sources} | {key for key, _ in conditions} | hints.attributes.keys())
    columns = _columns()
    place = {name: index for index, name in enumerate(columns)}
    ids = {key: index for index, key in enumerate(keys)}
    column = np.full((len(SCOPES), len(keys)), -1, np.int64)
    rank = np.full((len(SCOPES), len(keys)), NO_RANK, np.int64)
    scale = np.ones(len(keys))
    where, where_column = np.full((2, len(keys)), -1, np.int64)
    for scope, found in enumerate(by_scope):
        for index, key in enumerate(keys):
            for source in found.get(key, ()):
                rank[scope, index] = source.rank
                scale[index] = source.scale
                if source.where:
                    # Looked at apart from the others, so that these cost nothing more.
                    where[index], where_column[index] = conditions.index(source.where), place[source.column]
                else:
                    column[scope, index] = place[source.column]
    where_data, where_starts = _joined([text.encode() for _, text in conditions])
    data, starts = _joined([key.encode() for key in keys] + [family.prefix.encode() for family in FAMILIES])
    names, name_starts = _joined(
        [f'"{name}":'.encode() for name in columns]
        + [f'"{key}"'.encode() for key in keys]
        + [f'"{family.prefix}*"'.encode() for family in FAMILIES]
    )
    return Keys(
        columns=columns,
        kinds=np.array([_kind(SPANS.schema.field(name).type) for name in columns]),
        table=_hash_table(data, starts, len(keys)),
        data=data,
        starts=starts,
        column=column,
        rank=rank,
        scale=scale,
        family_column=np.array([place[family.column] for family in FAMILIES]),
        family_rank=np.array([family.rank for family in FAMILIES]),
        names=names,
        name_starts=name_starts,
        where=where,
        where_column=where_column,
        where_key=np.array([ids[key] for key, _ in conditions], np.int64),
        where_data=where_data,
        where_starts=where_starts,
        hint=np.array([hints.attributes.get(key, -1) for key in keys], np.int64),
        hint_rank=hints.ranks,
        hint_is_unread=hints.is_unread,
        ids=ids,
    )


def _columns() -> tuple[str, ...]:
    filled = {source.column for scope in SCOPES for found in sources_by_key(scope).values() for source in found}
    filled |= {each.column for each in (*FAMILIES, *READINGS)}
    return tuple(name for name in SPANS.schema.names if name in filled)


@dataclass(frozen=True, slots=True)
class _Hints:
    attributes: dict[str, int]
    events: dict[str, int]
    ranks: NDArray[np.int64]
    is_unread: NDArray[np.int64]


def _hints() -> _Hints:
    """Return which row of ranks each key and each event has that is read further."""
    columns = _columns()
    attributes: dict[str, int] = {}
    events: dict[str, int] = {}
    rows: list[NDArray[np.int64]] = []
    for reading in READINGS:
        if isinstance(reading, EventTime | EventAttribute):
            continue
        if isinstance(reading, EventMessages) or (isinstance(reading, Preface) and reading.event is not None):
            found, name = events, str(reading.event)
        else:
            found, name = attributes, reading.key
        if name not in found:
            found[name] = len(rows)
            rows.append(np.full(len(columns), NO_RANK, np.int64))
        place = columns.index(reading.column)
        rows[found[name]][place] = min(rows[found[name]][place], reading.rank)
    # Raw bodies fill what nothing else does: what is filled already stays as it is. Nothing else fills tags.
    attributes |= dict.fromkeys((*RAW_BODIES, TAGS), len(rows))
    rows.append(np.full(len(columns), NO_RANK, np.int64))
    is_unread = np.zeros(len(rows), np.int64)
    is_unread[[*events.values(), -1]] = 1
    return _Hints(attributes, events, np.array(rows), is_unread)


def _load_events(columns: tuple[str, ...]) -> Events:
    times, attributes, hints = readings(EventTime), readings(EventAttribute), _hints().events
    names = sorted({each.event for each in times} | {each.event for each in attributes} | hints.keys())
    keys = sorted({each.key for each in attributes})
    data, starts = _joined([text.encode() for text in (*names, *keys)])
    by_name = [[each for each in attributes if each.event == name] for name in names]
    of_time = {each.event: each for each in times}
    return Events(
        data=data,
        starts=starts,
        time_column=np.array([columns.index(of_time[name].column) if name in of_time else -1 for name in names]),
        time_rank=np.array([of_time[name].rank if name in of_time else NO_RANK for name in names]),
        hint=np.array([hints.get(name, -1) for name in names]),
        first=np.cumsum([0, *map(len, by_name)]),
        column=np.array([columns.index(each.column) for found in by_name for each in found]),
        rank=np.array([each.rank for found in by_name for each in found]),
        key=np.array([len(names) + keys.index(each.key) for found in by_name for each in found]),
    )


def _kind(data_type: pa.DataType) -> int:
    if pa.types.is_int64(data_type):
        return COUNT
    if pa.types.is_float64(data_type):
        return COST
    return FLAG if pa.types.is_boolean(data_type) else TEXT


def _joined(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    starts = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    return np.frombuffer(bytearray(b"".join(texts) + bytes(PADDING)), np.uint8), starts


def _hash_table(data: NDArray[np.uint8], starts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return an open-addressing table of key numbers, a quarter full; free places hold -1."""
    size = 1 << (4 * count).bit_length()
    table = np.full(size, -1, np.int64)
    for key in range(count):
        place = int(key_hash(data.ctypes.data, int(starts[key]), int(starts[key + 1]))) & (size - 1)
        while table[place] >= 0:
            place = (place + 1) & (size - 1)
        table[place] = key
    return table


@inlined()
def _key_hash(buf, start, stop):
    """Return a hash of the key's length and of its first, middle and last eight bytes."""
    count = stop - start
    if count >= 8:
        first, last = load64(buf, start), load64(buf, stop - 8)
        middle = load64(buf, start + ((count - 8) >> 1))
    else:
        first = load64(buf, start) & ((np.uint64(1) << np.uint64(8 * count)) - np.uint64(1))
        middle, last = np.uint64(0), np.uint64(0)
    mixed = (first ^ np.uint64(count)) * _MULTIPLIER ^ (middle + last * _OTHER_MULTIPLIER)
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)


@jit()
def key_hash(buf, start, stop):
    """Return the hash that the table is made with."""
    return _key_hash(buf, start, stop)


KEYS = _load()
# Compiled as constants.
_TABLE, _DATA, _STARTS = KEYS.table, KEYS.data, KEYS.starts
_FAMILY_FIRST, _FAMILIES = len(KEYS.scale), len(FAMILIES)


@inlined()
def is_same(buf, start, stop, data, other, other_stop):
    """Return whether two byte strings are alike."""
    if stop - start != other_stop - other:
        return False
    pos = start
    while pos + 8 <= stop:
        if load64(buf, pos) != load64(data, other + pos - start):
            return False
        pos += 8
    while pos < stop:
        if load8(buf, pos) != load8(data, other + pos - start):
            return False
        pos += 1
    return True


@inlined()
def find_key(buf, start, stop):
    """Return (hash, number of the dialects' key that this is; -1: none)."""
    hashed = _key_hash(buf, start, stop)
    mask = len(_TABLE) - 1
    place = np.int64(hashed & np.uint64(mask))
    while True:
        key = _TABLE[place]
        if key < 0 or is_same(buf, start, stop, address_of(_DATA), _STARTS[key], _STARTS[key + 1]):
            return hashed, key
        place = (place + 1) & mask


@inner()
def find_family(buf, start, stop):
    """Return (family, index, where the rest of the key begins) of ``<prefix><index>.<rest>``; family -1: none."""
    for family in range(_FAMILIES):
        prefix, prefix_stop = _STARTS[_FAMILY_FIRST + family], _STARTS[_FAMILY_FIRST + family + 1]
        size = prefix_stop - prefix
        if stop - start > size + 2 and is_same(buf, start, start + size, address_of(_DATA), prefix, prefix_stop):
            pos = start + size
            index = 0
            while pos < stop and pos - start - size < INDEX_DIGITS_MAX and 48 <= load8(buf, pos) <= 57:
                index = index * 10 + load8(buf, pos) - 48
                pos += 1
            digits = pos - start - size
            has_zero_before = digits > 1 and load8(buf, start + size) == 48
            if digits and not has_zero_before and pos + 1 < stop and load8(buf, pos) == 46:
                return family, index, pos + 1
    return -1, 0, 0


_SERVICE_NAME = np.frombuffer(b"service.name" + bytes(PADDING), np.uint8)


@inlined()
def is_service_name(buf, start, stop):
    """Return whether a key is that of the service's name."""
    return is_same(buf, start, stop, address_of(_SERVICE_NAME), 0, len(_SERVICE_NAME) - PADDING)


EVENTS = _load_events(KEYS.columns)
_EVENT_DATA, _EVENT_STARTS, _EVENT_COUNT = EVENTS.data, EVENTS.starts, len(EVENTS.hint)


@inner()
def find_event(buf, start, stop):
    """Return the number of the dialects' event of this name; -1: none."""
    for event in range(_EVENT_COUNT):
        if is_same(buf, start, stop, address_of(_EVENT_DATA), _EVENT_STARTS[event], _EVENT_STARTS[event + 1]):
            return event
    return -1


@inlined()
def is_event_text(buf, start, stop, text):
    """Return whether a key is the given one of the events' texts."""
    return is_same(buf, start, stop, address_of(_EVENT_DATA), _EVENT_STARTS[text], _EVENT_STARTS[text + 1])


_WHERE_DATA, _WHERE_STARTS = KEYS.where_data, KEYS.where_starts


@inlined()
def is_where(buf, start, stop, condition):
    """Return whether a value is what a condition asks for."""
    return is_same(buf, start, stop, address_of(_WHERE_DATA), _WHERE_STARTS[condition], _WHERE_STARTS[condition + 1])
