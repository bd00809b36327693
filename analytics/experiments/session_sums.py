"""Reads what an experiment's sessions called, once: the sums of each session, and its calls by model and day.

Theory of operation. The rollup is read in batches; a session's rows may lie anywhere. Its id is looked up in the
cohort's index, and what the row says is added at the place that the session has among those that count. So a session
takes a number a sum and no more, however many rows it has, and nothing is sorted or joined. Whole numbers add up
exactly; of others the part that rounding leaves out is added up too, so that the order in which rows are read says
nothing, nor that of what was corrected later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.compiled.totals import add, add_with_rest, least
from analytics.experiments.exposure_rows import NO_TIME
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
_NO_MODEL = -1

Totals = NDArray[np.float64]


@dataclass(slots=True)
class SessionSums:
    """The sums of the sessions that count, at their ``places`` (-1: it does not count); zeros for one without calls.

    ``unexposed`` sessions have calls under the experiment, but no exposure.
    """

    places: Numbers
    totals: dict[str, Totals]
    began: NDArray[np.int64]
    called: pa.Table
    unexposed: int

    def called_sessions(self, cohort: Cohort) -> pa.Table:
        """Return the calls of each session that has a row in the rollup, and when the first began."""
        has_row = self.began != NO_TIME
        columns = {
            "arm": cohort.arms[cohort.is_counted].astype(np.int32),
            "calls": self.totals["calls"],
            "errors": self.totals["errors"],
            "first_time": pa.array(self.began).view(TIMESTAMP),
        }
        table = pa.table(columns)
        return chunked(table if has_row.all() else table.filter(pa.array(has_row)))


def chunked(table: pa.Table) -> pa.Table:
    """Return the same rows in parts that the database reads side by side."""
    return pa.Table.from_batches(table.to_batches(max_chunksize=BATCH_ROWS), table.schema)


def read_sums(
    session: QuerySession, experiment: Experiment, cohort: Cohort, measures: Sequence[str] = MEASURES
) -> SessionSums:
    """Read the rollup, of its sums those that are wanted; ``CALLS`` are among them."""
    reading = _Reading.of(cohort, measures)
    statement = sql.load("rollup_rows").format(column=experiment.column, columns=", ".join(measures))
    for batch in read_ahead(session.batches(statement, {"key": experiment.key}, rows=BATCH_ROWS)):
        reading.add(batch)
    return reading.sums()


@dataclass(slots=True)
class _Reading:
    """The rollup as far as it has been read."""

    cohort: Cohort
    arms: Numbers
    places: Numbers
    totals: dict[str, Totals]
    rests: dict[str, Totals]
    began: NDArray[np.int64]
    others: SessionIndex = field(default_factory=SessionIndex)
    models: dict[str | None, int] = field(default_factory=dict)
    called: list[list[pa.Array]] = field(default_factory=list)

    @classmethod
    def of(cls, cohort: Cohort, measures: Sequence[str]) -> _Reading:
        is_counted = cohort.is_counted
        count = int(np.count_nonzero(is_counted))
        # One more, which -1 is an index of: a session that has no number has no place, and no arm.
        places = np.full(len(is_counted) + 1, -1, np.int32)
        places[:-1][is_counted] = np.arange(count, dtype=np.int32)
        return cls(
            cohort,
            np.append(cohort.arms, -1).astype(np.int32),
            places,
            {name: np.zeros(count) for name in measures},
            {name: np.zeros(count) for name in measures if name in _ROUNDED},
            np.full(count, NO_TIME),
        )

    def add(self, batch: pa.RecordBatch) -> None:
        numbers = self.cohort.index.find(batch["session_id"])
        is_unknown = numbers < 0
        if is_unknown.any():
            self.others.add(batch["session_id"].filter(pa.array(is_unknown)))
        places = self.places[numbers]
        for name, totals in self.totals.items():
            column = batch[name]
            if column.null_count == len(column):
                continue
            column = column.fill_null(0) if column.null_count else column
            values = column.to_numpy().astype(np.float64, copy=False)
            if name in self.rests:
                add_with_rest(totals, self.rests[name], places, values)
            else:
                add(totals, places, values)
        times = batch["first_time"].view(pa.int64())
        least(self.began, places, (times.fill_null(NO_TIME) if times.null_count else times).to_numpy())
        self._keep_called(batch, numbers, places >= 0)

    def sums(self) -> SessionSums:
        for name, rests in self.rests.items():
            self.totals[name] += rests
        return SessionSums(self.places[:-1], self.totals, self.began, self._called(), self.others.count)

    def _keep_called(self, batch: pa.RecordBatch, numbers: Numbers, is_counted: NDArray[np.bool_]) -> None:
        coded = pc.dictionary_encode(batch["model"], null_encoding="encode")
        codes = np.array([self._code(model) for model in coded.dictionary.to_pylist()], np.int32)
        rows = pa.RecordBatch.from_arrays(
            [
                pa.array(numbers),
                pa.array(self.arms[numbers]),
                pa.array(codes[coded.indices.to_numpy()] if len(codes) else codes),
                *(batch[name] for name in ("date", "calls", "errors", "first_time")),
            ],
            ["number", "arm", "model", "date", "calls", "errors", "first_time"],
        )
        if not is_counted.all():
            rows = rows.filter(pa.array(is_counted))
        self.called.append(rows.columns)

    def _code(self, model: str | None) -> int:
        return _NO_MODEL if model is None else self.models.setdefault(model, len(self.models))

    def _called(self) -> pa.Table:
        """Return a row a row of the rollup of the sessions that count: whose, and how many calls to which model."""
        names = pa.array(self.models, pa.string())
        batches = []
        for number, arm, codes, *others in self.called:
            is_unknown = pa.array(codes.to_numpy() == _NO_MODEL)
            models = pa.DictionaryArray.from_arrays(pc.if_else(is_unknown, None, codes), names)
            batches.append(pa.RecordBatch.from_arrays([number, arm, models, *others], schema=_CALLED))
        return pa.Table.from_batches(batches, _CALLED)


_CALLED = pa.schema(
    [
        ("number", pa.int32()),
        ("arm", pa.int32()),
        ("model", pa.dictionary(pa.int32(), pa.string())),
        ("date", pa.date32()),
        ("calls", pa.int64()),
        ("errors", pa.int64()),
        ("first_time", TIMESTAMP),
    ]
)
