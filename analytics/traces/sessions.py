"""One session: its conversation, its calls, what was measured of it, and which variants it was given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from analytics.rows import json_value
from analytics.traces.conversation import Conversation
from analytics.traces.event_content import content_of_events
from analytics.traces.listing import SESSIONS, US_MAX, Key, extents_of, moment, narrow, newest_receipt, summaries
from analytics.traces.rows import answered, milliseconds, tokens_of
from fallom.assignment import variant_keys
from storage import sql
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.registry.registry import Registry

CALLS_MAX = 500
# What a call may have of input, and of output: histories repeat themselves, so that all are as the square of one.
CONTENT_BYTES_MAX = 128 * 1024
SESSION_S_MAX = 20.0
EVENTS_MAX = 5_000
# An event may bear a time a little before its call, or after it has ended.
EVENT_DELAY_US_MAX = 1_000_000


def session_of(engine: DuckDBEngine, registry: Registry, project: str, session_id: str) -> dict[str, Any] | None:
    """Return a session as a conversation; None where the project has nothing of it. Raises QueryError."""
    named = {"session_id": session_id}
    with engine.session(project) as session, session.deadline(SESSION_S_MAX):
        metrics = session.query(sql.load("session_values"), named).to_pylist()
        exposures = session.query(sql.load("session_exposures"), named).to_pylist()
        summary, calls = _spans(session, session_id)
    if summary is None and not metrics and not exposures:
        return None
    conversation = Conversation()
    for call in calls[:CALLS_MAX]:
        conversation.add(call, _said(call))
    return {
        "session_id": session_id,
        "summary": summary,
        "turns": conversation.turns,
        "calls": [_call(call) for call in calls[:CALLS_MAX]],
        "metrics": [_metric(metric) for metric in metrics],
        "exposures": _exposures(registry, project, exposures),
        "truncated": len(calls) > CALLS_MAX or conversation.is_truncated or any(call["is_cut"] for call in calls),
    }


def _spans(session: QuerySession, session_id: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    as_of = newest_receipt(session)
    extents = extents_of(session, SESSIONS, [session_id], 0, US_MAX, as_of)
    if not extents:
        return None, []
    start_us, last_us = extents[0]["start_us"], extents[0]["last_us"]
    narrow(session, start_us, last_us, as_of)
    rows = summaries(session, SESSIONS, [Key(session_id, start_us, last_us, 0)], as_of)
    limits = {"calls_max": CALLS_MAX + 1, "bytes_max": CONTENT_BYTES_MAX}
    named: dict[str, object] = {"session_id": session_id}
    calls = session.query(sql.load("session_calls"), named | limits).to_pylist()
    (summary,) = answered(session, SESSIONS, rows, as_of)
    _add_events(session, calls, as_of)
    return summary, calls


def _add_events(session: QuerySession, calls: Sequence[dict[str, Any]], as_of: datetime) -> None:
    """Give the calls that bear no content what their events tell."""
    silent = [call for call in calls if call["input"] is None and call["output"] is None and not call["is_cut"]]
    if not silent:
        return
    least_us = min(call["start_us"] for call in silent)
    greatest_us = max(call["start_us"] + (call["duration_ns"] or 0) // 1000 for call in silent)
    narrow(session, least_us - EVENT_DELAY_US_MAX, greatest_us + EVENT_DELAY_US_MAX, as_of)
    named: dict[str, object] = {
        "traces": list({call["trace_id"] for call in silent}),
        "calls": [call["span_id"] for call in silent],
        "bytes_max": CONTENT_BYTES_MAX,
        "events_max": EVENTS_MAX,
    }
    told = content_of_events(session.query(sql.load("session_events"), named).to_pylist())
    for call in silent:
        call["input"], call["output"] = told.get((call["trace_id"], call["span_id"]), (None, None))


def _said(call: dict[str, Any]) -> dict[str, Any]:
    return {"trace_id": call["trace_id"], "span_id": call["span_id"], "time": moment(call["start_us"]).isoformat()}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "provider", "model", "config_key", "prompt_key", "prompt_version", "error_type", "status_message")
    return {
        **_said(call),
        **{name: call[name] for name in names},
        "status": call["status_code"],
        "duration_ms": milliseconds(call["duration_ns"]),
        "time_to_first_token_ms": milliseconds(call["time_to_first_token_ns"]),
        "tokens": tokens_of(call),
        "cost": json_value(call["cost"]),
    }


def _metric(row: dict[str, Any]) -> dict[str, Any]:
    latest = row["latest"]
    values = {"number": latest["number"], "boolean": bool(latest["number"]), "string": latest["text"]}
    return {
        "config_key": row["config_key"],
        "name": row["name"],
        "value": json_value(values.get(latest["type"])),
        "values": row["values"],
        "time": _time(row["event_time"]),
    }


def _exposures(registry: Registry, project: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    configs: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        place = row["config_key"], row["config_version"]
        if place not in configs and row["config_version"] is not None:
            config = registry.config(project, *place)
            configs[place] = variant_keys(config["variants"]) if config else []
    return [_exposure(row, configs.get((row["config_key"], row["config_version"]), [])) for row in rows]


def _exposure(row: dict[str, Any], variants: Sequence[str]) -> dict[str, Any]:
    index = row["variant_index"] if row["variant_index"] is not None else row["computed_variant_index"]
    known = index is not None and 0 <= index < len(variants)
    return {
        **{name: json_value(value) for name, value in row.items() if name != "event_time"},
        "variant": variants[index] if known else None,
        "time": _time(row["event_time"]),
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
