"""Gives attributes back: where a processor changes what an attribute filled, what was sent stands in ``attributes``.

``promoted`` says of which column the value is an attribute's as it was sent, and that attribute stands in the column
alone. So a changed column leaves ``promoted``, and the attribute goes back to ``attributes``: as text before the
others, so that those stay as they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import Booleans, Integers, with_columns

_PAIRS = '{"$kvlist":'
_EMPTY = "{}"


@dataclass(frozen=True, slots=True)
class Changed:
    """The rows in which a column of whole numbers was changed, and its values before."""

    rows: Booleans
    values: Integers


def give_back(spans: pa.RecordBatch, changed: Mapping[str, Changed]) -> pa.RecordBatch:
    """Return the spans with the attributes in ``attributes`` that filled, as they were, what was changed."""
    touched = np.logical_or.reduce([column.rows for column in changed.values()])
    rows = np.flatnonzero(touched)
    if not len(rows) or spans["promoted"].null_count == spans.num_rows:
        return spans
    picked = pa.array(rows)
    attributes, promoted = (spans[name].take(picked).to_pylist() for name in ("attributes", "promoted"))
    for name, column in changed.items():
        pairs = zip(column.rows[rows].tolist(), column.values[rows].tolist(), strict=True)
        for place, (is_changed, value) in enumerate(pairs):
            if is_changed and promoted[place] is not None:
                key, rest = _taken(promoted[place], name)
                if key is not None:
                    attributes[place] = _with_pair(attributes[place] or _EMPTY, key, value)
                    promoted[place] = rest
    mask = pa.array(touched)
    return with_columns(
        spans,
        attributes=pc.replace_with_mask(spans["attributes"], mask, pa.array(attributes, pa.string())),
        promoted=pc.replace_with_mask(spans["promoted"], mask, pa.array(promoted, pa.string())),
    )


@lru_cache(1024)
def _taken(promoted: str, column: str) -> tuple[str | None, str | None]:
    """Return the key that fills a column as JSON, and what is left of ``promoted`` without it."""
    keys = orjson.loads(promoted)
    key = keys.pop(column, None)
    if key is None:
        return None, promoted
    return orjson.dumps(key).decode(), orjson.dumps(keys).decode() if keys else None


def _with_pair(attributes: str, key: str, value: int) -> str:
    if attributes == _EMPTY:
        return f"{{{key}:{value}}}"
    if attributes.startswith(_PAIRS):
        return _with_pair_in_list(attributes, json.loads(key), value)
    return f"{{{key}:{value},{attributes[1:]}"


def _with_pair_in_list(text: str, key: str, value: int) -> str:
    attributes = json.loads(text)
    pairs = attributes["$kvlist"]
    if isinstance(pairs, list) and len(attributes) == 1:
        attributes = {"$kvlist": [[key, value], *pairs]}
    else:
        # A flat trace may bear an attribute of that name.
        attributes[key] = value
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
