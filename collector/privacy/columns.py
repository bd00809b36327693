"""Columns of texts: which rows may hold something, found in one search of all their bytes; and rows replaced."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from collector.processors.columns import with_columns
from schemas.table import Table

# Columns whose texts are ids or words of the server's own.
FIXED = frozenset(
    {
        "project",
        "trace_id",
        "span_id",
        "parent_span_id",
        "run_id",
        "kind",
        "status",
        "status_code",
        "price_source",
        "token_rule",
        "promoted",
        "source",
        "value_type",
        # Of log records and data points: words and numbers of OTLP's own.
        "body_type",
        "type",
        "temporality",
        "distribution",
    }
)
# Columns whose texts tell sessions, customers and the like apart: what replaces a part of one must do so too.
IDENTIFIERS = frozenset(
    {"config_key", "session_id", "customer_id", "prompt_key", "prompt_ab_test_key"},
)
# Columns that are JSON, and must stay so.
ATTRIBUTES = ("attributes", "resource_attributes", "scope_attributes", "metadata")
PARTS = ("events", "links", "exemplars")

Texts = Mapping[int, str | None]
"""What stands in these rows from now on."""


def rows_with(column: pa.Array, expression: "re2._Regexp | None") -> list[int]:
    """Return the rows of a column of texts where the expression matches, and maybe others; without one, all.

    What the expression matches must not depend on what stands before or behind it: all texts are searched as one.
    """
    if column.null_count == len(column):
        return []
    if expression is None:
        return [int(row) for row in np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))]
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    position, end = int(ends[0]), int(ends[-1])
    if position == end:
        return []
    texts = content.slice(0, end)
    rows = []
    while position < end and (found := expression.search(texts, position)) is not None:
        row = int(np.searchsorted(ends, found.start(), "right")) - 1
        rows.append(row)
        # What begins in a row may end in another one, whose own must be found too.
        position = int(ends[row + 1])
    return rows


def replaced(rows: pa.RecordBatch, name: str, texts: Texts) -> pa.RecordBatch:
    """Return the batch with these texts of a column replaced."""
    if not texts:
        return rows
    if rows.num_rows == 1:
        return with_columns(rows, **{name: pa.array(list(texts.values()), pa.string())})
    mask = np.zeros(rows.num_rows, np.bool_)
    places = sorted(texts)
    mask[places] = True
    new = pa.array([texts[row] for row in places], pa.string())
    return with_columns(rows, **{name: pc.replace_with_mask(rows[name], pa.array(mask), new)})


def columns_of(names: Iterable[str], rows: pa.RecordBatch) -> list[str]:
    """Return those of the columns that the rows have: tables differ."""
    return [name for name in names if name in rows.schema.names]


def maps_in(rows: pa.RecordBatch, column: str, types: str) -> dict[int, str]:
    """Return by row the texts of a column that are maps, as another column says."""
    return {
        row: text
        for row, (text, kind) in enumerate(zip(rows[column].to_pylist(), rows[types].to_pylist(), strict=True))
        if text is not None and kind == "kvlist"
    }


def text_columns(table: Table) -> list[str]:
    """Return the columns of texts in which something is to be looked for."""
    return [field.name for field in table.schema if field.type == pa.string() and field.name not in FIXED]
