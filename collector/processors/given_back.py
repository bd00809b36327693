"""Gives attributes back: where a processor changes what an attribute filled, what was sent stands in ``attributes``.

``promoted`` says of which column the value is an attribute's as it was sent, and that attribute stands in the column
alone. So a changed column leaves ``promoted``, and the attribute goes back to ``attributes``. Rows are taken together
that have the same ``promoted``; texts are put together by Arrow.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import Booleans, Coded, Integers, with_columns

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
    promoted, attributes = Coded.of(spans["promoted"].take(picked)), spans["attributes"].take(picked)
    given = {name: (column.rows[rows], column.values[rows]) for name, column in changed.items()}
    for code, text in enumerate(promoted.texts):
        keys = orjson.loads(text) if text else {}
        for name, (is_changed, values) in given.items():
            here = is_changed & (promoted.codes == code)
            if name in keys and here.any():
                attributes = _with_pair(attributes, here, keys[name], values)
    mask = pa.array(touched)
    return with_columns(
        spans,
        attributes=pc.replace_with_mask(spans["attributes"], mask, attributes),
        promoted=pc.replace_with_mask(spans["promoted"], mask, _without(promoted, given)),
    )


def _without(promoted: Coded, given: Mapping[str, tuple[Booleans, Integers]]) -> pa.Array:
    """Return ``promoted`` without the columns that were changed, each row's own."""
    bits = sum((rows.astype(np.int64) << place for place, (rows, _) in enumerate(given.values())), np.int64(0))
    combined = pa.array(promoted.codes << len(given) | bits).dictionary_encode()
    names = list(given)
    texts = []
    for value in combined.dictionary.to_pylist():
        text = promoted.texts[value >> len(given)]
        gone = {name for place, name in enumerate(names) if value >> place & 1}
        texts.append(_left(text, gone))
    return pa.array(texts, pa.string()).take(combined.indices)


def _left(promoted: str | None, gone: set[str]) -> str | None:
    left = {column: key for column, key in orjson.loads(promoted or _EMPTY).items() if column not in gone}
    return orjson.dumps(left).decode() if left else None


def _with_pair(attributes: pa.Array, rows: Booleans, key: str, values: Integers) -> pa.Array:
    """Return the JSON objects, in these rows with another key and value as their first."""
    indices = pa.array(np.flatnonzero(rows))
    texts = attributes.take(indices).fill_null(_EMPTY)
    numbers = pa.array(values[rows])
    if pc.any(pc.starts_with(texts, _PAIRS)).as_py():
        made = pa.array(_one_by_one(texts.to_pylist(), key, numbers.to_pylist()), pa.string())
    else:
        separator = pc.if_else(pc.equal(texts, _EMPTY), "", ",")
        rest = pc.binary_replace_slice(texts.cast(pa.binary()), 0, 1, b"").cast(pa.string())
        head = f"{{{orjson.dumps(key).decode()}:"
        made = pc.binary_join_element_wise(head, numbers.cast(pa.string()), separator, rest, "")
    return pc.replace_with_mask(attributes, pa.array(rows), made)


def _one_by_one(texts: Sequence[str], key: str, values: Sequence[int]) -> list[str]:
    made = []
    for text, value in zip(texts, values, strict=True):
        attributes = json.loads(text)
        pairs = attributes.get("$kvlist")
        if isinstance(pairs, list) and len(attributes) == 1:
            pairs.insert(0, [key, value])
        else:
            attributes = {key: value, **attributes}
        made.append(json.dumps(attributes, ensure_ascii=False, separators=(",", ":")))
    return made
