"""Quantiles over the calls of the sessions that count, with the sums over sessions that their variance needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analytics.experiments.measures import SessionMeasures
from analytics.experiments.metrics import QuantileMetric
from analytics.experiments.statistics import RatioSums, arm_weights
from analytics.experiments.sums import ArmSums, nothing_known, ratio_sums
from storage import sql

_CALL_WEIGHTS = pa.schema([("arm", pa.int32()), ("epoch", pa.int32()), ("weight", pa.float64())])
_WANTED = pa.schema([("arm", pa.int32()), ("place", pa.int32()), ("probability", pa.float64())])


@dataclass(frozen=True, slots=True)
class QuantileSums:
    """A quantile in one arm, None where it has no call, and the sums over sessions of x = calls at or below it.

    ``weights`` are those of the arm's epochs.
    """

    probability: float
    value: float | None
    arm: ArmSums
    weights: Sequence[float]


class CallQuantiles:
    """Quantiles of columns of ``calls``, which is read at their first use."""

    def __init__(self, measures: SessionMeasures, calls: Sequence[int]) -> None:
        self._measures = measures
        self._session = measures.session
        self._arms = measures.arms
        self._calls = calls
        self._has_calls = False

    def values(self, column: str, probabilities: Sequence[Sequence[float]], control: int) -> list[list[float | None]]:
        """Return by arm the inverted CDF of a column of calls at the arm's probabilities; None where it has no call."""
        if not any(probabilities):
            return [[] for _ in self._arms]
        self._keep_calls()
        if self._measures.epochs > 1:
            return self._weighted_values(column, probabilities, control)
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

    def sums(self, metric: QuantileMetric, control: int) -> list[list[QuantileSums]]:
        """Return by arm, for each probability of the metric, the quantile and the sums at it.

        They are over all sessions of the arm: x = calls at or below the quantile, n = calls.
        """
        values = self.values(metric.column, [metric.probabilities] * len(self._arms), control)
        rows = self._counts(metric, values)
        weights = self._weights(control)
        return [
            [
                QuantileSums(probability, values[arm][place], self._arm(rows, arm, place), weights[arm])
                for place, probability in enumerate(metric.probabilities)
            ]
            for arm in self._arms
        ]

    def _weights(self, control: int) -> list[list[float]]:
        return arm_weights(self._measures.by_epoch, control)

    def _weighted_values(
        self, column: str, probabilities: Sequence[Sequence[float]], control: int
    ) -> list[list[float | None]]:
        """Return likewise the inverted CDF in which each call weighs w/K of its epoch."""
        weights, sessions = self._weights(control), self._measures.by_epoch
        rows = [
            {"arm": arm, "epoch": epoch, "weight": weight / sessions[arm][epoch]}
            for arm in self._arms
            for epoch, weight in enumerate(weights[arm])
            if weight > 0 and sessions[arm][epoch]
        ]
        wanted = [
            {"arm": arm, "place": place, "probability": probability}
            for arm in self._arms
            for place, probability in enumerate(probabilities[arm])
        ]
        self._session.add("call_weights", pa.Table.from_pylist(rows, _CALL_WEIGHTS))
        self._session.add("wanted_quantiles", pa.Table.from_pylist(wanted, _WANTED))
        statement = sql.load("weighted_quantiles").format(column=column)
        found = {(row["arm"], row["place"]): row["value"] for row in self._session.query(statement).to_pylist()}
        return [[found.get((arm, place)) for place in range(len(probabilities[arm]))] for arm in self._arms]

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
        epochs = tuple(
            _sums(rows.get((arm, epoch)), sessions, place)
            for epoch, sessions in enumerate(self._measures.by_epoch[arm])
        )
        return ArmSums(epochs, sum(sums.n for sums in epochs), float(self._calls[arm]))

    def _keep_calls(self) -> None:
        if not self._has_calls:
            self._measures.keep_calls()
            self._has_calls = True


def _sums(row: Mapping[str, Any] | None, sessions: int, place: int) -> RatioSums:
    # Sessions without a call add nothing but their number.
    if row is None:
        return nothing_known(sessions)
    return ratio_sums(sessions, (row[f"x_{place}"], row[f"xx_{place}"], row["n"], row["nn"], row[f"xn_{place}"]))
