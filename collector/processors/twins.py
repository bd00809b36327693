"""Finds spans that two instrumentors make of one call of a model, side by side: neither lies within the other.

Theory of operation. Two spans are of one call where their parent, their provider and what came out of the model are the
same, one's time lies within the other's, and two different libraries made them: calls that an application makes at
once, alike as they may be, come from one. The first to arrive stands for the call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.processors.columns import Integers, validity
from collector.siphash import RowHash, UInt64s

_KEY = ("project", "trace_id", "parent_span_id", "provider", "output_tokens")


class _Calls(NamedTuple):
    """Calls of a model, a row each: what tells one from another, who made the span, from when to when (ns)."""

    keys: UInt64s
    makers: UInt64s
    starts: Integers
    ends: Integers


class Twins:
    """Remembers the latest calls, and tells which of those that come are told a second time. For one thread."""

    def __init__(self, places: int) -> None:
        self._hash = RowHash()
        self._seen = _Calls(
            np.zeros(places, np.uint64),
            np.zeros(places, np.uint64),
            np.zeros(places, np.int64),
            np.zeros(places, np.int64),
        )

    def __call__(self, spans: pa.RecordBatch, calls: Integers) -> NDArray[np.bool_]:
        """Return which of the spans at these rows, calls of a model, are a second span of a call that is known."""
        is_twin = np.zeros(len(calls), np.bool_)
        # A span without a parent is a trace of its own: no other call is beside it.
        beside = np.flatnonzero(validity(spans["parent_span_id"])[calls])
        if not len(beside):
            return is_twin
        found = self._calls(spans, calls[beside])
        for row in self._candidates(found):
            is_twin[beside[row]] = self._is_twin(found, row)
        self._remember(found, ~is_twin[beside])
        return is_twin

    def _calls(self, spans: pa.RecordBatch, rows: Integers) -> _Calls:
        picked = spans.select([*_KEY, "scope_name", "start_time_unix_nano", "duration_ns"]).take(pa.array(rows))
        columns = [picked[name] for name in _KEY]
        columns[3] = pc.utf8_lower(columns[3])
        starts, durations = (
            pc.fill_null(picked[name], 0).to_numpy() for name in ("start_time_unix_nano", "duration_ns")
        )
        # What is not there is another key than that of any call.
        keys = np.maximum(self._hash(columns), np.uint64(1))
        return _Calls(keys, self._hash([picked["scope_name"]]), starts, starts + durations)

    def _candidates(self, found: _Calls) -> list[int]:
        """Return the rows whose key was seen of another maker, here or before, in their order."""
        places = found.keys % np.uint64(len(self._seen.keys))
        is_candidate = (self._seen.keys[places] == found.keys) & (self._seen.makers[places] != found.makers)
        _, group, sizes = np.unique(found.keys, return_inverse=True, return_counts=True)
        if sizes.max() > 1:
            makers = np.zeros(len(sizes), np.uint64)
            makers[group] = found.makers
            differs = np.bincount(group, makers[group] != found.makers) > 0
            is_candidate |= differs[group]
        rows: list[int] = np.flatnonzero(is_candidate).tolist()
        return rows

    def _is_twin(self, found: _Calls, row: int) -> bool:
        """Tell whether this call is known; one that is not is remembered at once, for those of its own batch."""
        place = int(found.keys[row] % np.uint64(len(self._seen.keys)))
        seen = self._seen
        if seen.keys[place] == found.keys[row] and seen.makers[place] != found.makers[row]:
            start, end = found.starts[row], found.ends[row]
            first, last = seen.starts[place], seen.ends[place]
            if (first <= start and end <= last) or (start <= first and last <= end):
                return True
        for kept, values in zip(seen, found, strict=True):
            kept[place] = values[row]
        return False

    def _remember(self, found: _Calls, is_own: NDArray[np.bool_]) -> None:
        places = found.keys[is_own] % np.uint64(len(self._seen.keys))
        for kept, values in zip(self._seen, found, strict=True):
            kept[places] = values[is_own]
