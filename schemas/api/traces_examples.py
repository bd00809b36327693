"""Answers about traces and sessions, as the API's description shows them."""

from typing import Any

TRACE_ID, ROOT_ID, CALL_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
STARTED = "2026-11-21T10:15:00.250000+00:00"
TOKENS = {
    "input": 1200,
    "output": 80,
    "total": 1280,
    "uncached_input": 200,
    "cache_read": 1000,
    "cache_write": 0,
    "visible_output": 80,
    "reasoning": 0,
}
_SHARED: dict[str, Any] = {
    "config_key": "support-agent",
    "session_id": "conversation-1",
    "customer_id": "user-42",
    "start_time": STARTED,
    "duration_ms": 1840.5,
    "models": ["gpt-4o"],
    "spans": 2,
    "errors": 0,
    "calls": 1,
    "tokens": TOKENS,
    "cost": 0.00255,
    "unpriced_calls": 0,
    "time_to_first_token_ms": 310.0,
    "error": None,
    "tags": ["beta"],
    "input_preview": "Where is my order?",
    "output_preview": "It is on its way.",
}
TRACE_ROW = {
    "trace_id": TRACE_ID,
    "span_id": ROOT_ID,
    "name": "turn",
    "operation": "agent",
    "status": "ok",
    "model": "gpt-4o",
    "provider": "openai",
    **_SHARED,
}
SESSION_ROW = {**_SHARED, "traces": 1}
TOTALS = {
    "count": 1,
    "errors": 0,
    "spans": 2,
    "calls": 1,
    "tokens": TOKENS,
    "cost": 0.00255,
    "unpriced_calls": 0,
    "complete": True,
    "since": None,
}
TRACE_PAGE = {"traces": [TRACE_ROW], "next_cursor": None, "searched_until": None, "totals": TOTALS}
SESSION_PAGE = {"sessions": [SESSION_ROW], "next_cursor": None, "searched_until": None, "totals": TOTALS}
TRACE = {
    "trace_id": TRACE_ID,
    "start_time": STARTED,
    "duration_ms": 1840.5,
    "roots": [ROOT_ID],
    "critical_path": [
        {"span_id": ROOT_ID, "start_ms": 0.0, "end_ms": 12.5},
        {"span_id": CALL_ID, "start_ms": 12.5, "end_ms": 1840.5},
    ],
    "truncated": False,
    "spans": [
        {
            "span_id": ROOT_ID,
            "parent_span_id": None,
            "depth": 0,
            "children": [CALL_ID],
            "is_orphan": False,
            "offset_ms": 0.0,
            "clock_skew_ms": 0.0,
            "self_time_ms": 12.5,
            "time_to_first_token_ms": None,
            "phases": None,
            "input_messages": None,
            "output_messages": None,
        },
        {
            "span_id": CALL_ID,
            "parent_span_id": ROOT_ID,
            "depth": 1,
            "children": [],
            "is_orphan": False,
            "offset_ms": 12.5,
            "clock_skew_ms": 0.0,
            "self_time_ms": 1828.0,
            "time_to_first_token_ms": 310.0,
            "phases": [
                {"name": "waiting", "start_ms": 0.0, "end_ms": 310.0},
                {"name": "streaming", "start_ms": 310.0, "end_ms": 1828.0},
            ],
            "input_messages": [{"role": "user", "content": "Where is my order?"}],
            "output_messages": [{"role": "assistant", "content": "It is on its way."}],
        },
    ],
}
_SAID = {"trace_id": TRACE_ID, "span_id": CALL_ID, "time": STARTED}
SESSION = {
    "session_id": "conversation-1",
    "summary": SESSION_ROW,
    "turns": [
        {"role": "user", "content": "Where is my order?", **_SAID},
        {"role": "assistant", "content": "It is on its way.", **_SAID},
    ],
    "calls": [{**_SAID, "model": "gpt-4o", "status": "ok", "duration_ms": 1828.0, "tokens": TOKENS, "cost": 0.00255}],
    "metrics": [{"config_key": "support-agent", "name": "satisfaction", "value": 5, "values": 1, "time": STARTED}],
    "exposures": [
        {
            "config_key": "support-agent",
            "config_version": 1,
            "variant_index": 0,
            "variant": "control",
            "assigned_model": "gpt-4o",
            "reason": "weight",
            "time": STARTED,
        }
    ],
    "truncated": False,
}
