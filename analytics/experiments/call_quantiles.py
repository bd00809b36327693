"""Quantiles over the calls of the sessions that count, with the sums over sessions that their variance needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analytics.experiments.measures import Measures
from analytics.experiments.metrics import QuantileMetric
from analytics.experiments.statistics import RatioSums
from analytics.experiments.sums import ArmSums, nothing_known, ratio_sums


@dataclass(frozen=True, slots=True)
class QuantileSums:
    """A quantile in one arm, None where it has no call, and the sums over sessions of x = calls at or below it."""

    probability: float
    value: float | None
    arm: ArmSums


class CallQuantiles:
    """Quantiles of columns of ``calls``, which is read at their first use."""

    def __init__(self, measures: Measures, calls: Sequence[int]) -> None:
        self._measures = measures
        self._session = measures.session
        self._arms = measures.arms
        self._calls = calls
        self._has_calls = False

    def values(self, column: str, probabilities: Sequence[Sequence[float]]) -> list[list[float | None]]:
        """Return by arm the inverted CDF of a column of calls at the arm's probabilities; None where it has no call."""
        if not any(probabilities):
            return [[] for _ in self._arms]
        self._keep_calls()
        lists = [
            f"quantile_disc({column}, [{', '.join(repr(float(each)) for each in wanted)}]) FILTER (arm = {arm})"
            if wanted
            else "NULL"
            for arm, wanted in zip(self._arms, probabilities, strict=True)
        ]
        rows = self._session.query(f"SELECT [{', '.join(lists)}] AS found FROM calls")  # noqa: S608 - the column is the metric's own
        found: list[list[float] | None] = rows["found"][0].as_py()
        return [
            list(values) if values else [None] * len(wanted)
            for values, wanted in zip(found, probabilities, strict=True)
        ]

    def sums(self, metric: QuantileMetric) -> list[list[QuantileSums]]:
        """Return by arm, for each probability of the metric, the quantile and the sums at it.

        They are over all sessions of the arm: x = calls at or below the quantile, n = calls.
        """
        values = self.values(metric.column, [metric.probabilities] * len(self._arms))
        rows = self._counts(metric, values)
        return [
            [
                QuantileSums(probability, values[arm][place], self._arm(rows, arm, place))
                for place, probability in enumerate(metric.probabilities)
            ]
            for arm in self._arms
        ]

    def _counts(
        self, metric: QuantileMetric, values: Sequence[Sequence[float | None]]
    ) -> Mapping[tuple[int, int], dict[str, Any]]:
        places = range(len(metric.probabilities))
        at = {f"v_{place}": pa.array([of[place] for of in values], pa.float64()) for place in places}
        self._session.add("quantiles", pa.table({"arm": pa.array(self._arms, pa.int32()), **at}))
        counts = [f"(count(*) FILTER ({metric.column} <= v_{place}))::DOUBLE AS x_{place}" for place in places]
        sums = [
            f"sum(x_{place}) AS x_{place}, sum(x_{place} * x_{place}) AS xx_{place}, sum(x_{place} * n) AS xn_{place}"
            for place in places
        ]
        rows = self._session.query(
            f"SELECT arm, epoch, sum(n) AS n, sum(n * n) AS nn, {', '.join(sums)}"  # noqa: S608 - the column is the metric's own
            f" FROM (SELECT calls.arm, calls.epoch, count({metric.column})::DOUBLE AS n, {', '.join(counts)}"
            " FROM calls JOIN quantiles USING (arm) GROUP BY calls.arm, calls.epoch, calls.number)"
            " GROUP BY arm, epoch"
        )
        return {(row["arm"], row["epoch"]): row for row in rows.to_pylist()}

    def _arm(self, rows: Mapping[tuple[int, int], dict[str, Any]], arm: int, place: int) -> ArmSums:
        sums = {
            epoch: _sums(rows.get((arm, epoch)), sessions, place)
            for epoch, sessions in self._measures.by_epoch[arm].items()
        }
        return ArmSums(sums, sum(each.n for each in sums.values()), float(self._calls[arm]))

    def _keep_calls(self) -> None:
        if not self._has_calls:
            self._session.keep("calls", *self._measures.of_experiment("calls"))
            self._has_calls = True


def _sums(row: Mapping[str, Any] | None, sessions: int, place: int) -> RatioSums:
    # Sessions without a call add nothing but their number.
    if row is None:
        return nothing_known(sessions)
    return ratio_sums(sessions, (row[f"x_{place}"], row[f"xx_{place}"], row["n"], row["nn"], row[f"xn_{place}"]))
