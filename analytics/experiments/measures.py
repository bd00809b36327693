"""Asks the engine for what the metrics need: sums over sessions, quantiles over calls, custom metrics.

All statements of one result run over one session, in which the randomised sessions stand as ``cohort``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.experiments.cohorts import Cohort, Exposure
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


def read_exposures(session: QuerySession, config_key: str) -> list[Exposure]:
    """Return the distinct exposures of an experiment."""
    columns = session.query(sql.load("exposures"), {"config_key": config_key}).to_pydict()
    return [Exposure(*row) for row in zip(*(columns[name] for name in Exposure._fields), strict=True)]


def read_customers(session: QuerySession, config_key: str) -> dict[str, str]:
    """Return the customer of each session that names one."""
    columns = session.query(sql.load("session_customers"), {"config_key": config_key}).to_pydict()
    return dict(zip(columns["session_id"], columns["customer_id"], strict=True))


def count_unexposed_sessions(session: QuerySession, config_key: str) -> int:
    """Return how many sessions have calls under the config but no exposure."""
    return int(session.query(sql.load("unexposed_sessions"), {"config_key": config_key})["sessions"][0].as_py())


class Measures:
    """The measures of one experiment's randomised sessions over one session."""

    def __init__(self, session: QuerySession, config_key: str, cohort: Cohort, arm_count: int) -> None:
        self._session = session
        self._arms = range(arm_count)
        self._sessions = [cohort.sessions(arm) for arm in self._arms]
        parameters = {"config_key": config_key}
        session.add("cohort", cohort.to_table())
        session.keep("session_totals", sql.load("session_totals"), parameters)
        session.keep("calls", sql.load("calls"), parameters)
        session.keep("session_metrics", sql.load("session_metrics"), {**parameters, "names_max": CUSTOM_METRICS_MAX})

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

    def ratio(self, metric: RatioMetric) -> list[ArmSums]:
        """Return the sums of a ratio metric by arm."""
        x, n = metric.numerator, metric.denominator or "1.0"
        rows = self._session.query(
            f"SELECT arm, {_sums(x, n)}, fsum({metric.observed or n}) AS observations FROM session_totals GROUP BY arm"  # noqa: S608 - columns are the metrics' own
        )
        by_arm = {row["arm"]: _arm_sums(row) for row in rows.to_pylist()}
        return [by_arm.get(arm, ArmSums(RatioSums.empty(), 0.0)) for arm in self._arms]

    def quantiles(self, column: str, arm: int, probabilities: Sequence[float]) -> list[float | None]:
        """Return the inverted CDF of a column of calls at each probability; None where there is no call."""
        literals = ", ".join(repr(float(probability)) for probability in probabilities)
        rows = self._session.query(
            f"SELECT quantile_disc({column}, [{literals}]) AS values FROM calls WHERE arm = $arm",  # noqa: S608 - the column is the metric's own
            {"arm": arm},
        )
        values: list[float] | None = rows["values"][0].as_py()
        return list(values) if values else [None] * len(probabilities)

    def sums_at_quantile(self, column: str, arm: int, value: float) -> RatioSums:
        """Return the sums over all sessions of the arm of x = calls at or below ``value``, n = calls."""
        rows = self._session.query(
            f"SELECT count(*) AS sessions, {_sums('x', 'n')} FROM (SELECT session_id, count({column})::DOUBLE AS n,"  # noqa: S608 - the column is the metric's own
            f" (count(*) FILTER ({column} <= $value))::DOUBLE AS x FROM calls WHERE arm = $arm GROUP BY session_id)",
            {"arm": arm, "value": value},
        )
        sums = _ratio_sums(rows.to_pylist()[0])
        # Sessions without a call add nothing but their number.
        return RatioSums(self._sessions[arm], sums.x, sums.xx, sums.n, sums.nn, sums.xn)

    def quantile_sums(self, metric: QuantileMetric, arm: int) -> list[tuple[float, float | None, RatioSums]]:
        """Return, for each probability of the metric, the quantile in the arm and the sums at it."""
        values = self.quantiles(metric.column, arm, metric.probabilities)
        return [
            (
                probability,
                value,
                _nothing_known(self._sessions[arm])
                if value is None
                else self.sums_at_quantile(metric.column, arm, value),
            )
            for probability, value in zip(metric.probabilities, values, strict=True)
        ]

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


def _sums(x: str, n: str) -> str:
    return (
        f"count(*) AS sessions, fsum({x}) AS x, fsum({x} * {x}) AS xx, fsum({n}) AS n, fsum({n} * {n}) AS nn,"
        f" fsum({x} * {n}) AS xn"
    )


def _arm_sums(row: dict[str, float]) -> ArmSums:
    # Where no call's value is known, sessions without calls must not make it zero.
    sums = _ratio_sums(row) if row["observations"] else _nothing_known(int(row["sessions"]))
    return ArmSums(sums, row["observations"])


def _nothing_known(sessions: int) -> RatioSums:
    return RatioSums(sessions, 0.0, 0.0, 0.0, 0.0, 0.0)


def _ratio_sums(row: dict[str, float]) -> RatioSums:
    return RatioSums(int(row["sessions"]), *(float(row[name] or 0.0) for name in ("x", "xx", "n", "nn", "xn")))
