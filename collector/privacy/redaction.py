"""The rule that replaces what patterns find: in every column of texts, in every text of the JSON ones."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from collector.privacy.columns import ATTRIBUTES, IDENTIFIERS, PARTS, replaced, rows_with, text_columns
from collector.privacy.documents import changed
from collector.privacy.redactor import Redactor
from collector.processors.columns import with_columns
from schemas.table import Table

# The words and numbers of the protocol in an event, a link or an exemplar.
_FIXED = frozenset({"trace_id", "span_id", "time_unix_nano", "value"})


class RedactionRule:
    """Replaces what the patterns find in the rows of one table."""

    def __init__(self, table: Table, redactor: Redactor) -> None:
        self._columns = text_columns(table)
        self._has_tags = "tags" in table.schema.names
        self._redactor = redactor

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows with what the patterns find replaced."""
        rows = _with_texts(rows, self._columns, self._redactor)
        return _with_tags(rows, self._redactor) if self._has_tags else rows


def _with_texts(rows: pa.RecordBatch, names: Sequence[str], redactor: Redactor) -> pa.RecordBatch:
    for name in names:
        column = rows[name]
        is_json = name in ATTRIBUTES or name in PARTS
        # A text may be JSON as well.
        hint = redactor.text_hint if name in IDENTIFIERS else redactor.json_hint
        found = rows_with(column, hint)
        if found:
            change = partial(_json, redactor, name) if is_json else _changer(redactor, name)
            rows = replaced(rows, name, {row: new for row in found if (new := _new(column[row], change)) is not _SAME})
    return rows


_SAME: Any = object()


def _new(text: pa.Scalar, change: Callable[[str], str | None]) -> str | None:
    old = text.as_py()
    new = None if old is None else change(old)
    return _SAME if new == old else new


def _changer(redactor: Redactor, name: str) -> Callable[[str], str | None]:
    return redactor.identifier if name in IDENTIFIERS else redactor.text


def _json(redactor: Redactor, name: str, text: str) -> str | None:
    return changed(text, partial(_parts if name in PARTS else _attributes, redactor))


def _attributes(redactor: Redactor, value: Any) -> Any:
    return redactor.value(value) if redactor.may_find(value) else value


def _parts(redactor: Redactor, parts: Any) -> Any:
    if not isinstance(parts, list) or not redactor.may_find(parts):
        return parts
    return [
        {key: value if key in _FIXED else redactor.value(value) for key, value in part.items()}
        if isinstance(part, dict)
        else redactor.value(part)
        for part in parts
    ]


def _with_tags(rows: pa.RecordBatch, redactor: Redactor) -> pa.RecordBatch:
    tags = rows["tags"]
    if tags.null_count == len(tags) or not rows_with(tags.flatten(), redactor.json_hint):
        return rows
    new = [None if row is None else [redactor.text(tag) for tag in row if tag is not None] for row in tags.to_pylist()]
    return with_columns(rows, tags=pa.array(new, tags.type))
