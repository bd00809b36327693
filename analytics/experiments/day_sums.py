"""Reads what an experiment's sessions called, once: each session's sums by day.

Theory of operation. Most sessions call on one day, that of their first exposure: what they did then is added up at
their place, as ``session_sums.py`` does. The rows of other days are kept as they are: they are few, and the database
puts their days in order. What was before a session's first day is of that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.compiled.totals import add
from analytics.experiments.read_ahead import read_ahead
from analytics.experiments.session_index import Numbers, SessionIndex
from analytics.experiments.session_sums import BATCH_ROWS, MEASURES
from storage import sql
from storage.engines.duckdb import QuerySession

NEVER = np.iinfo(np.int32).max
"""The first day of a session that never counts."""
_CALLED = ("date", "calls", "errors")

Days = NDArray[np.int32]


@dataclass(slots=True)
class DaySums:
    """By session the ``totals`` of its first day; ``others``: number, day and sums, a row each of those of later days.

    ``called`` has number, arm, model, date, calls and errors of all.
    """

    totals: dict[str, NDArray[np.float64]]
    others: pa.Table
    called: pa.Table

    def first_days(self, numbers: Numbers, since: Days) -> pa.Table:
        """Return the sums of these sessions on their first days, as rows of ``others``."""
        sums = {name: totals[numbers] for name, totals in self.totals.items()}
        return pa.table({"number": pa.array(numbers, pa.int32()), "day": pa.array(since[numbers]), **sums})


def read_day_sums(
    session: QuerySession, experiment: Experiment, index: SessionIndex, since: Days, arms: Numbers
) -> DaySums:
    """Read the rollup; ``since`` and ``arms`` are of each session by its number in the index."""
    reading = _Reading(index, since, arms, {name: np.zeros(len(since)) for name in MEASURES})
    statement = sql.load("rollup_rows").format(column=experiment.column, columns=", ".join(MEASURES))
    for batch in read_ahead(_batches(session, statement, experiment.key)):
        reading.add(batch)
    called = pa.Table.from_batches(reading.called, _CALLS).unify_dictionaries()
    return DaySums(reading.totals, pa.Table.from_batches(reading.others, _OTHERS), called)


def _batches(session: QuerySession, statement: str, key: str) -> Iterator[pa.RecordBatch]:
    yield from session.batches(statement, {"key": key}, rows=BATCH_ROWS)


@dataclass(slots=True)
class _Reading:
    """The rollup as far as it has been read."""

    index: SessionIndex
    since: Days
    arms: Numbers
    totals: dict[str, NDArray[np.float64]]
    others: list[pa.RecordBatch] = field(default_factory=list)
    called: list[pa.RecordBatch] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch) -> None:
        numbers = self.index.find(batch["session_id"])
        # -1 is an index of the last: what has no number is taken out first.
        is_its = (numbers >= 0) & (self.since[numbers] != NEVER)
        if not is_its.all():
            batch, numbers = batch.filter(pa.array(is_its)), numbers[is_its]
        since = self.since[numbers]
        days = np.maximum(batch["date"].view(pa.int32()).to_numpy(), since)
        is_first = days == since
        places = np.where(is_first, numbers, -1).astype(np.int32)
        sums = [pc.fill_null(batch[name].cast(pa.float64()), 0.0) for name in MEASURES]
        for name, values in zip(MEASURES, sums, strict=True):
            add(self.totals[name], places, values.to_numpy())
        if not is_first.all():
            rows = pa.RecordBatch.from_arrays([pa.array(numbers), pa.array(days), *sums], schema=_OTHERS)
            self.others.append(rows.filter(pa.array(~is_first)))
        model = pc.dictionary_encode(batch["model"].cast(pa.string()))
        columns = [pa.array(numbers), pa.array(self.arms[numbers]), model, *(batch[name] for name in _CALLED)]
        self.called.append(pa.RecordBatch.from_arrays(columns, schema=_CALLS))


_OTHERS = pa.schema([("number", pa.int32()), ("day", pa.int32()), *((name, pa.float64()) for name in MEASURES)])
_CALLS = pa.schema(
    [
        ("number", pa.int32()),
        ("arm", pa.int32()),
        ("model", pa.dictionary(pa.int32(), pa.string())),
        ("date", pa.date32()),
        ("calls", pa.int64()),
        ("errors", pa.int64()),
    ]
)
