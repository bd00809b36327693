"""Asks the engine for what the metrics need: sums over sessions, quantiles over calls, custom metrics.

All statements of one result run over one session, in which the exposed sessions stand as ``cohort``, with the
arm of those that count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analytics.experiments.cohorts import Cohort
from analytics.experiments.metrics import QuantileMetric, RatioMetric
from analytics.experiments.statistics import RatioSums
from storage import sql
from storage.engines.duckdb import QuerySession

CATEGORIES_MAX = 10
CUSTOM_METRICS_MAX = 200


@dataclass(frozen=True, slots=True)
class ArmSums:
    """A metric's sums in one arm, and how many calls its value is known of (sessions, for a mean a session)."""

    sums: RatioSums
    observations: float


@dataclass(frozen=True, slots=True)
class QuantileSums:
    """A quantile in one arm, None where it has no call, and the sums over sessions of x = calls at or below it."""

    probability: float
    value: float | None
    sums: RatioSums


@dataclass(frozen=True, slots=True)
class Dominance:
    """The largest session's share of all calls, and the number of equal sessions that would weigh as much (Kish)."""

    max_call_share: float | None
    effective_sessions: float | None


@dataclass(frozen=True, slots=True)
class NumberMetric:
    """A custom metric of numbers, or of booleans: its sums by arm."""

    name: str
    sums: dict[int, RatioSums]
    is_boolean: bool


@dataclass(frozen=True, slots=True)
class CategoryMetric:
    """One value of a custom metric of text: by arm, the sessions that gave it, and those that gave any."""

    name: str
    value: str
    counts: dict[int, tuple[int, int]]


