"""Exposures as they are judged: by session, each session's in the order of time.

Theory of operation. An exposure's values have few combinations: each is a *kind*, worked out once. What is left of a
row is a session's number, a kind and a time, so that millions take little memory; their texts are let go batch by
batch. What is asked of all rows is asked of some sessions at a time (``parts``), within the processor's caches.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.combinations import combinations
from analytics.experiments.session_index import Numbers, SessionIndex
from schemas.table import TIMESTAMP
from storage.errors import QueryTooLargeError

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
PART_SESSIONS = 32_768
EXPOSURES_MAX = 20_000_000
"""Exposures of one experiment that are judged at once; each takes 20 bytes, and twice that to be sorted."""
_BATCH_ROWS = 65_536
_KIND_COLUMNS = ("variant_index", "assigned_model", "reason", "config_version")
_NONE = np.empty(0, np.int32)

Codes = NDArray[np.int64]
Wholes = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as its different values, and of each row the place of its own among them."""

    codes: Numbers
    values: list[Any]

    @property
    def ranks(self) -> Codes:
        """Return each row's place in the order of the values."""
        places = sorted(range(len(self.values)), key=lambda code: (self.values[code] is None, self.values[code]))
        ranks = np.empty(len(places), np.int64)
        ranks[places] = np.arange(len(places))
        return ranks[self.codes]


