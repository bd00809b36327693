"""Asks the engine for what the metrics need: sums over sessions, and what health looks at.

All statements of one result run over one session, in which the exposed sessions stand as ``cohort``, with the arm and
the epoch of those that count. ``call_quantiles.py`` and ``custom_metrics.py`` ask for the rest over the same session.
Whatever else puts sessions into arms (``observational/``) has measures of its own over the same tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.metrics import RatioMetric
from analytics.experiments.session_index import Numbers
from analytics.experiments.session_sums import SessionSums
from analytics.experiments.session_totals import show_totals, totals_of
from analytics.experiments.sums import ArmSums, Expressions, SumColumns
from storage import sql
from storage.engines.duckdb import QuerySession

CAPS_TOGETHER_SESSIONS_MAX = 500_000
"""Of more sessions, one cap at a time is looked for."""


@dataclass(frozen=True, slots=True)
class Dominance:
    """The largest session's share of all calls, and the number of equal sessions that would weigh as much (Kish)."""

    max_call_share: float | None
    effective_sessions: float | None


class SessionMeasures:
    """The measures of sessions in so many arms and epochs, which stand in the session as ``session_totals``.

    ``calls`` and ``session_metrics`` are kept there too when they are asked for.
    """

    def __init__(self, session: QuerySession, arms: int, epochs: int) -> None:
        self.session = session
        self.arms = range(arms)
        self.epochs = epochs
        self.by_epoch = self._sessions()

    def keep_calls(self) -> None:
        """Keep the sessions' calls as ``calls``."""
        raise NotImplementedError

    def keep_metrics(self, names_max: int) -> None:
        """Keep the sessions' custom metrics, those of so many names, as ``session_metrics``."""
        raise NotImplementedError

    @property
    def sessions(self) -> list[int]:
        """Return the number of sessions by arm."""
        return [sum(arm) for arm in self.by_epoch]

    def calls(self) -> list[int]:
        """Return the number of calls by arm."""
        rows = self.session.query("SELECT arm, sum(calls)::BIGINT AS calls FROM session_totals GROUP BY arm")
        counts = {row["arm"]: row["calls"] for row in rows.to_pylist()}
        return [counts.get(arm, 0) for arm in self.arms]

    def dominance(self) -> Dominance:
        """Return how far the figures rest on few sessions."""
        (row,) = self.session.query(
            "SELECT max(calls) AS most, sum(calls) AS calls, sum(calls * calls) AS squares FROM session_totals"
        ).to_pylist()
        if not row["calls"]:
            return Dominance(None, None)
        return Dominance(row["most"] / row["calls"], row["calls"] ** 2 / row["squares"])

    def ratios(self, metrics: Sequence[RatioMetric]) -> list[list[ArmSums]]:
        """Return the sums of ratio metrics, each by arm."""
        if not metrics:
            return []
        expressions = Expressions()
        sessions = expressions.alias("count(*)")
        columns = [SumColumns.of(metric, expressions) for metric in metrics]
        rows = self.session.query(
            f"SELECT arm, epoch, {expressions} FROM session_totals GROUP BY arm, epoch ORDER BY arm, epoch"  # noqa: S608 - expressions are the metrics' own
        ).to_pylist()
        by_arm = [[row for row in rows if row["arm"] == arm] for arm in self.arms]
        return [[of.arm(arm, sessions, self.epochs) for arm in by_arm] for of in columns]

    def caps(self, metrics: Sequence[RatioMetric]) -> list[float | None]:
        """Return for each metric the value of a session at its cap, over the sessions of all arms that have one."""
        if not metrics:
            return []
        columns = [
            f"quantile_disc({metric.numerator}, {metric.cap!r}) FILTER ({metric.known or 1} = 1) AS cap_{place}"
            for place, metric in enumerate(metrics)
        ]
        # All values that a quantile is taken over are in memory.
        together = len(columns) if sum(self.sessions) <= CAPS_TOGETHER_SESSIONS_MAX else 1
        row: dict[str, float | None] = {}
        for start in range(0, len(columns), together):
            (found,) = self.session.query(
                f"SELECT {', '.join(columns[start : start + together])} FROM session_totals"  # noqa: S608 - expressions are the metrics' own
            ).to_pylist()
            row |= found
        return [row[f"cap_{place}"] for place in range(len(metrics))]

    def _sessions(self) -> list[list[int]]:
        rows = self.session.query("SELECT arm, epoch, count(*) AS sessions FROM session_totals GROUP BY arm, epoch")
        counts = {(row["arm"], row["epoch"]): row["sessions"] for row in rows.to_pylist()}
        return [[counts.get((arm, epoch), 0) for epoch in range(self.epochs)] for arm in self.arms]