class Measures:
    """The measures of one experiment's randomised sessions over one session."""

    def __init__(self, session: QuerySession, config_key: str, cohort: Cohort, arm_count: int) -> None:
        self._session = session
        self._config_key = config_key
        self._arms = range(arm_count)
        self._sessions = [cohort.sessions(arm) for arm in self._arms]
        self._has_calls = False
        session.add("cohort", cohort.to_table())
        session.keep("config_totals", sql.load("config_totals"), {"config_key": config_key})
        session.keep("session_totals", sql.load("session_totals"))

    def unexposed_sessions(self) -> int:
        """Return how many sessions have calls under the config but no exposure."""
        return int(self._session.query(sql.load("unexposed_sessions"))["sessions"][0].as_py())

    def calls(self) -> list[int]:
        """Return the number of calls by arm."""
        rows = self._session.query("SELECT arm, sum(calls)::BIGINT AS calls FROM session_totals GROUP BY arm")
        counts = {row["arm"]: row["calls"] for row in rows.to_pylist()}
        return [counts.get(arm, 0) for arm in self._arms]

    def dominance(self) -> Dominance:
        """Return how far the figures rest on few sessions."""
        (row,) = self._session.query(
            "SELECT max(calls) AS most, sum(calls) AS calls, fsum(calls * calls) AS squares FROM session_totals"
        ).to_pylist()
        if not row["calls"]:
            return Dominance(None, None)
        return Dominance(row["most"] / row["calls"], row["calls"] ** 2 / row["squares"])

    def ratios(self, metrics: Sequence[RatioMetric]) -> list[list[ArmSums]]:
        """Return the sums of ratio metrics, each by arm."""
        if not metrics:
            return []
        columns = [_sums(metric.numerator, _denominator(metric), f"_{place}") for place, metric in enumerate(metrics)]
        columns += [
            f"fsum({metric.observed or _denominator(metric)}) AS observations_{place}"
            for place, metric in enumerate(metrics)
        ]
        rows = self._session.query(
            f"SELECT arm, count(*) AS sessions, {', '.join(columns)} FROM session_totals GROUP BY arm"  # noqa: S608 - columns are the metrics' own
        )
        by_arm = {row["arm"]: row for row in rows.to_pylist()}
        nothing = ArmSums(RatioSums.empty(), 0.0)
        return [
            [_arm_sums(by_arm[arm], f"_{place}") if arm in by_arm else nothing for arm in self._arms]
            for place in range(len(metrics))
        ]

    def quantiles(self, column: str, probabilities: Sequence[Sequence[float]]) -> list[list[float | None]]:
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

    def quantile_sums(self, metric: QuantileMetric) -> list[list[QuantileSums]]:
        """Return by arm, for each probability of the metric, the quantile and the sums at it.

        They are over all sessions of the arm: x = calls at or below the quantile, n = calls.
        """
        values = self.quantiles(metric.column, [metric.probabilities] * len(self._arms))
        places = range(len(metric.probabilities))
        self._session.add(
            "quantiles",
            pa.table(
                {
                    "arm": pa.array(self._arms, pa.int32()),
                    **{f"v_{place}": pa.array([of[place] for of in values], pa.float64()) for place in places},
                }
            ),
        )
        counts = [f"(count(*) FILTER ({metric.column} <= v_{place}))::DOUBLE AS x_{place}" for place in places]
        sums = [_sums(f"x_{place}", "n", f"_{place}") for place in places]
        rows = self._session.query(
            f"SELECT arm, {', '.join(sums)} FROM (SELECT calls.arm, count({metric.column})::DOUBLE AS n,"  # noqa: S608 - the column is the metric's own
            f" {', '.join(counts)} FROM calls JOIN quantiles USING (arm) GROUP BY calls.arm, calls.number) GROUP BY arm"
        )
        by_arm = {row["arm"]: row for row in rows.to_pylist()}
        return [
            [
                QuantileSums(probability, values[arm][place], self._at(by_arm.get(arm), arm, f"_{place}"))
                for place, probability in enumerate(metric.probabilities)
            ]
            for arm in self._arms
        ]

    def _at(self, row: dict[str, Any] | None, arm: int, suffix: str) -> RatioSums:
        # Sessions without a call add nothing but their number.
        return _ratio_sums(row, self._sessions[arm], suffix) if row else _nothing_known(self._sessions[arm])

    def _keep_calls(self) -> None:
        if not self._has_calls:
            self._session.keep("calls", sql.load("calls"), {"config_key": self._config_key})
            self._has_calls = True

    def keep_custom(self) -> None:
        """Take the values of custom metrics, before ``number_metrics`` and ``category_metrics``."""
        parameters = {"config_key": self._config_key, "names_max": CUSTOM_METRICS_MAX}
        self._session.keep("session_metrics", sql.load("session_metrics"), parameters)

    def number_metrics(self) -> list[NumberMetric]:
        """Return the custom metrics of numbers and booleans, by name."""
        found: dict[str, NumberMetric] = {}
        for row in self._session.query(sql.load("number_metrics")).to_pylist():
            known = found.get(row["name"])
            sums = {
                **(known.sums if known else {}),
                row["arm"]: RatioSums.for_mean(row["sessions"], row["x"], row["xx"]),
            }
            is_boolean = row["is_boolean"] and (known is None or known.is_boolean)
            found[row["name"]] = NumberMetric(row["name"], sums, is_boolean)
        return list(found.values())

    def category_metrics(self) -> list[CategoryMetric]:
        """Return the values of the custom metrics of text, the most frequent of each first."""
        found: dict[tuple[str, str], CategoryMetric] = {}
        for row in self._session.query(sql.load("category_metrics"), {"values_max": CATEGORIES_MAX}).to_pylist():
            key = (row["name"], row["value_string"])
            metric = found.setdefault(key, CategoryMetric(*key, {}))
            metric.counts[row["arm"]] = (row["sessions"], row["answered"])
        return list(found.values())


def _denominator(metric: RatioMetric) -> str:
    return metric.denominator or "1.0"


def _sums(x: str, n: str, suffix: str) -> str:
    return (
        f"fsum({x}) AS x{suffix}, fsum({x} * {x}) AS xx{suffix}, fsum({n}) AS n{suffix}, fsum({n} * {n}) AS nn{suffix},"
        f" fsum({x} * {n}) AS xn{suffix}"
    )


def _arm_sums(row: dict[str, Any], suffix: str) -> ArmSums:
    # Where no call's value is known, sessions without calls must not make it zero.
    observations, sessions = row[f"observations{suffix}"], int(row["sessions"])
    return ArmSums(_ratio_sums(row, sessions, suffix) if observations else _nothing_known(sessions), observations)


def _nothing_known(sessions: int) -> RatioSums:
    return RatioSums(sessions, 0.0, 0.0, 0.0, 0.0, 0.0)


def _ratio_sums(row: dict[str, Any], sessions: int, suffix: str) -> RatioSums:
    return RatioSums(sessions, *(float(row[name + suffix] or 0.0) for name in ("x", "xx", "n", "nn", "xn")))
