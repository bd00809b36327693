"""The rule for denied attributes: left out wherever they stand, with the columns that they fill.

A column is emptied where a denied attribute fills it, and also where nothing shows that another one does: of an
attribute that had to be converted, of a header or of messages that were put together, a row doesn't say which it was.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from collector.privacy.columns import ATTRIBUTES, PARTS, columns_of, maps_in, replaced, rows_with
from collector.privacy.documents import changed_attributes, changed_parts, load
from collector.privacy.expressions import compiled
from collector.privacy.keys import Keys, without_promoted
from collector.processors.columns import Coded, with_columns
from schemas.dialects import FAMILIES, EventMessages, columns_by_key, readings
from schemas.json_attributes import REMOVED

# What fills columns beside the dialects' keys.
_FILLED = {
    "service.name": ("service_name",),
    "event.name": ("event_name",),
    "fallom.sdk_version": ("scope_version",),
    "fallom.method": ("provider",),
    "fallom.raw.request": ("request_model", "input"),
    "fallom.raw.response": ("response_model", "finish_reason", "output", "tool_calls"),
    "fallom.raw.timings": ("time_to_first_token_ns", "phases", "finish_reason", "tool_calls"),
    "fallom.raw.providerMetadata": ("provider", "cache_write_tokens"),
    "fallom.raw.usage": (
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "token_rule",
    ),
}
_HEADER = "x-fallom-"


def _columns_by_key() -> Mapping[str, frozenset[str]]:
    columns: dict[str, set[str]] = defaultdict(set)
    for filled in (columns_by_key(), _FILLED):
        for key, names in filled.items():
            columns[key].update(names)
    return {key: frozenset(names) for key, names in columns.items()}


_COLUMNS_BY_KEY = _columns_by_key()
_COLUMNS_BY_MESSAGE = {reading.event: reading.column for reading in readings(EventMessages)}


class DenialRule:
    """Leaves out the attributes of these keys."""

    def __init__(self, denied: Keys) -> None:
        self._denied = denied
        self._hint = compiled(denied.hint)
        self._of_headers = {
            column
            for key, columns in _COLUMNS_BY_KEY.items()
            if key.startswith(_HEADER) and denied.match(key)
            for column in columns
        }

    def __call__(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Return the spans, or rows of another table with attributes, without them."""
        spans = self._without_columns(spans)
        for name in columns_of((*ATTRIBUTES, *PARTS), spans):
            column = spans[name]
            change = self._of_attributes if name in ATTRIBUTES else self._of_parts
            texts = {row: column[row].as_py() for row in rows_with(column, self._hint)}
            spans = replaced(spans, name, {row: change(text) for row, text in texts.items() if text is not None})
        if "body" in spans.schema.names:
            bodies = maps_in(spans, "body", "body_type")
            spans = replaced(spans, "body", {row: self._of_attributes(text) for row, text in bodies.items()})
        return without_promoted(spans, lambda _, key: self._denies(key))

    def _of_attributes(self, text: str) -> str | None:
        return changed_attributes(text, self._keep)

    def _of_parts(self, text: str) -> str | None:
        return changed_parts(text, lambda _: self._keep)

    def _keep(self, key: str, value: Any) -> Any:
        return REMOVED if self._denied.match(key) else value

    def _denies(self, key: str) -> bool:
        """Return whether an attribute, or of a family (``gen_ai.prompt.*``) one of them, is denied."""
        return self._denied.meet(key[:-1]) if key.endswith(".*") else self._denied.match(key)

    def _without_columns(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        has_promoted = "promoted" in spans.schema.names
        promoted = Coded.of(spans["promoted"] if has_promoted else pa.nulls(spans.num_rows, pa.string()))
        filled = [orjson.loads(text) if text else {} for text in promoted.texts]
        gone = [self._columns_of_promoted(columns) | (self._of_headers - columns.keys()) for columns in filled]
        among_rest = {row for name in columns_of(_SEARCHED, spans) for row in rows_with(spans[name], self._hint)}
        if not any(gone) and not among_rest:
            return spans
        emptied: dict[str, list[int]] = defaultdict(list)
        for row, code in enumerate(promoted.codes.tolist()):
            columns = gone[code]
            if row in among_rest:
                columns = columns | (self._columns_of_rest(spans, row) - filled[code].keys())
            for column in columns:
                emptied[column].append(row)
        for column in columns_of(emptied, spans):
            spans = _emptied(spans, column, emptied[column])
        return spans

    def _columns_of_promoted(self, filled: Mapping[str, str]) -> set[str]:
        denied = {column: key for column, key in filled.items() if self._denies(key)}
        # Of the messages of a family one may fill a column beside.
        families = tuple(key[:-1] for key in denied.values() if key.endswith(".*"))
        beside = {
            column
            for key, columns in _COLUMNS_BY_KEY.items()
            if key.startswith(families) and self._denied.match(key)
            for column in columns
        }
        return denied.keys() | (beside - filled.keys())

    def _columns_of_rest(self, spans: pa.RecordBatch, row: int) -> set[str]:
        names = columns_of(_SEARCHED, spans)
        keys = {key for name in names for key in _keys(spans[name][row].as_py()) if self._denied.match(key)}
        of_families = {family.column for family in FAMILIES for key in keys if key.startswith(family.prefix)}
        return of_families.union(
            self._columns_of_messages(spans["events"][row].as_py() if "events" in names else None),
            *(_COLUMNS_BY_KEY.get(key, frozenset()) for key in keys),
        )

    def _columns_of_messages(self, events: str | None) -> set[str]:
        """Return the columns that hold messages, events, of whose attributes one is denied."""
        return {
            _COLUMNS_BY_MESSAGE[name]
            for name, attributes in _events(events)
            if name in _COLUMNS_BY_MESSAGE and any(map(self._denied.match, _names(attributes)))
        }


_SEARCHED = ("attributes", "resource_attributes", "events")


def _keys(text: str | None) -> set[str]:
    """Return the keys of attributes, or of those of events."""
    value = _loaded(text)
    parts = [attributes for _, attributes in _events(text)] if isinstance(value, list) else [value]
    return {key for attributes in parts for key in _names(attributes)}


def _events(text: str | None) -> list[tuple[str, object]]:
    """Return the name and the attributes of each event."""
    value = _loaded(text)
    events = [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
    return [(str(event.get("name")), event.get("attributes")) for event in events]


def _names(attributes: object) -> set[str]:
    if not isinstance(attributes, dict):
        return set()
    listed = attributes.get("$kvlist")
    pairs = listed if isinstance(listed, list) else attributes.items()
    return {str(pair[0]) for pair in pairs if isinstance(pair, list | tuple) and pair}


def _loaded(text: str | None) -> object:
    try:
        return load(text or "{}")
    except ValueError:
        return {}


def _emptied(spans: pa.RecordBatch, name: str, rows: list[int]) -> pa.RecordBatch:
    column = spans[name]
    mask = np.zeros(spans.num_rows, np.bool_)
    mask[rows] = True
    # Gathered anew: pc.if_else leaves behind the NULL what stood there, and the log would have it.
    return with_columns(spans, **{name: column.take(pa.array(np.arange(spans.num_rows), mask=mask))})
