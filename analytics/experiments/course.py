"""The course of an experiment: the sums of its figures at the end of each UTC day, from one reading of the rows.

Theory of operation. A session passes through states: what it has come to by the end of a day, until another day changes
it. A figure is a sum over states as it is one over sessions, by the same statement: what comes on a day is added, what
goes on it is taken away, and the sums up to a day are what a reading of the rows until then would give. So a cohort is
made of states, in which the days stand for epochs, and the statements of the results are asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohort_reader import read_exposures
from analytics.experiments.cohorts import Window
from analytics.experiments.custom_metrics import CATEGORIES_MAX, CUSTOM_METRICS_MAX, CustomMetric, declared_types
from analytics.experiments.fallbacks import keep_assigned_models
from analytics.experiments.memberships import Memberships, memberships
from analytics.experiments.metrics import RatioMetric
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import RatioSums
from analytics.experiments.sums import ArmSums, Expressions, SumColumns
from storage import sql
from storage.engines.duckdb import QuerySession

LOOKS_MAX = 400
"""Days that are looked at apart: the latest; those before are one look."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)

Totals = NDArray[np.float64]
"""By arm, epoch and day: what had come and not gone by the end of the day."""


@dataclass(frozen=True, slots=True)
class CustomTotals:
    """A custom metric, or one value of one, day by day: sessions that have it, their sums, and who answered at all."""

    metric: CustomMetric
    sessions: Totals
    x: Totals
    xx: Totals
    answered: Totals


@dataclass(slots=True)
class _Sums:
    """What the statements of one kind answered: of each column the totals."""

    arms: int
    epochs: int
    days: int
    columns: dict[str, Totals] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any], names: Sequence[str]) -> None:
        """Add a row of one arm, whose ``epoch`` stands for what comes or goes in an epoch on a day."""
        change, day = divmod(row["epoch"], self.days)
        goes, epoch = divmod(change, self.epochs)
        for name in names:
            changes = self.columns.setdefault(name, np.zeros((self.arms, self.epochs, self.days)))
            changes[row["arm"], epoch, day] += -(row[name] or 0.0) if goes else (row[name] or 0.0)

    def total(self) -> dict[str, Totals]:
        """Return what each column comes to by the end of each day."""
        return {name: np.cumsum(changes, axis=2) for name, changes in self.columns.items()}


