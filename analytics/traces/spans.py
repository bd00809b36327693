"""A span as it is answered: its columns, JSON unfolded, its attributes as they were sent, its messages and phases."""

from collections.abc import Mapping
from typing import Any

import orjson

from analytics.rows import json_value
from analytics.traces.messages import messages_of
from analytics.traces.rows import milliseconds

JSON_COLUMNS = (
    "metadata",
    "attributes",
    "promoted",
    "resource_attributes",
    "scope_attributes",
    "events",
    "links",
    "tool_calls",
    "phases",
)
# An answer may be nested 254 deep, and what a column holds stands some levels down.
_SURELY_SHALLOW = 240
_INTERNAL_COLUMNS = ("project", "date", "content_hash", "is_cut")


def span_of(row: Mapping[str, object]) -> dict[str, Any]:
    """Return a stored span as it is answered, ``phases`` as they are stored, else from the time to first token."""
    span = stored_span({name: value for name, value in row.items() if name not in _INTERNAL_COLUMNS})
    span["time_to_first_token_ms"] = milliseconds(span["time_to_first_token_ns"])
    span["phases"] = span["phases"] or _phases(span)
    span["input_messages"] = messages_of(span["input"], "user")
    span["output_messages"] = messages_of(span["output"], "assistant")
    return span


def stored_span(row: Mapping[str, object]) -> dict[str, Any]:
    """Return a row's columns as JSON values, what is JSON unfolded, its attributes put together."""
    span: dict[str, Any] = {name: json_value(value) for name, value in row.items()}
    for name in JSON_COLUMNS:
        span[name] = _parsed(span[name])
    span["attributes"] = attributes_as_sent(span, span.pop("promoted"), span["attributes"])
    return span


def _parsed(text: object) -> Any:
    if not isinstance(text, str):
        return None
    try:
        parsed = orjson.loads(text)
        if text.count("{") + text.count("[") > _SURELY_SHALLOW:
            orjson.dumps([[[[[[[[parsed]]]]]]]])
    except (orjson.JSONDecodeError, TypeError):
        # It was masked, or removed after its time; or it is nested deeper than an answer can be.
        return text
    return parsed


def _phases(span: Mapping[str, Any]) -> list[dict[str, object]] | None:
    first_ms, duration_ms = span["time_to_first_token_ms"], milliseconds(span["duration_ns"])
    if first_ms is None:
        return None
    waiting = {"name": "waiting", "start_ms": 0.0, "end_ms": first_ms}
    if duration_ms is None or duration_ms < first_ms:
        return [waiting]
    return [waiting, {"name": "streaming", "start_ms": first_ms, "end_ms": duration_ms}]


def attributes_as_sent(span: Mapping[str, Any], promoted: Any, rest: Any) -> dict[str, object]:
    """Return all attributes of a span: those that fill columns (``promoted``: column to key), and the rest."""
    sent: dict[str, object] = {}
    for column, key in (promoted if isinstance(promoted, dict) else {}).items():
        value = span.get(column)
        messages = _messages(value) if key.endswith(".*") else None
        if messages is not None:
            for index, message in enumerate(messages):
                sent |= {f"{key[:-1]}{index}.{name}": item for name, item in message.items()}
        elif value is not None:
            sent[key] = value
    return sent | (rest if isinstance(rest, dict) else {})


def _messages(value: str | None) -> list[dict[str, Any]] | None:
    """Return the messages that a column was made of; None where they are masked, or removed after their time."""
    try:
        messages = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        return None
    is_whole = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    return messages if is_whole else None
