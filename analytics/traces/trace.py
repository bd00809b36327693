"""One trace: its spans with their places in the tree, and its critical path."""

from __future__ import annotations

from typing import Any

from analytics.traces.critical_path import critical_path
from analytics.traces.event_content import content_of_events
from analytics.traces.listing import moment
from analytics.traces.messages import messages_of
from analytics.traces.rows import milliseconds
from analytics.traces.spans import span_of
from analytics.traces.tree import Tree, tree_of
from schemas.spans import SPANS
from storage import sql
from storage.engines.duckdb import DuckDBEngine, QuerySession

SPANS_MAX = 10_000
BYTES_MAX = 64 * 1024 * 1024
TRACE_S_MAX = 20.0
FILES_AT_ONCE_MAX = 3


def trace_of(engine: DuckDBEngine, project: str, trace_id: str) -> dict[str, Any] | None:
    """Return a trace as a tree; None where the project has no such trace. Raises QueryError."""
    with engine.session(project) as session, session.deadline(TRACE_S_MAX):
        rows = _rows(session, trace_id, engine.trace_places.files(session.taken(SPANS), trace_id))
    if not rows:
        return None
    is_truncated = len(rows) > SPANS_MAX or any(row["is_cut"] for row in rows)
    spans = _spans(rows[:SPANS_MAX])
    tree = tree_of(spans)
    return {
        "trace_id": trace_id,
        "start_time": moment(tree.start_ns // 1000).isoformat(),
        "duration_ms": milliseconds(tree.end_ns - tree.start_ns),
        "roots": [spans[place]["span_id"] for place in tree.roots],
        "critical_path": _path(spans, tree),
        "truncated": is_truncated,
        "spans": [span | _placed(spans, tree, place) for place, span in enumerate(spans)],
    }


def _rows(session: QuerySession, trace_id: str, files: frozenset[str]) -> list[dict[str, Any]]:
    named: dict[str, object] = {"trace_id": trace_id}
    session.only(SPANS, files)
    if len(files) > FILES_AT_ONCE_MAX:
        # To find out when it was, of two columns, is less than to look for all columns in all files.
        (extent,) = session.query(sql.load("trace_extent"), named).to_pylist()
        if not extent["spans"]:
            return []
        session.narrow(SPANS, "start_time", extent["first"], extent["last"])
    limits = {"spans_max": SPANS_MAX + 1, "bytes_max": BYTES_MAX}
    return session.query(sql.load("trace"), named | limits).to_pylist()  # type: ignore[no-any-return]


def _spans(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spans = [span_of(row) for row in rows]
    told = content_of_events(rows)
    for span in spans:
        asked, answered = told.get((span["trace_id"], span["span_id"]), (None, None))
        span["input_messages"] = span["input_messages"] or messages_of(asked, "user")
        span["output_messages"] = span["output_messages"] or messages_of(answered, "assistant")
    return spans


def _placed(spans: list[dict[str, Any]], tree: Tree, place: int) -> dict[str, Any]:
    node = tree.nodes[place]
    is_ended = spans[place]["duration_ns"] is not None
    return {
        "depth": node.depth,
        "children": [spans[child]["span_id"] for child in node.children],
        "is_orphan": node.is_orphan,
        "offset_ms": milliseconds(node.start_ns - tree.start_ns),
        "clock_skew_ms": milliseconds(node.skew_ns),
        "self_time_ms": milliseconds(tree.self_time_ns(place)) if is_ended else None,
    }


def _path(spans: list[dict[str, Any]], tree: Tree) -> list[dict[str, Any]]:
    return [
        {
            "span_id": spans[segment.place]["span_id"],
            "start_ms": milliseconds(segment.start_ns - tree.start_ns),
            "end_ms": milliseconds(segment.end_ns - tree.start_ns),
        }
        for segment in critical_path(tree)
    ]