@dataclass(frozen=True, slots=True)
class ExposureRows:
    """Exposures by session, each session's in the order of time; ``starts`` are the places of each one's first.

    ``kinds`` has the kind of each row, ``of_kind`` the values of each kind by column, ``times`` microseconds,
    ``NO_TIME`` where a row has none, ``customers`` whom each row names.
    """

    kinds: Numbers
    of_kind: dict[str, Coded]
    times: Codes
    customers: Coded
    starts: Codes
    session_ids: pa.Array
    index: SessionIndex

    @classmethod
    def of(cls, exposures: pa.Table | Iterable[pa.RecordBatch]) -> "ExposureRows":
        """Return rows of ``EXPOSURE_ROWS`` in that order, whatever the order that they are read in.

        ``index`` has the number of each session.
        """
        return _Reading().read(exposures)

    @property
    def exposed_at(self) -> pa.Array:
        """Return the time of each session's first exposure."""
        times = self.first(self.times)
        return pa.array(times, mask=times == NO_TIME).view(TIMESTAMP)

    def parts(self) -> "Iterator[tuple[slice, ExposureRows]]":
        """Yield the rows of some sessions after the other, with the places of these sessions."""
        for first in range(0, len(self.starts), PART_SESSIONS):
            sessions = slice(first, min(first + PART_SESSIONS, len(self.starts)))
            begin = self.starts[first]
            end = self.starts[sessions.stop] if sessions.stop < len(self.starts) else len(self.times)
            rows = slice(begin, end)
            part = ExposureRows(
                self.kinds[rows],
                self.of_kind,
                self.times[rows],
                Coded(self.customers.codes[rows], self.customers.values),
                self.starts[sessions] - begin,
                self.session_ids.slice(first, sessions.stop - first),
                self.index,
            )
            yield sessions, part

    def first(self, values: Any) -> Any:
        """Return what stands at each session's first exposure."""
        return values if len(values) == len(self.starts) else values[self.starts]

    def told(self, name: str, tells: Callable[[Any], object], kind: type = bool) -> NDArray[Any]:
        """Return what ``tells`` says of each row's value in a column, asked once a value."""
        of_kind = self.of_kind[name]
        return np.array([tells(value) for value in of_kind.values], kind)[of_kind.codes][self.kinds]

    def by_session(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Return one value a session of those of its rows."""
        return values if len(values) == len(self.starts) else reduce.reduceat(values, self.starts)

    def of_session(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a session's value for each of its rows."""
        if len(self.times) == len(self.starts):
            return values
        return np.repeat(values, np.diff(np.append(self.starts, len(self.times))))


class _Reading:
    """Exposures as far as they have been read."""

    def __init__(self) -> None:
        self._index = SessionIndex()
        self._rows = 0
        self._ids: list[pa.Array] = []
        self._columns = {name: _Values() for name in (*_KIND_COLUMNS, "customer_id")}
        self._kind_of: dict[tuple[int, ...], int] = {}
        self._parts: list[tuple[Numbers, Numbers, Numbers, Codes]] = []

    def read(self, exposures: pa.Table | Iterable[pa.RecordBatch]) -> ExposureRows:
        for batch in exposures.to_batches(_BATCH_ROWS) if isinstance(exposures, pa.Table) else exposures:
            if batch.num_rows:
                self._rows += batch.num_rows
                if self._rows > EXPOSURES_MAX:
                    raise QueryTooLargeError(
                        f"more than {EXPOSURES_MAX:,} exposures, the most that are judged at once: ask for an earlier "
                        "moment by as_of, or go on under a new key"
                    )
                self._parts.append((self._numbers(batch["session_id"]), *self._values(batch)))
        sessions, kinds, customers, times = (self._joined(place) for place in range(4))
        coded_customers = Coded(customers, self._columns["customer_id"].values)
        starts: Codes = np.arange(self._index.count)
        if self._index.count < len(sessions):
            # Of those at the same time an order that does not depend on how they were read.
            of_kinds = (each.ranks[kinds] for each in self._of_kind().values())
            order = np.lexsort((coded_customers.ranks, *of_kinds, times, sessions))
            starts = np.searchsorted(sessions, starts, sorter=order)
            kinds, times = kinds[order], times[order]
            coded_customers = Coded(customers[order], coded_customers.values)
        ids = pa.chunked_array(self._ids, pa.string()).combine_chunks()
        self._ids.clear()
        return ExposureRows(kinds, self._of_kind(), times.view(np.int64), coded_customers, starts, ids, self._index)

    def _joined(self, place: int) -> NDArray[Any]:
        found = [part[place] for part in self._parts]
        return np.concatenate(found) if found else _NONE

    def _of_kind(self) -> dict[str, Coded]:
        codes = np.array(list(self._kind_of), np.int32).reshape(-1, len(_KIND_COLUMNS))
        return {name: Coded(codes[:, place], self._columns[name].values) for place, name in enumerate(_KIND_COLUMNS)}

    def _numbers(self, ids: pa.Array) -> Numbers:
        known = self._index.count
        numbers = self._index.add(ids)
        # New ones have the next numbers, in the order in which they come.
        before = np.concatenate(([known - 1], np.maximum.accumulate(np.maximum(numbers, known - 1))[:-1]))
        is_new = numbers > before
        # A copy: what is kept of a batch as it is, keeps all of it.
        self._ids.append(ids.filter(pa.array(is_new)))
        return numbers

    def _values(self, batch: pa.RecordBatch) -> tuple[Numbers, Numbers, Codes]:
        columns = [self._columns[name].codes(batch[name]) for name in _KIND_COLUMNS]
        times = batch["event_time"].view(pa.int64())
        times = (times.fill_null(NO_TIME) if times.null_count else times).to_numpy()
        return self._kinds(columns), self._columns["customer_id"].codes(batch["customer_id"]), times.copy()

    def _kinds(self, columns: list[Numbers]) -> Numbers:
        found, rows = combinations(columns)
        values = np.stack([column[rows] for column in columns], axis=1).tolist()
        kinds = [self._kind_of.setdefault(tuple(each), len(self._kind_of)) for each in values]
        return np.array(kinds, np.int32)[found]


class _Values:
    """The different values of a column, NULL among them, in the order in which they first come."""

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}

    @property
    def values(self) -> list[Any]:
        return list(self._places)

    def codes(self, column: pa.Array) -> Numbers:
        if column.null_count == len(column):
            return np.full(len(column), self._places.setdefault(None, len(self._places)), np.int32)
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        places = self._places
        of_batch = [places.setdefault(value, len(places)) for value in encoded.dictionary.to_pylist()]
        found: Numbers = np.array(of_batch, np.int32)[encoded.indices.to_numpy()]
        return found


def coded(column: pa.Array | pa.ChunkedArray) -> tuple[Numbers, pa.Array]:
    """Return a code a row, and the values, NULL among them, in the order in which they first come."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    # All parts have one dictionary; to put the parts together is refused where NULL is in it.
    encoded = pc.dictionary_encode(pa.chunked_array(chunks, column.type), null_encoding="encode").chunks
    if not encoded:
        return np.empty(0, np.int32), pa.array([], column.type)
    return np.concatenate([part.indices.to_numpy() for part in encoded]), encoded[-1].dictionary
