"""Which models the sessions that count called: by arm and day, and of each session what went to others than its arm's.

Most sessions call the model of their arm alone: of these nothing is kept but their part of the day's sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.combinations import combinations
from analytics.experiments.compiled.totals import add, tally
from analytics.experiments.exposure_rows import NO_TIME, coded
from analytics.experiments.served_models import is_same_model
from analytics.experiments.session_index import Numbers

_Sums = NDArray[np.float64]
_Errors = NDArray[np.float64] | NDArray[np.int32]
_Mask = NDArray[np.bool_]


class ModelDaySums(NamedTuple):
    """An arm's calls to a model on a day, the errors among them, and when the first began, in microseconds."""

    arm: int
    day: date
    model: str
    calls: int
    errors: int
    first_time_us: int


class ModelCalls:
    """Takes rows of the rollup, some at a time, in any order; ``models`` are those of the arms, None: any."""

    def __init__(self, models: Sequence[str | None], sessions: int) -> None:
        self._models = models
        self._sessions = sessions
        self._days: dict[tuple[int, date, str | None], list[int]] = {}
        self._foreign_calls: _Sums | None = None
        self._foreign_errors: _Sums | None = None
        # Of calls of which nobody knows the model: they are neither the arm's nor another's.
        self._nameless_errors: _Sums | None = None

    def add(self, batch: pa.RecordBatch, places: Numbers, arms: Numbers) -> None:
        """Take rows with the place of each one's session, and its arm; -1: it does not count."""
        codes, values = coded(batch["model"])
        if not len(codes):
            return
        models: list[str | None] = values.to_pylist()
        errors = _whole(batch["errors"])
        calls = _whole(batch["calls"])
        self._add_days(batch, arms, codes, models, calls, errors)
        is_foreign = self._is_foreign(models)[arms, codes]
        if is_foreign.any():
            self._foreign_calls = self._added(self._foreign_calls, places, is_foreign, calls)
            self._foreign_errors = self._added(self._foreign_errors, places, is_foreign, errors)
        is_nameless = np.array([model is None for model in models])[codes] & (errors != 0)
        if is_nameless.any():
            self._nameless_errors = self._added(self._nameless_errors, places, is_nameless, errors)

    def days(self) -> Iterator[ModelDaySums]:
        """Yield what each arm called, a model and day at a time."""
        for (arm, day, model), (calls, errors, first_time_us) in self._days.items():
            if model is not None:
                yield ModelDaySums(arm, day, model, calls, errors, first_time_us)

    def mismatched(self, errors: _Errors) -> Numbers:
        """Return the sessions that called a model that is not their arm's, though no call to that one had failed.

        ``errors`` are those of each session, to whichever model.
        """
        if self._foreign_calls is None or self._foreign_errors is None:
            return np.empty(0, np.int32)
        return _where((self._foreign_calls > 0) & (errors - self._foreign_errors == 0))

    def fallbacks(self, errors: _Errors) -> Numbers:
        """Return likewise the sessions in which a call to the arm's model failed, and another model was called."""
        if self._foreign_calls is None or self._foreign_errors is None:
            return np.empty(0, np.int32)
        nameless = 0.0 if self._nameless_errors is None else self._nameless_errors
        return _where((self._foreign_calls > 0) & (errors - self._foreign_errors - nameless > 0))

    def _add_days(
        self,
        batch: pa.RecordBatch,
        arms: Numbers,
        codes: Numbers,
        models: Sequence[str | None],
        calls: NDArray[np.int64],
        errors: NDArray[np.int64],
    ) -> None:
        days = batch["date"].view(pa.int32()).fill_null(0).to_numpy()
        groups, rows = combinations([arms, codes, days])
        times = batch["first_time"].view(pa.int64()).fill_null(NO_TIME).to_numpy()
        sums = np.zeros((2, len(rows)), np.int64)
        first = np.full(len(rows), NO_TIME)
        tally(groups, calls, errors, times, sums[0], sums[1], first)
        of_group = batch["date"].take(pa.array(rows)).to_pylist()
        for place, row in enumerate(rows.tolist()):
            arm, day = int(arms[row]), of_group[place]
            if arm < 0 or day is None:
                continue
            known = self._days.setdefault((arm, day, models[codes[row]]), [0, 0, NO_TIME])
            known[0] += int(sums[0, place])
            known[1] += int(sums[1, place])
            known[2] = min(known[2], int(first[place]))

    def _is_foreign(self, models: Sequence[str | None]) -> _Mask:
        """Return by arm and model whether it is another than the arm's; the last row is that of no arm."""
        found = np.zeros((len(self._models) + 1, len(models)), np.bool_)
        for arm, own in enumerate(self._models):
            if own is not None:
                found[arm] = [model is not None and not is_same_model(own, model) for model in models]
        return found

    def _added(self, sums: _Sums | None, places: Numbers, mask: _Mask, values: NDArray[np.int64]) -> _Sums:
        known = np.zeros(self._sessions) if sums is None else sums
        add(known, np.where(mask, places, np.int32(-1)), values)
        return known


def _whole(column: pa.Array) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (column.fill_null(0) if column.null_count else column).to_numpy()
    return found


def _where(mask: _Mask) -> Numbers:
    return np.flatnonzero(mask).astype(np.int32)
