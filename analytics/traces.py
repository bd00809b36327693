"""One trace: its spans as they are stored, JSON columns unfolded."""

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from analytics.rows import json_value
from storage import sql
from storage.engines.duckdb import DuckDBEngine

_JSON_COLUMNS = ("metadata", "attributes", "promoted", "resource_attributes", "scope_attributes", "events", "links")
_INTERNAL_COLUMNS = ("project", "date", "content_hash")


def trace_spans(engine: DuckDBEngine, project: str, trace_id: str) -> list[dict[str, object]]:
    """Return the spans of a trace by start time; none where the project has no such trace."""
    rows: pa.Table = engine.query(sql.load("trace"), {"trace_id": trace_id.lower()}, project=project)
    return [_span(row) for row in rows.to_pylist()]


def _span(row: dict[str, object]) -> dict[str, object]:
    span = {name: json_value(value) for name, value in row.items() if name not in _INTERNAL_COLUMNS}
    for name in _JSON_COLUMNS:
        text = span[name]
        span[name] = orjson.loads(text) if isinstance(text, str) else None
    span["attributes"] = attributes_as_sent(span, span.pop("promoted"), span["attributes"])
    return span


def attributes_as_sent(span: Mapping[str, Any], promoted: Any, rest: Any) -> dict[str, object]:
    """Return all attributes of a span: those that fill columns (``promoted``: column to key), and the rest."""
    sent: dict[str, object] = {}
    for column, key in (promoted or {}).items():
        value = span[column]
        messages = _messages(value) if key.endswith(".*") else None
        if messages is not None:
            for index, message in enumerate(messages):
                sent |= {f"{key[:-1]}{index}.{name}": item for name, item in message.items()}
        elif value is not None:
            sent[key] = value
    return sent | (rest or {})


def _messages(value: str | None) -> list[dict[str, Any]] | None:
    """Return the messages that a column was made of; None where they are masked, or removed after their time."""
    try:
        messages = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        return None
    is_whole = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
    return messages if is_whole else None
