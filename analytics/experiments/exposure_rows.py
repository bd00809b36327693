"""Exposures as they are judged: by session, each session's in the order of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.session_index import SessionIndex
from schemas.table import TIMESTAMP

EXPOSURE_ROWS = pa.schema(
    [
        ("session_id", pa.string()),
        ("config_version", pa.int64()),
        ("assigned_model", pa.string()),
        ("variant_index", pa.int64()),
        ("reason", pa.string()),
        ("customer_id", pa.string()),
        ("event_time", TIMESTAMP),
    ]
)
"""Exposures, in any order; one that comes twice says no more than once."""

NO_TIME = np.iinfo(np.int64).max
"""The time of what has none: after all others."""
_NONE = np.empty(0, np.int32)
_TIES = ("customer_id", "variant_index", "assigned_model", "reason", "config_version")

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExposureRows:
    """Exposures by session, each session's in the order of time; ``starts`` are the places of each one's first."""

    table: pa.Table
    starts: Codes
    session_ids: pa.Array
    index: SessionIndex

    @classmethod
    def of(cls, exposures: pa.Table) -> "ExposureRows":
        """Return rows of ``EXPOSURE_ROWS`` in that order, whatever the order that they are read in.

        ``index`` has the number of each session.
        """
        index = SessionIndex()
        ids = exposures["session_id"]
        sessions = np.concatenate([_NONE, *(index.add(chunk) for chunk in ids.chunks)])
        if index.count == len(sessions):
            return cls(exposures, np.arange(index.count), ids.combine_chunks(), index)
        # Of those at the same time an order that does not depend on how they were read.
        ties = [_ranks(exposures[name]) for name in _TIES]
        order = np.lexsort((*ties, _times(exposures["event_time"]), sessions))
        starts = np.searchsorted(sessions[order], np.arange(index.count))
        session_ids = ids.combine_chunks().take(pa.array(order[starts]))
        return cls(exposures.take(pa.array(order)), starts, session_ids, index)

    @property
    def exposed_at(self) -> pa.Array:
        """Return the time of each session's first exposure."""
        return self.first(self.table["event_time"].combine_chunks())

    @property
    def times(self) -> Codes:
        """Return each row's time, in microseconds; ``NO_TIME`` where it has none."""
        return _times(self.table["event_time"])

    def first(self, values: Any) -> Any:
        """Return what stands at each session's first exposure."""
        if len(values) == len(self.starts):
            return values
        return values.take(pa.array(self.starts)) if isinstance(values, pa.Array) else values[self.starts]

    def told(self, name: str, tells: Callable[[Any], object], kind: type = bool) -> NDArray[Any]:
        """Return what ``tells`` says of each row's value in a column, asked once a value."""
        codes, values = coded(self.table[name])
        return np.array([tells(value) for value in values.to_pylist()], kind)[codes]

    def by_session(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Return one value a session of those of its rows."""
        return values if len(values) == len(self.starts) else reduce.reduceat(values, self.starts)

    def of_session(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a session's value for each of its rows."""
        if self.table.num_rows == len(self.starts):
            return values
        lengths = np.diff(np.append(self.starts, self.table.num_rows))
        return np.repeat(values, lengths)


def coded(column: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.Array]:
    """Return a code a row, and the values, NULL among them, in the order in which they first come."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    # All parts have one dictionary; to put the parts together is refused where NULL is in it.
    encoded = pc.dictionary_encode(pa.chunked_array(chunks, column.type), null_encoding="encode").chunks
    if not encoded:
        return np.empty(0, np.int32), pa.array([], column.type)
    return np.concatenate([part.indices.to_numpy() for part in encoded]), encoded[-1].dictionary


def _ranks(column: pa.ChunkedArray) -> Codes:
    codes, values = coded(column)
    ranks = np.empty(len(values), np.int64)
    ranks[pc.sort_indices(values).to_numpy()] = np.arange(len(values))
    return ranks[codes]


def _times(column: pa.ChunkedArray) -> Codes:
    times: Codes = column.combine_chunks().view(pa.int64()).fill_null(NO_TIME).to_numpy()
    return times
