"""Counts a call of a model once, also where two libraries make a span of it: of nested ones the innermost counts.

A framework's span, or an instrumentor's, lies around the one of the provider's own client: both are a ``chat``, with
the same tokens. The inner one ends first, and so comes first or together with the outer one; a span that a call of a
model was seen directly within is no leaf. Where the outer one came in an earlier batch, it has been counted, and what
comes within it is not. Of two that lie side by side the first counts (twins.py). Embeddings and rerankings are calls of
their own wherever they lie.

What was seen is remembered for some hundred thousand calls, of this process: over several servers both may count.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.processors.columns import Coded, Integers, booleans, validity, with_columns
from collector.processors.twins import Twins
from collector.siphash import RowHash, UInt64s

PLACES = 2**18
_CALLS_OF_THEIR_OWN = frozenset(("embedding", "embeddings", "rerank", "reranker"))


class Leaves:
    """Takes all but one of the spans of a call out of those that count. For one thread."""

    def __init__(self, places: int = PLACES) -> None:
        self._hash = RowHash()
        self._outer = _Seen(places)
        self._counted = _Seen(places)
        self._twins = Twins(places)

    def __call__(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Return the spans with ``is_inference`` false where another span is counted for the call."""
        calls = _generating(spans)
        if not len(calls):
            return spans
        keys = self._keys(spans, calls, "span_id")
        has_parent = validity(spans["parent_span_id"])[calls]
        is_within = np.zeros(len(calls), np.bool_)
        if has_parent.any():
            around = self._keys(spans, calls[has_parent], "parent_span_id")
            is_within[has_parent] = self._counted.has(around)
            self._outer.add(around)
        counts = ~is_within & ~self._outer.has(keys)
        if counts.any():
            counts[counts] = ~self._twins(spans, calls[counts])
        # A call within one that was counted is counted with it, as is what comes within itself.
        self._counted.add(keys[counts | is_within])
        if counts.all():
            return spans
        is_inference = booleans(spans["is_inference"]).copy()
        is_inference[calls[~counts]] = False
        return with_columns(spans, is_inference=pa.array(is_inference, mask=~validity(spans["is_inference"])))

    def _keys(self, spans: pa.RecordBatch, rows: Integers, span_id: str) -> UInt64s:
        columns = [spans[name] for name in ("project", "trace_id", span_id)]
        if len(rows) < spans.num_rows:
            picked = pa.array(rows)
            columns = [column.take(picked) for column in columns]
        return self._hash(columns)


class _Seen:
    """A set of hashes of a fixed size: each has one place, where the latest that has it stands."""

    def __init__(self, places: int) -> None:
        self._places: UInt64s = np.zeros(places, np.uint64)

    def add(self, keys: UInt64s) -> None:
        self._places[keys % np.uint64(len(self._places))] = keys

    def has(self, keys: UInt64s) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._places[keys % np.uint64(len(self._places))] == keys
        return found


def _generating(spans: pa.RecordBatch) -> Integers:
    """Return the rows that are calls of a model and may lie within another."""
    calls = booleans(spans["is_inference"])
    if not calls.any():
        return np.zeros(0, np.int64)
    operation = Coded.of(spans["operation"])
    own = operation.flags([text is not None and text.lower() in _CALLS_OF_THEIR_OWN for text in operation.texts])
    return np.flatnonzero(calls & ~own)
