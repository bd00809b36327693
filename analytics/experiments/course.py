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
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohort_reader import read_exposures
from analytics.experiments.cohorts import Window
from analytics.experiments.custom_metrics import CATEGORIES_MAX, CUSTOM_METRICS_MAX, CustomMetric, declared_types
from analytics.experiments.day_sums import NEVER, Days, DaySums, read_day_sums
from analytics.experiments.memberships import Memberships, memberships
from analytics.experiments.metrics import RatioMetric
from analytics.experiments.served_models import is_same_model
from analytics.experiments.session_totals import show_sums, totals_of
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import RatioSums
from analytics.experiments.sums import ArmSums, Expressions, SumColumns
from storage import sql
from storage.engines.duckdb import QuerySession

MODELS_MAX = 10_000
"""The pairs of an arm and a model that are compared by name; those of fewer calls are not."""
LOOKS_MAX = 400
"""Days that are looked at apart: the latest; those before are one look."""
_TOTALS = "(SELECT * FROM steady_totals UNION ALL BY NAME SELECT * FROM several_totals)"
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
        """Read the sums of ratio metrics, all at once; there are none where no day is over."""
        if not self.days:
            return
        expressions = Expressions()
        self._sessions = expressions.alias("count(*)")
        self._columns = {metric: SumColumns.of(metric, expressions) for metric in metrics}
        rows = self._session.query(
            f"SELECT arm, epoch, {expressions} FROM {_TOTALS} GROUP BY arm, epoch"  # noqa: S608 - expressions are the metrics' own
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
        session, experiment, success = self._session, self._experiment, self._settings.success
        since = np.full(len(found.cohort.arms), NEVER, np.int32)
        arms = np.full(len(since), -1, np.int32)
        numbers = found.entered["number"].to_numpy()
        since[numbers], arms[numbers] = found.entered["since"].to_numpy(), found.entered["arm"].to_numpy()
        sums = read_day_sums(session, experiment, found.cohort.index, since, arms)
        session.add("entered", found.entered)
        session.add("called", sums.called)
        session.add("assigned_models", self._assigned_models())
        session.keep("fallback_days", sql.load("fallback_days"))
        session.keep("success_days", sql.load("success_days"), {"config_key": self._config_key, "success": success})
        several = self._several(found, sums)
        self._keep_several(found, sums, several, since)
        show_sums(session, self._steady(found, sums, several), name="steady")

    def _several(self, found: Memberships, sums: DaySums) -> NDArray[np.int32]:
        """Return the numbers of the sessions that are not the same from their first day on."""
        events = self._session.query("SELECT number FROM fallback_days UNION SELECT number FROM success_days")
        numbers = found.members["number"].to_numpy()
        moves = np.flatnonzero(np.bincount(numbers, minlength=len(found.cohort.arms)) > 1)
        leaves = numbers[found.members["until"].is_valid().to_numpy()]
        parts = (events["number"].to_numpy(), sums.others["number"].to_numpy(), moves, leaves)
        return np.unique(np.concatenate(parts)).astype(np.int32)

    def _keep_several(self, found: Memberships, sums: DaySums, several: NDArray[np.int32], since: Days) -> None:
        """Keep the totals of their states, as if each were a session; an epoch stands for an epoch's day."""
        session = self._session
        session.add("day_rows", pa.concat_tables([sums.first_days(several, since), sums.others]))
        session.add("members", found.members.filter(pc.is_in(found.members["number"], pa.array(several))))
        session.keep("session_days", sql.load("session_days"))
        session.keep("session_states", sql.load("session_states"))
        session.keep("cohort", sql.load("state_changes"), self._codes)
        session.keep("config_totals", "SELECT state AS session_id, * FROM session_states")
        session.keep("fallbacks", "SELECT state AS number FROM session_states WHERE fallbacks > 0")
        session.keep("successes", "SELECT state AS session_id FROM session_states WHERE success > 0")
        is_declared = self._settings.success is not None
        session.keep("several_totals", *totals_of("cohort", success_is_declared=is_declared))
        session.add("members", found.members)

    def _steady(self, found: Memberships, sums: DaySums, several: NDArray[np.int32]) -> pa.Table:
        """Return the sums of the others, which are of one state; an epoch stands for an epoch's day."""
        members = found.members.filter(pc.invert(pc.is_in(found.members["number"], pa.array(several))))
        numbers, arm, epoch, since = (members[name].to_numpy() for name in ("number", "arm", "epoch", "since"))
        columns = {
            "number": numbers,
            "arm": arm,
            "epoch": epoch.astype(np.int64) * len(self.days) + since - self.days[0],
            **{name: values[numbers] for name, values in sums.totals.items()},
        }
        if self._settings.success is not None:
            # One that has succeeded is of several states.
            columns["has_succeeded"] = np.zeros(len(numbers), np.bool_)
        return pa.table(columns)

    def _assigned_models(self) -> pa.Table:
        """Return the models called that are those of their arms."""
        pairs = self._session.query(sql.load("exposures_models"), {"pairs_max": MODELS_MAX}).to_pylist()
        models = [arm.model for arm in self._experiment.arms]
        own = [row for row in pairs if (model := models[row["arm"]]) is None or is_same_model(model, row["model"])]
        return pa.Table.from_pylist(own, pa.schema([("arm", pa.int32()), ("model", pa.string())]))

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
