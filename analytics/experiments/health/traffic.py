"""What the sessions that count called: the models that served each arm, day by day, and its errors of late.

The models come from what was read of each session, the errors from ``session_sums``, which the measures have shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from analytics.experiments.exposure_rows import NO_TIME
from analytics.experiments.model_calls import ModelDaySums
from analytics.experiments.statistics import RatioSums
from storage import sql
from storage.engines.duckdb import QuerySession

MODEL_DAYS_MAX = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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


def read_traffic(session: QuerySession, days: Iterable[ModelDaySums]) -> Traffic:
    """Return what the sessions called, of the most frequent models and days; after the measures are made."""
    # A failed call may not know who would have answered.
    found = [each for each in days if each.calls > each.errors]
    found.sort(key=lambda each: (each.errors - each.calls, each.arm, each.day, each.model))
    models = [
        ModelDay(each.arm, each.day, each.model, each.calls - each.errors, _moment(each))
        for each in sorted(
            found[:MODEL_DAYS_MAX], key=lambda each: (each.arm, each.day, each.errors - each.calls, each.model)
        )
    ]
    return Traffic(models, _recent_errors(session))


def _moment(day: ModelDaySums) -> datetime:
    if day.first_time_us == NO_TIME:
        return datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC)
    return _EPOCH + timedelta(microseconds=day.first_time_us)


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