class Measures(SessionMeasures):
    """The measures of one experiment's randomised sessions over one session.

    ``success`` names the custom metric that says whether a session succeeded; None: if it has a call, and none failed.
    """

    def __init__(
        self,
        session: QuerySession,
        experiment: Experiment,
        cohort: Cohort,
        sums: SessionSums,
        success: str | None = None,
    ) -> None:
        self.experiment = experiment
        self.session = session
        self._success = success
        self._fallbacks = sums.fallbacks
        successes = None if success is None else session.query(*_successes(experiment, success))["session_id"]
        session.add("cohort", cohort.to_table())
        show_totals(session, cohort, sums, successes)
        super().__init__(session, len(experiment.arms), len(experiment.epochs))

    def keep_totals(self, name: str, sessions: str) -> None:
        """Keep the sums of each session's calls under a name; ``sessions`` is a table like ``cohort``."""
        self.session.keep("config_totals", *self.of_experiment("config_totals"))
        _keep_told(self.session, self.experiment, self._success, self._fallbacks)
        self.session.keep(name, *totals_of(sessions, success_is_declared=self._success is not None))

    def keep_calls(self) -> None:
        """Keep the sessions' calls under the experiment as ``calls``."""
        self.session.keep("calls", *self.of_experiment("calls"))

    def keep_metrics(self, names_max: int) -> None:
        """Keep the sessions' custom metrics of the experiment as ``session_metrics``."""
        parameters = {**self.metrics_of_experiment, "names_max": names_max}
        self.session.keep("session_metrics", sql.load("session_metrics"), parameters)

    @property
    def metrics_of_experiment(self) -> dict[str, object]:
        """Return the parameter that tells whose custom metrics count."""
        return metrics_of(self.experiment)

    def of_experiment(self, name: str) -> tuple[str, dict[str, object]]:
        """Return a statement over the rows of the experiment, with its parameters."""
        return rows_of(self.experiment, name)


def rows_of(experiment: Experiment, name: str) -> tuple[str, dict[str, object]]:
    """Return a statement over the rows of the experiment, with its parameters."""
    return sql.load(name).format(column=experiment.column), {"key": experiment.key}


def metrics_of(experiment: Experiment) -> dict[str, object]:
    """Return the parameter that tells whose custom metrics count: of a prompt test, those of any config."""
    return {"config_key": experiment.key if experiment.column == "config_key" else None}


def keep_session_totals(session: QuerySession, experiment: Experiment, success: str | None, fallbacks: Numbers) -> None:
    """Keep ``session_totals`` of the sessions of ``cohort`` that have an arm: after ``config_totals`` is kept."""
    _keep_told(session, experiment, success, fallbacks)
    session.keep("session_totals", *totals_of("cohort", success_is_declared=success is not None))


def _keep_told(session: QuerySession, experiment: Experiment, success: str | None, fallbacks: Numbers) -> None:
    """Keep what ``totals_of`` needs beside the sums."""
    session.keep("successes", *_successes(experiment, success))
    session.add("fallbacks", pa.table({"number": pa.array(fallbacks, pa.int32())}))


def _successes(experiment: Experiment, success: str | None) -> tuple[str, dict[str, object]]:
    return sql.load("successes"), {**metrics_of(experiment), "name": success}


def capped(metric: RatioMetric, cap: float) -> RatioMetric:
    """Return the metric with each session's value cut at ``cap``: one session weighs no more than that."""
    # As text, so that the number is the float itself: a literal would be a DECIMAL.
    cut = f"least({metric.numerator}, CAST('{cap!r}' AS DOUBLE)) * {metric.known or 1}"
    return replace(metric, numerator=cut, statistic="capped_mean", is_whole=False)
