"""Entries of datasets out of rows: what was asked and answered, from the messages as spans have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from analytics.rows import json_value
from schemas.api.datasets import METADATA_CHARACTERS_MAX, Entry
from schemas.provenance import named
from storage.datasets.datasets import StoredEntry, Version

INPUT, OUTPUT, SYSTEM_MESSAGE, METADATA = COLUMNS = ("input", "output", "system_message", "metadata")
# From when an entry's content is kept, where the statement says when it was recorded.
TIME_COLUMNS = ("start_time", "received_at")
# Where bodies of requests and answers, as libraries record them whole, have the messages.
_MESSAGES = (
    "messages",
    "contents",
    "input",
    "prompt",
    "choices",
    "candidates",
    "output",
    "message",
    "content",
    "parts",
)
_TEXTS = ("text", "content", "parts", "value", "output_text")
LEVELS_MAX = 8


class EntryError(ValueError):
    """Something can't be an entry; ``field`` says what."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def entries_of(rows: pa.Table, now: datetime) -> Iterator[tuple[Entry, datetime]]:
    """Yield an entry a row that has an input and an output, and when it was recorded. Raises EntryError."""
    names = rows.schema.names
    if INPUT not in names:
        raise EntryError(f"a column {INPUT} expected, got {', '.join(names)}", "query")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise EntryError(f"each column once expected, got {repeated[0]} twice: name it by AS", "query")
    for number, row in enumerate(rows.to_pylist(), 1):
        found = _entry(row, now, is_answered=OUTPUT in names)
        if found is None:
            continue
        try:
            yield Entry.model_validate(found[0]), found[1]
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise EntryError(f"row {number}: {place}: {problem['msg']}", "query") from error


def stored(entry: Entry, content_time: datetime | None = None) -> StoredEntry:
    """Return an entry as it is stored. Raises EntryError where its metadata is too large."""
    try:
        metadata = None if entry.metadata is None else orjson.dumps(entry.metadata).decode()
    except orjson.JSONEncodeError as error:
        raise EntryError(f"metadata: can't be stored: {error}", "metadata") from error
    if metadata is not None and (len(metadata) > METADATA_CHARACTERS_MAX or "\\u0000" in metadata):
        raise EntryError(
            f"metadata: at most {METADATA_CHARACTERS_MAX} characters of JSON, and no NUL, allowed", "metadata"
        )
    whose = named(entry.metadata or {})
    return StoredEntry(
        entry.input,
        entry.output,
        entry.system_message,
        metadata,
        trace_id=whose.get("trace_id"),
        session_id=whose.get("session_id"),
        customer_id=whose.get("customer_id"),
        content_time=content_time,
    )


def _entry(row: Mapping[str, Any], now: datetime, *, is_answered: bool) -> tuple[dict[str, Any], datetime] | None:
    asked, answered = _parsed(row[INPUT]), _parsed(row.get(OUTPUT))
    question, answer = last_text(asked, "user"), last_text(answered, "assistant")
    if not question or (is_answered and not answer):
        return None
    system = row.get(SYSTEM_MESSAGE)
    metadata = _parsed(row.get(METADATA))
    beside = {name: json_value(value) for name, value in row.items() if name not in COLUMNS and value is not None}
    own = metadata if isinstance(metadata, dict) else {} if metadata is None else {METADATA: json_value(metadata)}
    entry = {
        "input": question,
        "output": answer,
        "system_message": (last_text(asked, "system") or None) if system is None else str(system),
        "metadata": {**own, **beside} or None,
    }
    return entry, min((_time(row[name]) for name in TIME_COLUMNS if row.get(name) is not None), default=now)


def _parsed(value: Any) -> Any:
    """Return the value of a text that is a JSON object or list; any other as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def last_text(value: Any, role: str) -> str:
    """Return the text of the last message of a role; of what has no roles, the text, which no system message has."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "" if role == "system" else value
    messages = list(_messages(value, 0))
    if messages:
        return next((text for message in reversed(messages) if _is_of(message, role) and (text := _text(message))), "")
    return "" if role == "system" else _text(value) or _dumped(value)


def _messages(value: Any, level: int) -> Iterator[Mapping[str, Any]]:
    """Yield what has a role, in its order, wherever it is wrapped."""
    if level > LEVELS_MAX:
        return
    if isinstance(value, list):
        for item in value:
            yield from _messages(item, level + 1)
    elif isinstance(value, dict):
        if isinstance(value.get("role"), str):
            yield value
            return
        system = value.get("system") or value.get("instructions")
        if system:
            yield {"role": "system", "content": system}
        for name in _MESSAGES:
            found = value.get(name)
            if name in ("input", "prompt") and isinstance(found, str):
                yield {"role": "user", "content": found}
            elif isinstance(found, list | dict):
                yield from _messages(found, level + 1)


_ROLES = {"model": "assistant", "ai": "assistant", "human": "user", "developer": "system"}


def _is_of(message: Mapping[str, Any], role: str) -> bool:
    name = str(message["role"]).lower()
    return _ROLES.get(name, name) == role


def _text(value: Any, level: int = 0) -> str:
    """Return the text of a message, or of the parts of one."""
    if isinstance(value, str):
        return value
    if level > LEVELS_MAX:
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_text(part, level + 1) for part in value)))
    if isinstance(value, Mapping):
        return next(filter(None, (_text(value[name], level + 1) for name in _TEXTS if name in value)), "")
    return ""


def _dumped(value: Any) -> str:
    return orjson.dumps(json_value(value)).decode() if isinstance(value, dict | list) else str(json_value(value))


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise EntryError(f"a time expected in the columns {' and '.join(TIME_COLUMNS)}, got {value!r}", "query")


def served(entries: Sequence[StoredEntry]) -> list[dict[str, Any]]:
    """Return entries as the clients read them."""
    return [
        {
            "input": entry.input,
            "output": entry.output,
            **({} if entry.system_message is None else {"systemMessage": entry.system_message}),
            **({} if entry.metadata is None else {"metadata": orjson.loads(entry.metadata)}),
        }
        for entry in entries
    ]


def described(version: Version) -> dict[str, Any]:
    """Return a version without its entries, as the API tells it."""
    found = asdict(version)
    del found["id"]
    left = found.pop("left")
    return {**found, "removed": version.entries - left}