class Course:
    """The sums of an experiment at the end of each day before a moment, over a session that shows that past.

    ``days`` are in days since 1970; none where no session counts.
    """

    def __init__(self, session: QuerySession, experiment: Experiment, settings: Settings, before: datetime) -> None:
        self._session = session
        self._experiment = experiment
        self._settings = settings
        found = _read_memberships(session, experiment, settings)
        first = found.first_day
        last = (before - _EPOCH) // _DAY - 1
        self.days = range(0) if first is None else range(max(first, last - LOOKS_MAX + 1), last + 1)
        if self.days:
            self._keep_states(found.since_day(self.days[0]))
        self._ratios: dict[str, Totals] = {}
        self._columns: dict[RatioMetric, SumColumns] = {}
        self._sessions = "e0"

    @property
    def looks(self) -> list[datetime]:
        """Return the ends of the days."""
        return [_EPOCH + (day + 1) * _DAY for day in self.days]

    def read(self, metrics: Sequence[RatioMetric]) -> None:
        """Read the sums of ratio metrics, all at once."""
        expressions = Expressions()
        self._sessions = expressions.alias("count(*)")
        self._columns = {metric: SumColumns.of(metric, expressions) for metric in metrics}
        rows = self._session.query(
            f"SELECT arm, epoch, {expressions} FROM session_totals GROUP BY arm, epoch"  # noqa: S608 - expressions are the metrics' own
        )
        names = [name for name in rows.column_names if name not in ("arm", "epoch")]
        sums = self._new_sums()
        for row in rows.to_pylist():
            sums.add(row, names)
        self._ratios = sums.total()

    def sessions(self, place: int) -> list[list[int]]:
        """Return the sessions that count at the end of a day, by arm and epoch, after ``read``."""
        counts = self._ratios.get(self._sessions)
        if counts is None:
            return [[0] * len(self._experiment.epochs) for _ in self._experiment.arms]
        found: list[list[int]] = np.rint(counts[:, :, place]).astype(int).tolist()
        return found

    def ratio_arms(self, metric: RatioMetric, place: int) -> list[ArmSums]:
        """Return the sums of a metric that was read at the end of a day, by arm, as ``Measures`` has them of now."""
        columns = self._columns[metric]
        return [
            columns.arm(
                [
                    {"epoch": epoch, **{name: float(of[arm, epoch, place]) for name, of in self._ratios.items()}}
                    | {self._sessions: sessions}
                    for epoch, sessions in enumerate(by_epoch)
                    if sessions
                ],
                self._sessions,
                len(by_epoch),
            )
            for arm, by_epoch in enumerate(self.sessions(place))
        ]

    def customs(self) -> list[CustomTotals]:
        """Return the custom metrics, numbers before texts."""
        if not self.days:
            return []
        parameters = {**self._codes, "config_key": self._config_key, "names_max": CUSTOM_METRICS_MAX}
        self._session.keep("session_metrics", sql.load("metric_changes"), parameters)
        self._session.add("declared", declared_types(self._settings.metrics))
        numbers = self._session.query(sql.load("number_metrics")).to_pylist()
        texts = self._session.query(sql.load("category_metrics"), {"values_max": CATEGORIES_MAX}).to_pylist()
        return [*self._numbers(numbers), *self._categories(texts)]

    def custom_arms(self, custom: CustomTotals, place: int) -> list[ArmSums]:
        """Return the sums of a custom metric at the end of a day, by arm."""
        is_filled = any(each.name == custom.metric.name and each.missing == "zero" for each in self._settings.metrics)
        arms = []
        for arm, by_epoch in enumerate(self.sessions(place)):
            epochs = []
            for epoch, all_sessions in enumerate(by_epoch):
                given, x, xx = (of[arm, epoch, place] for of in (custom.sessions, custom.x, custom.xx))
                sessions = all_sessions if is_filled else round(float(given))
                epochs.append(RatioSums.for_mean(sessions, float(x), float(xx)) if sessions else RatioSums.empty())
            arms.append(ArmSums(tuple(epochs), sum(sums.sessions for sums in epochs), sum(by_epoch)))
        return arms

    @property
    def _codes(self) -> dict[str, int]:
        return {"days": len(self.days), "epochs": len(self._experiment.epochs), "first_day": self.days[0]}

    @property
    def _config_key(self) -> str | None:
        return self._experiment.key if self._experiment.column == "config_key" else None

    def _new_sums(self) -> _Sums:
        return _Sums(len(self._experiment.arms), len(self._experiment.epochs), len(self.days))

    def _keep_states(self, found: Memberships) -> None:
        session = self._session
        session.add("assigned", found.assigned)
        of_experiment = {"key": self._experiment.key}
        column = self._experiment.column
        session.keep("called", sql.load("exposures_called").format(column=column), of_experiment)
        session.add("members", found.members)
        session.add("entered", found.entered)
        if keep_assigned_models(session, self._experiment):
            session.keep("fallback_days", sql.load("fallback_days"))
        else:
            session.add(
                "fallback_days", pa.table({"number": pa.array([], pa.int32()), "day": pa.array([], pa.int32())})
            )
        success = self._settings.success
        parameters = {**of_experiment, "config_key": self._config_key, "success": success, "first_day": self.days[0]}
        session.keep("session_days", sql.load("session_days").format(column=column), parameters)
        session.keep("session_states", sql.load("session_states"))
        # From here on as if each state were a session.
        session.keep("cohort", sql.load("state_changes"), self._codes)
        session.keep(
            "config_totals", "SELECT state AS session_id, *, unpriced_count = 0 AS is_cost_known FROM session_states"
        )
        session.keep("fallbacks", "SELECT state AS number FROM session_states WHERE fallbacks > 0")
        session.keep("successes", "SELECT state AS session_id FROM session_states WHERE success > 0")
        session.keep(
            "session_totals",
            sql.load("session_totals").format(sessions="cohort"),
            {"success_is_declared": success is not None},
        )

    def _numbers(self, rows: Sequence[dict[str, Any]]) -> list[CustomTotals]:
        by_name: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_name.setdefault(row["name"], []).append(row)
        return [
            self._custom(CustomMetric(name, is_share=all(row["is_share"] for row in of_name)), of_name)
            for name, of_name in by_name.items()
        ]

    def _categories(self, rows: Sequence[dict[str, Any]]) -> list[CustomTotals]:
        by_value: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            given = {"x": row["sessions"], "xx": row["sessions"], "sessions": row["answered"]}
            by_value.setdefault((row["name"], row["value_string"]), []).append({**row, **given})
        return [
            self._custom(CustomMetric(name, is_share=True, category=value), of_value)
            for (name, value), of_value in by_value.items()
        ]

    def _custom(self, metric: CustomMetric, rows: Sequence[dict[str, Any]]) -> CustomTotals:
        sums = self._new_sums()
        for row in rows:
            sums.add({"answered": row["sessions"], **row}, ("sessions", "x", "xx", "answered"))
        total = sums.total()
        return CustomTotals(metric, total["sessions"], total["x"], total["xx"], total["answered"])


def _read_memberships(session: QuerySession, experiment: Experiment, settings: Settings) -> Memberships:
    customers = None
    if experiment.needs_customers:
        customers = session.query(sql.load("session_customers"), {"config_key": experiment.key})
    window = Window(settings.start, settings.ended_at)
    return memberships(experiment, read_exposures(session, experiment), customers, window)
