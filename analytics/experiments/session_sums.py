"""Reads what an experiment's sessions called, once: the sums of each session, and the calls by model and day.

Theory of operation. The rollup is read in batches; a session's rows may lie anywhere. Its id is looked up in the
cohort's index, and what the row says is added at the place that its number is. So a session takes a number a sum and no
more, however many rows it has, and nothing is sorted or joined. Whole numbers add up exactly; of others the part that
rounding leaves out is added up too, so that the order in which rows are read says nothing, nor that of what was
corrected later. A sum that no row has takes nothing, one of small whole numbers four bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.compiled.totals import add, add_whole, add_with_rest, least
from analytics.experiments.exposure_rows import NO_TIME
from analytics.experiments.model_calls import ModelCalls
from analytics.experiments.read_ahead import read_ahead
from analytics.experiments.session_index import Numbers, SessionIndex
from schemas.table import TIMESTAMP
from storage import sql
from storage.engines.duckdb import QuerySession

CALLS = ("calls", "errors")
MEASURES = (
    *CALLS,
    "latency_count",
    "latency_ms_sum",
    "time_to_first_token_count",
    "time_to_first_token_ms_sum",
    "tokens_count",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
    "cost_count",
    "cost_sum",
    "unpriced_count",
)
BATCH_ROWS = 65_536
"""Rows of a batch; the database takes as many to a thread."""

_ROUNDED = ("latency_ms_sum", "time_to_first_token_ms_sum", "cost_sum")


@dataclass(slots=True)
class SessionSums:
    """The sums of the exposed sessions, at their numbers; zeros for one without calls, or that does not count.

    A measure that no row has is in no ``totals``. ``began`` is each one's first call, ``NO_TIME`` where there is none.
    ``unexposed`` sessions have calls under the experiment, but no exposure.
    """

    totals: dict[str, NDArray[np.float64] | NDArray[np.int32]]
    began: NDArray[np.int64]
    models: ModelCalls
    unexposed: int

    @property
    def mismatched(self) -> Numbers:
        """Return the sessions that were served by another model than their arm's, for no failure."""
        return self.models.mismatched(self._errors)

    @property
    def fallbacks(self) -> Numbers:
        """Return the sessions in which a call of the assigned model failed, and another model was called."""
        return self.models.fallbacks(self._errors)

    def to_table(self, cohort: Cohort) -> pa.Table:
        """Return a row a session: its number, arm and epoch, NULL where it does not count, and what ``totals`` has."""
        is_out = ~cohort.is_counted
        columns = {
            "number": np.arange(len(is_out), dtype=np.int32),
            "arm": pa.array(cohort.arms, pa.int32(), mask=is_out),
            "epoch": pa.array(cohort.epochs, pa.int32(), mask=is_out),
            "first_time": pa.array(self.began).view(TIMESTAMP),
            **self.totals,
        }
        return pa.table(columns)

    @property
    def _errors(self) -> NDArray[np.float64] | NDArray[np.int32]:
        return self.totals.get("errors", np.zeros(len(self.began), np.int32))


def chunked(table: pa.Table) -> pa.Table:
    """Return the same rows in parts that the database reads side by side."""
    return pa.Table.from_batches(table.to_batches(max_chunksize=BATCH_ROWS), table.schema)


def read_sums(
    session: QuerySession, experiment: Experiment, cohort: Cohort, measures: Sequence[str] = MEASURES
) -> SessionSums:
    """Read the rollup, of its sums those that are wanted; ``CALLS`` are among them."""
    reading = _Reading.of(experiment, cohort, measures)
    statement = sql.load("rollup_rows").format(column=experiment.column, columns=", ".join(measures))
    for batch in read_ahead(session.batches(statement, {"key": experiment.key}, rows=BATCH_ROWS)):
        reading.add(batch)
    return reading.sums()


@dataclass(slots=True)
class _Total:
    """One sum of each session. Memory is taken at the first value that is not 0."""

    sessions: int
    is_rounded: bool
    values: NDArray[np.float64] | NDArray[np.int32] | None = None
    rests: NDArray[np.float64] | None = None

    def add(self, places: Numbers, column: pa.Array) -> None:
        if column.null_count == len(column):
            return
        found = (column.fill_null(0) if column.null_count else column).to_numpy()
        if self.values is None and not found.any():
            return
        if self.is_rounded:
            self._add_rounded(places, found)
        else:
            self._add_whole(places, found)

    def _add_rounded(self, places: Numbers, found: NDArray[np.float64]) -> None:
        if self.values is None or self.rests is None:
            self.values, self.rests = np.zeros(self.sessions), np.zeros(self.sessions)
        add_with_rest(self.values, self.rests, places, found)

    def _add_whole(self, places: Numbers, found: NDArray[np.int64]) -> None:
        values = np.zeros(self.sessions, np.int32) if self.values is None else self.values
        done = add_whole(values, places, found) if values.dtype == np.int32 else 0
        if done < len(found):
            # A session has more than four bytes hold.
            values = values.astype(np.float64, copy=False)
            add(values, places[done:], found[done:])
        self.values = values

    def total(self) -> NDArray[np.float64] | NDArray[np.int32] | None:
        if self.values is not None and self.rests is not None:
            self.values += self.rests
            self.rests = None
        return self.values


@dataclass(slots=True)
class _Reading:
    """The rollup as far as it has been read."""

    cohort: Cohort
    arms: Numbers
    totals: dict[str, _Total]
    began: NDArray[np.int64]
    models: ModelCalls
    others: SessionIndex = field(default_factory=SessionIndex)

    @classmethod
    def of(cls, experiment: Experiment, cohort: Cohort, measures: Sequence[str]) -> _Reading:
        count = len(cohort.labels)
        # One more, which -1 is an index of: a session that has no number has no arm.
        arms = np.full(count + 1, -1, np.int32)
        np.copyto(arms[:-1], cohort.arms, where=cohort.is_counted)
        return cls(
            cohort,
            arms,
            {name: _Total(count, name in _ROUNDED) for name in measures},
            np.full(count, NO_TIME),
            ModelCalls([arm.model for arm in experiment.arms], count),
        )

    def add(self, batch: pa.RecordBatch) -> None:
        numbers = self.cohort.index.find(batch["session_id"])
        is_unknown = numbers < 0
        if is_unknown.any():
            self.others.add(batch["session_id"].filter(pa.array(is_unknown)))
        arms = self.arms[numbers]
        places = numbers if (arms >= 0).all() else np.where(arms >= 0, numbers, np.int32(-1))
        for name, total in self.totals.items():
            total.add(places, batch[name])
        times = batch["first_time"].view(pa.int64())
        least(self.began, places, (times.fill_null(NO_TIME) if times.null_count else times).to_numpy())
        self.models.add(batch, places, arms)

    def sums(self) -> SessionSums:
        found = {name: total.total() for name, total in self.totals.items()}
        totals = {name: values for name, values in found.items() if values is not None}
        return SessionSums(totals, self.began, self.models, self.others.count)
