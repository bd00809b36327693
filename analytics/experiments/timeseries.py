"""One figure of an experiment over time: what it had come to by the end of each UTC day, and by now.

Each point is what the results as of its moment say of the figure, by the arms, epochs and primaries of now. Quantiles
and capped means are read anew for each day, the others all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from analytics.experiments.arms import Experiment
from analytics.experiments.as_of import session_of
from analytics.experiments.course import Course
from analytics.experiments.estimates import custom_figure, entry_of_sums, ratio_figure
from analytics.experiments.figures import Figure, Identity, identity_of
from analytics.experiments.looks import RATIOS, day_start
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import log_bayes_factors, sequential_p_value
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Verdicts
from storage.engines.config_rows import ConfigRows
from storage.engines.duckdb import DuckDBEngine

READINGS_MAX = 31
"""Days of a quantile, each of which is a reading of all calls: the latest."""

Results = Callable[[datetime], Mapping[str, Any]]
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The figure that is asked for, and the results as of the last point, of which it is an entry."""

    results: Mapping[str, Any]
    entry: Entry

    @property
    def identity(self) -> Identity:
        """Return what tells the figure from all others."""
        return identity_of(self.entry)

    @property
    def at(self) -> datetime:
        """Return the last point's moment."""
        return datetime.fromisoformat(self.results["experiment"]["as_of"])


def timeseries(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    settings: Settings,
    asked: Asked,
    results_before: Results,
    *,
    rows: ConfigRows | None = None,
) -> dict[str, Any]:
    """Return the figure's course; ``results_before`` are those as of another moment."""
    keys = [arm.key for arm in experiment.arms]
    primaries = sum(entry["role"] == "primary" for entry in asked.results["metrics"])
    verdicts = Verdicts(settings, allowed=False, control=settings.control_index(keys), primaries=max(1, primaries))
    end = day_start(asked.at)
    with session_of(engine, project, experiment, rows=rows, before=end) as session:
        course = Course(session, experiment, settings, end)
        course.read(RATIOS)
        entries = list(_entries(course, settings, asked, keys, verdicts, results_before))
    ratio = dict(zip(course.looks, _sample_ratio(experiment, course), strict=True))
    points = [_point(at, entry, ratio[at]) for at, entry in entries if at < asked.at]
    points.append(_point(asked.at, asked.entry, asked.results["health"]["srm"]["sequential_p"]))
    _add_p_values(points, verdicts)
    name, statistic, estimand, category = asked.identity
    told = {"name": name, "statistic": statistic, "estimand": estimand, "category": category}
    return {
        "experiment": asked.results["experiment"],
        "settings": asked.results["settings"],
        "metric": told | {each: asked.entry[each] for each in ("role", "direction", "unit")},
        "interval": "day",
        "points": points,
        "first_significant_at": {
            comparison["variant"]: comparison["first_significant_at"] for comparison in asked.entry["comparisons"]
        },
    }


def _entries(
    course: Course,
    settings: Settings,
    asked: Asked,
    keys: Sequence[str],
    verdicts: Verdicts,
    results_before: Results,
) -> Iterator[tuple[datetime, Entry]]:
    """Yield the figure's entry at each look."""
    found = _of_course(course, settings, asked.identity)
    if found is None:
        for at in course.looks[-READINGS_MAX:]:
            same = (each for each in results_before(at)["metrics"] if identity_of(each) == asked.identity)
            # Before its first value a custom metric is none.
            if (entry := next(same, None)) is not None:
                yield at, entry
        return
    figure, arms_at = found
    for place, at in enumerate(course.looks):
        yield at, entry_of_sums(figure, asked.entry["unit"], arms_at(place), keys, verdicts)


def _of_course(
    course: Course, settings: Settings, identity: Identity
) -> tuple[Figure, Callable[[int], Sequence[ArmSums]]] | None:
    """Return the figure and its sums at a look; None where they take a reading of their own."""
    for metric in RATIOS:
        if (figure := ratio_figure(metric, settings)).identity == identity:
            return figure, partial(course.ratio_arms, metric)
    for custom in course.customs():
        if (figure := custom_figure(custom.metric, settings)).identity == identity:
            return figure, partial(course.custom_arms, custom)
    return None


def _sample_ratio(experiment: Experiment, course: Course) -> list[float]:
    """Return the sequential p of the sample ratio at each look: the least until then."""
    if not course.days:
        return []
    counts = np.array([course.sessions(place) for place in range(len(course.days))])
    factors = sum(log_bayes_factors(counts[:, :, place], epoch.shares) for place, epoch in enumerate(experiment.epochs))
    return [sequential_p_value([greatest]) for greatest in np.maximum.accumulate(factors).tolist()]


def _point(at: datetime, entry: Entry, srm_p: float) -> dict[str, Any]:
    told = ("variant", "vs", "status", "difference", "lift", "p_value", "enough_data", "sessions")
    return {
        "at": at.isoformat(),
        "variants": entry["variants"],
        "comparisons": [{name: each[name] for name in told} for each in entry["comparisons"]],
        "srm": {"sequential_p": srm_p},
    }


def _add_p_values(points: Sequence[dict[str, Any]], verdicts: Verdicts) -> None:
    """Give each comparison the p of its own look, and the least of it and of the looks before it that count."""
    least: dict[str, float] = {}
    for point in points:
        for comparison in point["comparisons"]:
            own = _p_value(comparison, verdicts)
            before = least.get(comparison["variant"])
            known = [p_value for p_value in (own, before) if p_value is not None]
            comparison["p_value"], comparison["p_value_min"] = own, min(known, default=None)
            if own is not None and comparison["enough_data"]:
                least[comparison["variant"]] = min(known)


def _p_value(comparison: Mapping[str, Any], verdicts: Verdicts) -> float | None:
    difference, standard_error = comparison["difference"]["estimate"], comparison["difference"]["se"]
    if not verdicts.is_sequential or difference is None or not standard_error:
        return None
    return verdicts.sequence.p_value(difference / standard_error, comparison["sessions"])
