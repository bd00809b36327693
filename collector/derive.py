"""Columns from what takes more to read than one attribute's value: members of JSON, messages that are events, times.

Few spans have any of it. Those are read here, one by one, once their other columns are known with the ranks at which
they are filled; of all that could fill a column, what has the lowest rank does, whichever way it was read.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import orjson
import pyarrow as pa

from collector.promote import COUNT_MAX, as_cost, as_count, as_text
from schemas.dialects import READINGS, EventMessages, Member, Moment, Preface, readings
from schemas.spans import SPANS

Attributes = Mapping[str, object]
Event = Mapping[str, object]
Read = Callable[[object, int | None], object]
"""Returns what a value, read as JSON where it is a text of it, makes of a column, given the span's start."""

# Where a message within a message stands, where a whole message does, and what is no part of one.
_MESSAGE = "message"
_BODY = "gen_ai.event.content"
_ENVELOPE = frozenset((_BODY, "gen_ai.system", "gen_ai.provider.name", "event.name"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_RANK = 1 << 31
# JSON's own white space.
_SPACE = " \t\r\n"
_DEPTH_MAX = 3
_TEXTS = frozenset(field.name for field in SPANS.schema if field.type == pa.string())


def derived(
    attributes: Attributes,
    events: Sequence[Event],
    *,
    start_unix_nano: int | None,
    ranks: Mapping[str, int],
    text_of: Callable[[str], str | None],
) -> dict[str, object]:
    """Return the columns that are filled otherwise than they were, with what they are.

    ``ranks`` are those of the columns that are filled already, ``text_of`` returns what such a column of texts holds.
    """
    found = _Found(ranks)
    present = KEYS & attributes.keys()
    for key in present:
        value = _loaded(attributes[key])
        for column, rank, read in _READERS.get(key, ()):
            if found.takes(column, rank):
                found.fill(column, rank, read(value, start_unix_nano))
    if events:
        _read_messages(found, events)
    for preface in _PREFACES:
        if found.rank_of(preface.column) != preface.rank:
            continue
        parts = _parts(_instructions(preface, attributes, events))
        if parts:
            text = str(found.values.get(preface.column) or text_of(preface.column))
            found.values[preface.column] = _with_preface(parts, text)
    return found.values


class _Found:
    """What fills columns so far, and at which rank."""

    def __init__(self, ranks: Mapping[str, int]) -> None:
        self._before = ranks
        self._ranks: dict[str, int] = {}
        self.values: dict[str, object] = {}

    def rank_of(self, column: str) -> int:
        return self._ranks.get(column) or self._before.get(column, _NO_RANK)

    def takes(self, column: str, rank: int) -> bool:
        return rank < self.rank_of(column)

    def fill(self, column: str, rank: int, value: object) -> None:
        if value is not None:
            self._ranks[column], self.values[column] = rank, value


def _read_messages(found: _Found, events: Sequence[Event]) -> None:
    said: dict[tuple[str, int], list[object]] = defaultdict(list)
    for event in events:
        reading, attributes = _OF_EVENT.get(str(event.get("name"))), event.get("attributes")
        if reading is not None and isinstance(attributes, Mapping):
            message = _message(attributes, reading.role)
            if message:
                said[reading.column, reading.rank].append(message)
    for (column, rank), messages in said.items():
        if found.takes(column, rank):
            found.fill(column, rank, as_text(messages))


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


def _instructions(preface: Preface, attributes: Attributes, events: Sequence[Event]) -> object:
    """Return the first instructions that there are."""
    if preface.event is None:
        return attributes.get(preface.key)
    own = (event.get("attributes") for event in events if event.get("name") == preface.event)
    return next((each[preface.key] for each in own if isinstance(each, Mapping) and preface.key in each), None)


def _parts(instructions: object) -> str | None:
    """Return the instructions as a list in JSON, as it was sent where it is one; None where there are none."""
    said = _loaded(instructions)
    if not said:
        return None
    if isinstance(said, str):
        return as_text([{"type": "text", "content": said}])
    text = instructions.strip(_SPACE) if isinstance(instructions, str) else as_text(said)
    return text if isinstance(said, list) else f"[{text}]"


def _with_preface(parts: str, text: str) -> str:
    """Return the messages with instructions before them, unless they begin with a system message of their own."""
    messages = _loaded(text)
    if not isinstance(messages, list):
        message = as_text({"role": "user", "parts": [{"type": "text", "content": text}]})
        return f'[{{"role":"system","parts":{parts}}},{message}]'
    if messages and isinstance(messages[0], dict) and messages[0].get("role") == "system":
        return text
    # As they were sent: JSON that is written anew costs ten times as much, and may say numbers otherwise.
    rest = text.strip(_SPACE)[1:].lstrip(_SPACE)
    return f'[{{"role":"system","parts":{parts}}}{"," if messages else ""}{rest}'


def _loaded(value: object) -> object:
    """Return what a text of JSON says; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


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


def _as_whole(value: object, _start_unix_nano: int | None) -> str | None:
    return as_text(value)


def _member_of(reading: Member) -> Read:
    as_number = as_cost if reading.column == "reported_cost" else as_count
    sums = [_sum_of(names, as_number) for names in reading.names]
    is_deep = any("." in names for names in reading.names)

    def read(value: object, _start_unix_nano: int | None) -> float | None:
        if not isinstance(value, dict):
            return None
        members = _with_inner(value) if is_deep else value
        return next((total for total_of in sums if (total := total_of(members)) is not None), None)

    return read


def _text_member_of(reading: Member) -> Read:
    def read(value: object, _start_unix_nano: int | None) -> str | None:
        if not isinstance(value, dict):
            return None
        return next((text for name in reading.names if (text := as_text(value.get(name))) is not None), None)

    return read


def _with_inner(members: Mapping[str, object], path: str = "", depth: int = 0) -> dict[str, object]:
    """Return the members, and those of the objects among them as ``outer.inner``."""
    found: dict[str, object] = {}
    for name, value in members.items():
        found[path + name] = value
        if isinstance(value, dict) and depth < _DEPTH_MAX:
            found |= _with_inner(value, f"{path}{name}.", depth + 1)
    return found


def _sum_of(names: str, as_number: Callable[[object], float | None]) -> Callable[[Mapping[str, object]], float | None]:
    """Return what sums the members that are numbers; it returns None where there is none, or too much."""
    listed = names.split("+")
    exact, beginnings = frozenset(listed), tuple(name[:-1] for name in listed if name.endswith("*"))

    def total(members: Mapping[str, object]) -> float | None:
        wanted = [value for name, value in members.items() if name in exact or name.startswith(beginnings)]
        numbers = [number for value in wanted if (number := as_number(value)) is not None]
        return as_number(sum(numbers)) if numbers else None

    def only(members: Mapping[str, object]) -> float | None:
        return as_number(members.get(names))

    return total if beginnings or len(listed) > 1 else only


def _reader(reading: Member | Moment) -> Read:
    if isinstance(reading, Moment):
        return _elapsed_ns
    if not reading.names:
        return _as_whole
    return _text_member_of(reading) if reading.column in _TEXTS else _member_of(reading)


_READERS: dict[str, list[tuple[str, int, Read]]] = defaultdict(list)
for _reading in READINGS:
    if isinstance(_reading, Member | Moment):
        _READERS[_reading.key].append((_reading.column, _reading.rank, _reader(_reading)))
_OF_EVENT = {reading.event: reading for reading in readings(EventMessages)}
_PREFACES = readings(Preface)

KEYS = frozenset((*_READERS, *(preface.key for preface in _PREFACES if preface.event is None)))
"""The attributes that are read here."""
