"""What the sessions that count called: the models that served each arm, day by day, and its errors of late.

It is read from ``called``, which ``read_cohort`` leaves in the session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from analytics.experiments.statistics import RatioSums
from storage import sql
from storage.engines.duckdb import QuerySession

MODEL_DAYS_MAX = 20_000

Period = Literal["hour", "day"]
PERIODS: tuple[Period, ...] = ("hour", "day")
"""The shortest first, as in the statement."""


@dataclass(frozen=True, slots=True)
class ModelDay:
    """The successful calls of an arm to a model on a UTC day."""

    arm: int
    day: date
    model: str
    calls: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class RecentErrors:
    """An arm's errors by call over sessions: those that began within the last period of its traffic, and before."""

    arm: int
    period: Period
    since: datetime
    before: RatioSums
    recent: RatioSums


@dataclass(frozen=True, slots=True)
class Traffic:
    """Days in order of time, a day's models by their calls, most first."""

    models: Sequence[ModelDay] = ()
    errors: Sequence[RecentErrors] = ()


def read_traffic(session: QuerySession) -> Traffic:
    """Return what the sessions called, after ``read_cohort``."""
    days = session.query(sql.load("exposures_model_days"), {"rows_max": MODEL_DAYS_MAX}).to_pylist()
    models = [ModelDay(row["arm"], row["date"], row["model"], row["calls"], row["first_time"]) for row in days]
    return Traffic(models, _recent_errors(session))


def _recent_errors(session: QuerySession) -> list[RecentErrors]:
    # What a client with a fast clock says is not the latest.
    rows = session.query(sql.load("exposures_recent_errors"), {"as_of": datetime.now(UTC)}).to_pylist()
    found: dict[tuple[Period, int, datetime], dict[bool, RatioSums]] = {}
    for row in rows:
        sums = RatioSums(row["sessions"], *(float(row[name]) for name in ("x", "xx", "n", "nn", "xn")))
        found.setdefault((row["period"], row["arm"], row["since"]), {})[row["is_recent"]] = sums
    nothing = RatioSums.empty()
    return [
        RecentErrors(arm, period, since, sums.get(False, nothing), sums.get(True, nothing))
        for (period, arm, since), sums in found.items()
    ]
