"""Content retention: after its age what was said is removed, and all else of spans and log records stays.

A file without content bears it in its name (``bare-…``), so that no file is rewritten for it twice, and rows that come
late to an old day are found.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import orjson
import pyarrow as pa

from schemas.content import COLUMNS, JSON_COLUMNS, is_content_body, is_content_event, is_content_key
from schemas.evaluations import CONTENT_COLUMNS, EVALUATION_TABLES
from schemas.json_attributes import REMOVED, change_attributes, change_each
from schemas.log_records import LOG_RECORDS
from schemas.spans import SPANS
from schemas.table import Table
from storage.upkeep.rewrite import Change, Rewriter
from storage.upkeep.steps import take_all

BARE = "bare"


def remove_old_content(rewriter: Rewriter, *, days: int, today: date) -> int:
    """Remove content of spans, logs and evaluations of before that many days; return how many files were rewritten."""
    first_kept = (today - timedelta(days)).isoformat()
    rewritten = take_all(
        partial(rewriter.rewrite, table, [file], operation="UPDATE", change=change, prefix=BARE)
        for table, change in _CHANGES
        for file in rewriter.lake.files(table)
        if (day := file.partition["date"]) is not None and day < first_kept and file.prefix != BARE
    )
    return sum(removed is not None for removed in rewritten)


def without_content(spans: pa.Table) -> pa.Table:
    """Return the spans without what was said to a model or by it."""
    spans = _without_columns(COLUMNS, spans)
    for name, strip in zip(JSON_COLUMNS, (_strip_attributes, _strip_events), strict=True):
        texts = [_stripped(text, strip) for text in spans[name].to_pylist()]
        spans = _with_column(spans, name, pa.array(texts, pa.string()))
    return spans


def without_content_of_logs(records: pa.Table) -> pa.Table:
    """Return the log records likewise."""
    attributes, bodies = [], []
    for name, body_type, body, text in zip(
        *(records[column].to_pylist() for column in ("event_name", "body_type", "body", "attributes")), strict=True
    ):
        event = name or ""
        attributes.append("{}" if is_content_event(event) else _stripped(text, _strip_attributes))
        is_map = body_type == "kvlist"
        stripped = _stripped(body, _strip_attributes) if is_map else body
        bodies.append(None if is_content_body(event) else stripped)
    records = _with_column(records, "body", pa.array(bodies, pa.string()))
    return _with_column(records, "attributes", pa.array(attributes, pa.string()))


def _without_columns(names: Sequence[str], rows: pa.Table) -> pa.Table:
    for name in names:
        rows = _with_column(rows, name, pa.nulls(rows.num_rows, pa.string()))
    return rows


_CHANGES: tuple[tuple[Table, Change], ...] = (
    (SPANS, without_content),
    (LOG_RECORDS, without_content_of_logs),
    *((table, partial(_without_columns, CONTENT_COLUMNS[table.name])) for table in EVALUATION_TABLES),
)


def _with_column(spans: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return spans.set_column(spans.schema.get_field_index(name), name, column)


def _stripped(text: str | None, strip: Callable[[Any], Any]) -> str | None:
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # What can't be searched for content can't be kept.
    stripped = strip(value)
    # An integer beyond 64 bits would come back as a double: what nothing was removed from stays as it was.
    return text if stripped == value else orjson.dumps(stripped).decode()


def _strip_attributes(attributes: Any) -> Any:
    return change_attributes(attributes, lambda key, value: REMOVED if is_content_key(key) else value)


def _strip_events(events: Any) -> Any:
    return change_each(
        events,
        lambda event, attributes: {} if is_content_event(str(event.get("name"))) else _strip_attributes(attributes),
    )
