"""A row of a list, as it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from analytics.rows import json_value
from analytics.traces.listing import SESSIONS, TOKENS, Key, Kind, found_spans, moment
from analytics.traces.messages import cut_preview, input_preview, output_preview
from storage import sql
from storage.engines.duckdb import QuerySession

NS_A_MS = 1e6
US_A_MS = 1e3
# Beyond that a text is cut before it is parsed: a page has hundreds of them.
PREVIEWED_BYTES_MAX = 128 * 1024
PREVIEWED_CHARACTERS_MAX = 2_000

_SAID = ("trace_id", "span_id", "input", "output")

_Row = dict[str, Any]
_Place = tuple[str, str]


def answered(session: QuerySession, kind: Kind, rows: list[_Row], as_of: datetime) -> list[_Row]:
    """Return the rows of a page as they are answered, with previews of what was said."""
    content = _content(session, kind, rows, as_of)
    return [_answered(kind, row, content) for row in rows]


def tokens_of(row: Mapping[str, Any]) -> dict[str, object]:
    """Return the sums of tokens by the names of the API."""
    return {name: json_value(row[column]) for name, column in TOKENS.items()}


def _answered(kind: Kind, row: _Row, content: Mapping[_Place, _Row]) -> _Row:
    head, first_call = row["head"], row["first_call"] or {}
    places = _places(row)
    shared = {
        "config_key": head["config_key"] or row["config_key"],
        "session_id": head["session_id"] or row["session_id"],
        "customer_id": head["customer_id"] or row["customer_id"],
        "start_time": moment(row["start_us"]).isoformat(),
        "duration_ms": (row["end_us"] - row["start_us"]) / US_A_MS,
        "models": [model for model in row["models"] or () if model is not None],
        **{name: row[name] for name in ("spans", "errors", "calls")},
        "tokens": tokens_of(row),
        "cost": json_value(row["cost"]),
        "unpriced_calls": row["unpriced_calls"],
        "time_to_first_token_ms": milliseconds(first_call.get("time_to_first_token_ns")),
        "error": row["error"],
        "tags": head["tags"] or row["tags"] or [],
        "input_preview": _first(content, places[:2], "input"),
        "output_preview": _first(content, (places[0], places[2]), "output"),
    }
    if kind is SESSIONS:
        return {**shared, "session_id": row["key"], "traces": row["traces"]}
    return {
        "trace_id": row["key"],
        "span_id": head["span_id"],
        "name": head["name"],
        "operation": head["operation"],
        "status": head["status"],
        "model": first_call.get("model"),
        "provider": first_call.get("provider"),
        **shared,
    }


def milliseconds(ns: int | None) -> float | None:
    """Return a duration in ms."""
    return None if ns is None else ns / NS_A_MS


def _places(row: _Row) -> tuple[_Place | None, _Place | None, _Place | None]:
    """Return where the content of the previews is: of the head, the first and the last call."""
    head, first, last = (
        (found["trace_id"], found["span_id"]) if found else None
        for found in (row["head"], row["first_call"], row["last_call"])
    )
    return head, first, last


def _content(session: QuerySession, kind: Kind, rows: list[_Row], as_of: datetime) -> dict[_Place, _Row]:
    if not rows:
        return {}
    keys = [Key(row["key"], row["start_us"], row["last_us"], 0) for row in rows]
    found = found_spans(session, kind, keys, as_of, _SAID)
    places = [place for row in rows for place in _places(row) if place]
    content = session.query(
        sql.load("listed_content").format(found=found),
        {
            "trace_ids": sorted({trace_id for trace_id, _ in places}),
            "span_ids": sorted({span_id for _, span_id in places}),
            "bytes_max": PREVIEWED_BYTES_MAX,
            "characters_max": PREVIEWED_CHARACTERS_MAX,
        },
    )
    return {(row["trace_id"], row["span_id"]): row for row in content.to_pylist()}


def _first(content: Mapping[_Place, _Row], places: Iterable[_Place | None], column: str) -> str | None:
    for place in places:
        row = content.get(place) if place else None
        if row and row[column] is not None:
            if column == "output":
                return output_preview(row[column])
            return cut_preview(row[column]) if row["is_input_cut"] else input_preview(row[column])
    return None
