"""What is read from more than an attribute's own value, by the dialects' readings: the rules, slowly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import orjson
import pyarrow as pa
from otlp_decoder.conversions import COST_USD_MAX, COUNT_MAX, Agreement, Cell, convert, to_json

from schemas.dialects import (
    READINGS,
    EventAttribute,
    EventMessages,
    EventTime,
    Member,
    Moment,
    Preface,
    Reading,
    Source,
)
from schemas.spans import SPANS

UNIX_NANO_MAX = 2**63 - 1
NO_RANK = 2**40
# JSON's own white space.
_SPACE = " \t\r\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Candidates = dict[str, tuple[int, str, Cell]]
Event = Mapping[str, object]


def hinted(attributes: Mapping[str, object], events: Sequence[Event]) -> dict[str, int]:
    """Return the lowest rank at which something that is read later may fill each column: what did so stays beside."""
    names = {event["name"] for event in events}
    found: dict[str, int] = {}
    for reading in READINGS:
        if isinstance(reading, Member | Moment) or (isinstance(reading, Preface) and reading.event is None):
            is_there = reading.key in attributes
        else:
            is_there = isinstance(reading, EventMessages | Preface) and reading.event in names
        if is_there:
            found[reading.column] = min(found.get(reading.column, NO_RANK), reading.rank)
    return found


def of_events(best: Candidates, events: Sequence[Event], start: int) -> None:
    """Let the times and attributes of events fill columns."""
    for event in events:
        for reading in READINGS:
            if isinstance(reading, EventTime) and reading.event == event["name"]:
                elapsed = int(str(event["time_unix_nano"])) - start
                if start > 0 and 0 <= elapsed <= UNIX_NANO_MAX:
                    _fill(best, reading, Cell(elapsed))
            if isinstance(reading, EventAttribute) and reading.event == event["name"]:
                own = event["attributes"]
                if isinstance(own, dict) and reading.key in own:
                    _fill(best, reading, convert(Source(reading.column, 0, reading.key), own[reading.key]))


def derive(best: Candidates, attributes: Mapping[str, object], events: Sequence[Event], start: int) -> None:
    """Let members of JSON, moments and messages fill columns; then put instructions before the messages."""
    for reading in READINGS:
        if isinstance(reading, Member) and reading.key in attributes:
            _fill(best, reading, _member(reading, attributes[reading.key]))
        if isinstance(reading, Moment) and reading.key in attributes:
            _fill(best, reading, _moment(attributes[reading.key], start))
        if isinstance(reading, EventMessages):
            _fill(best, reading, _messages(reading, events))
    for reading in READINGS:
        if isinstance(reading, Preface):
            _join(best, reading, attributes, events)


def _fill(best: Candidates, reading: Reading, cell: Cell | None) -> None:
    if cell is not None and (reading.column not in best or reading.rank < best[reading.column][0]):
        best[reading.column] = reading.rank, "", Cell(cell.value, cell.agreement)


def _member(reading: Member, value: object) -> Cell | None:
    found = _from_json(value)
    source = Source(reading.column, 0, reading.key)
    if not reading.names:
        return convert(source, found)
    if not isinstance(found, dict):
        return None
    if pa.types.is_string(SPANS.schema.field(reading.column).type):
        texts = (convert(source, found.get(name)) for name in reading.names)
        return next((text for text in texts if text is not None), None)
    members = dict(_members(found)) if any("." in names for names in reading.names) else found
    for names in reading.names:
        wanted: list[float] = []
        for name, member in members.items():
            if any(name == each or (each[-1] == "*" and name.startswith(each[:-1])) for each in names.split("+")):
                cell = convert(source, member)
                if cell is not None and isinstance(cell.value, int | float):
                    wanted.append(cell.value)
        total = sum(wanted)
        if wanted and total <= (COST_USD_MAX if reading.column == "reported_cost" else COUNT_MAX):
            return Cell(total, Agreement.PARSED if isinstance(total, float) else Agreement.EXACT)
    return None


def _members(found: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the members, and those of the objects among them, of up to three levels more, as ``outer.inner``."""
    for name, member in found.items():
        yield path + name, member
        if isinstance(member, dict) and path.count("\0") < 3:
            yield from ((inner.replace("\0", "."), each) for inner, each in _members(member, f"{path}{name}\0"))


def _moment(value: object, start: int) -> Cell | None:
    found = _from_json(value)
    if not isinstance(found, str) or start == 0:
        return None
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    elapsed = (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds) * 1_000 - start
    return Cell(elapsed) if 0 <= elapsed <= COUNT_MAX else None


def _messages(reading: EventMessages, events: Sequence[Event]) -> Cell | None:
    roles = {
        each.event: each.role
        for each in READINGS
        if isinstance(each, EventMessages) and (each.column, each.rank) == (reading.column, reading.rank)
    }
    messages = []
    for event in events:
        own = event["attributes"]
        if event["name"] in roles and isinstance(own, dict):
            said = _said(own)
            if said:
                messages.append({"role": roles[str(event["name"])]} | said)
    return Cell(to_json(messages), Agreement.JSON) if messages else None


def _said(attributes: Mapping[str, object]) -> dict[str, object]:
    body = _from_json(attributes.get("gen_ai.event.content"))
    envelope = ("gen_ai.event.content", "gen_ai.system", "gen_ai.provider.name", "event.name")
    if isinstance(body, dict):
        said = body
    elif body:
        said = {"content": body}
    else:
        said = {key: value for key, value in attributes.items() if key not in envelope}
    message = _from_json(said.get("message"))
    if isinstance(message, dict):
        said = message | {key: value for key, value in said.items() if key != "message"}
    return said


def _join(best: Candidates, preface: Preface, attributes: Mapping[str, object], events: Sequence[Event]) -> None:
    if preface.event:
        all_attributes = [event["attributes"] for event in events if event["name"] == preface.event]
    else:
        all_attributes = [attributes]
    given = [each[preface.key] for each in all_attributes if isinstance(each, dict) and preface.key in each]
    if not given or preface.column not in best or best[preface.column][0] != preface.rank:
        return
    said, text = _from_json(given[0]), str(best[preface.column][2].value)
    messages = _from_json(text)
    listed = text if isinstance(messages, list) else to_json([{"role": "user", "parts": [_text_part(text)]}])
    messages = _from_json(listed)
    assert isinstance(messages, list)
    has_system = bool(messages) and isinstance(messages[0], dict) and messages[0].get("role") == "system"
    if said and not has_system:
        parts = given[0] if isinstance(given[0], str) else to_json(said)
        if not isinstance(said, list):
            parts = to_json([_text_part(said)]) if isinstance(said, str) else f"[{parts.strip(_SPACE)}]"
        # What was sent as JSON stays as it was sent: a key that stands twice does so here too.
        system = f'{{"role":"system","parts":{parts.strip(_SPACE)}}}'
        rest = listed.strip(_SPACE)[1:].strip(_SPACE)
        joined = f"[{system},{rest}" if messages else f"[{system}]"
        best[preface.column] = preface.rank, "", Cell(joined, Agreement.JSON)


def _text_part(text: object) -> dict[str, object]:
    return {"type": "text", "content": text}


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
