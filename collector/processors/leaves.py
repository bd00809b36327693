"""Counts a call of a model once, also where two libraries make a span of it: the innermost one counts.

A framework's span, or an instrumentor's, lies around the one of the provider's own client: both are a ``chat``, with
the same tokens. The inner one ends first, and so comes first or together with the outer one; a span that a call of a
model was seen directly within is no leaf. Embeddings and rerankings are calls of their own wherever they lie.

What was seen is remembered for the last ``calls_max`` calls within others, of this process: where the inner span comes
after the outer one, or to another server, both count.
"""

import itertools

import numpy as np
import pyarrow as pa

from collector.processors.columns import Coded, Integers, booleans, validity, with_columns
from collector.siphash import RowHash

CALLS_MAX = 100_000
_CALLS_OF_THEIR_OWN = frozenset(("embedding", "embeddings", "rerank", "reranker"))


class Leaves:
    """Takes the spans around a call out of those that count. For one thread."""

    def __init__(self, calls_max: int = CALLS_MAX) -> None:
        self._calls_max = calls_max
        self._hash = RowHash()
        # In the order of their arrival; the values mean nothing.
        self._outer: dict[int, None] = {}

    def __call__(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Return the spans with ``is_inference`` false where a call was seen within."""
        calls = _generating(spans)
        if not len(calls):
            return spans
        parents = spans["parent_span_id"]
        inner = calls[validity(parents)[calls]]
        if len(inner):
            self._remember(self._keys(spans, inner, "parent_span_id"))
        if not self._outer:
            return spans
        around = [key in self._outer for key in self._keys(spans, calls, "span_id")]
        if not any(around):
            return spans
        counts = booleans(spans["is_inference"]).copy()
        counts[calls[np.array(around)]] = False
        return with_columns(spans, is_inference=pa.array(counts, mask=~validity(spans["is_inference"])))

    def _keys(self, spans: pa.RecordBatch, rows: Integers, span_id: str) -> list[int]:
        columns = [spans[name] for name in ("project", "trace_id", span_id)]
        if len(rows) < spans.num_rows:
            picked = pa.array(rows)
            columns = [column.take(picked) for column in columns]
        keys: list[int] = self._hash(columns).tolist()
        return keys

    def _remember(self, keys: list[int]) -> None:
        self._outer.update(dict.fromkeys(keys))
        for key in list(itertools.islice(self._outer, max(0, len(self._outer) - self._calls_max))):
            del self._outer[key]


def _generating(spans: pa.RecordBatch) -> Integers:
    """Return the rows that are calls of a model and may lie within another."""
    calls = booleans(spans["is_inference"])
    if not calls.any():
        return np.zeros(0, np.int64)
    operation = Coded.of(spans["operation"])
    own = operation.flags([text is not None and text.lower() in _CALLS_OF_THEIR_OWN for text in operation.texts])
    return np.flatnonzero(calls & ~own)
