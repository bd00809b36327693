"""Columns from what takes more to read than one attribute's value: members of JSON, messages that are events, times.

Few spans have any of it. Those are read here, one by one, once their other columns are known with the ranks at which
they are filled; of all that could fill a column, what has the lowest rank does, whichever way it was read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import orjson

from collector.promote import COUNT_MAX, as_cost, as_count, as_text
from schemas.dialects import READINGS, EventMessages, Member, Moment, Preface, readings

Attributes = Mapping[str, object]
# Where a message within a message stands, where a whole message does, and what is no part of one.
_MESSAGE = "message"
_BODY = "gen_ai.event.content"
_ENVELOPE = frozenset((_BODY, "gen_ai.system", "gen_ai.provider.name", "event.name"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_RANK = 1 << 31

_OF_KEY: dict[str, list[Member | Moment]] = defaultdict(list)
for _reading in READINGS:
    if isinstance(_reading, Member | Moment):
        _OF_KEY[_reading.key].append(_reading)
_OF_EVENT = {reading.event: reading for reading in readings(EventMessages)}
_PREFACES = readings(Preface)

KEYS = frozenset((*_OF_KEY, *(preface.key for preface in _PREFACES if preface.event is None)))
"""The attributes that are read here."""


def derived(
    attributes: Attributes,
    events: Iterable[Mapping[str, object]],
    *,
    start_unix_nano: int | None,
    ranks: Mapping[str, int],
    text_of: Callable[[str], str | None],
) -> dict[str, object]:
    """Return the columns that are filled otherwise than they were, with what they are.

    ``ranks`` are those of the columns that are filled already, ``text_of`` returns what such a column of texts holds.
    """
    found = _Found(ranks)
    for key in KEYS & attributes.keys():
        for reading in _OF_KEY.get(key, ()):
            if found.takes(reading.column, reading.rank):
                found.fill(reading.column, reading.rank, _read(reading, attributes[key], start_unix_nano))
    said: dict[tuple[str, int], list[object]] = defaultdict(list)
    prefaces: dict[Preface, object] = {}
    for event in events:
        own = event.get("attributes")
        if isinstance(own, Mapping):
            _read_event(str(event.get("name")), own, said, prefaces)
    for (column, rank), messages in said.items():
        if found.takes(column, rank):
            found.fill(column, rank, as_text(messages))
    prefaces |= {each: attributes[each.key] for each in _PREFACES if each.event is None and each.key in attributes}
    for preface, instructions in prefaces.items():
        if found.rank_of(preface.column) == preface.rank:
            text = found.values.get(preface.column) or text_of(preface.column)
            found.values[preface.column] = _with_preface(instructions, str(text)) or text
    return found.values


class _Found:
    """What fills columns so far, and at which rank."""

    def __init__(self, ranks: Mapping[str, int]) -> None:
        self._ranks = dict(ranks)
        self.values: dict[str, object] = {}

    def rank_of(self, column: str) -> int:
        return self._ranks.get(column, _NO_RANK)

    def takes(self, column: str, rank: int) -> bool:
        return rank < self.rank_of(column)

    def fill(self, column: str, rank: int, value: object) -> None:
        if value is not None:
            self._ranks[column], self.values[column] = rank, value


def _read_event(
    name: str, attributes: Attributes, said: dict[tuple[str, int], list[object]], prefaces: dict[Preface, object]
) -> None:
    reading = _OF_EVENT.get(name)
    if reading is not None and (message := _message(attributes, reading.role)):
        said[reading.column, reading.rank].append(message)
    for preface in _PREFACES:
        if preface.event == name and preface.key in attributes:
            prefaces.setdefault(preface, attributes[preface.key])


def _message(attributes: Attributes, role: str) -> dict[str, object] | None:
    """Return the message that an event is; None where it says nothing."""
    body = _loaded(attributes.get(_BODY))
    if isinstance(body, dict):
        said = body
    elif body:
        said = {"content": body}
    else:
        said = {key: value for key, value in attributes.items() if key not in _ENVELOPE}
    within = _loaded(said.get(_MESSAGE))
    if isinstance(within, dict):
        said = within | {key: value for key, value in said.items() if key != _MESSAGE}
    return {"role": role, **said} if said else None


def _with_preface(instructions: object, text: str) -> str | None:
    """Return messages with the instructions before them; None where they have a system message, or there are none."""
    instructions, messages = _loaded(instructions), _loaded(text)
    if not instructions:
        return None
    if not isinstance(messages, list):
        messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
    if messages and isinstance(messages[0], dict) and messages[0].get("role") == "system":
        return None
    if isinstance(instructions, str):
        instructions = {"type": "text", "content": instructions}
    parts = instructions if isinstance(instructions, list) else [instructions]
    return as_text([{"role": "system", "parts": parts}, *messages])


def _read(reading: Member | Moment, value: object, start_unix_nano: int | None) -> object:
    loaded = _loaded(value)
    if isinstance(reading, Moment):
        return _elapsed_ns(loaded, start_unix_nano)
    if not reading.names:
        return as_text(loaded)
    if not isinstance(loaded, dict):
        return None
    read = as_cost if reading.column == "reported_cost" else as_count
    sums = (_sum(loaded, name, read) for name in reading.names)
    return next((total for total in sums if total is not None), None)


def _sum(members: Mapping[str, object], names: str, read: Callable[[object], float | None]) -> float | None:
    """Return the sum of the members that are numbers; None where there is none, or it is beyond bounds."""
    exact = names.split("+")
    beginnings = tuple(name[:-1] for name in exact if name.endswith("*"))
    wanted = [value for name, value in members.items() if name in exact or name.startswith(beginnings)]
    numbers = [number for value in wanted if (number := read(value)) is not None]
    return read(sum(numbers)) if numbers else None


def _elapsed_ns(value: object, start_unix_nano: int | None) -> int | None:
    if not isinstance(value, str) or not start_unix_nano:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    since = moment - _EPOCH
    elapsed = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000 - start_unix_nano
    return elapsed if 0 <= elapsed <= COUNT_MAX else None


def _loaded(value: object) -> object:
    """Return what a text of JSON says; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
