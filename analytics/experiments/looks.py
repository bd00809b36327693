"""The looks at an experiment before the present one: at the end of each UTC day, so that they depend on the rows alone.

Whoever looked, and when, says nothing: the same rows give the same looks, also late ones. A look counts from 100
sessions an arm on, since the sequences are asymptotic. Quantiles and capped means are not among them: they take a
reading of all calls for each day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from analytics.experiments.arms import Experiment
from analytics.experiments.as_of import session_of
from analytics.experiments.comparisons import p_value_of_look
from analytics.experiments.course import Course, CustomTotals
from analytics.experiments.estimates import arm_estimates, custom_figure, ratio_figure
from analytics.experiments.figures import Figure, Identity
from analytics.experiments.metrics import METRICS, RatioMetric
from analytics.experiments.settings import Settings
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Look, Past, Pasts, Verdicts
from storage.engines.config_rows import ConfigRows
from storage.engines.duckdb import DuckDBEngine

RATIOS = tuple(metric for metric in METRICS if isinstance(metric, RatioMetric))


def day_start(moment: datetime) -> datetime:
    """Return the start of the moment's UTC day: the end of the last day that is over."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def past_looks(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    settings: Settings,
    before: datetime,
    *,
    rows: ConfigRows | None = None,
) -> Pasts:
    """Return what the looks saw at the end of each day that was over before a moment."""
    if settings.inference != "sequential":
        return {}
    end = day_start(before)
    with session_of(engine, project, experiment, rows=rows, before=end) as session:
        course = Course(session, experiment, settings, end)
        if not course.days:
            return {}
        course.read(RATIOS)
        customs = course.customs()
    found: dict[tuple[Identity, str], list[Look]] = {}
    keys = [arm.key for arm in experiment.arms]
    verdicts = Verdicts(settings, allowed=False, control=settings.control_index(keys))
    for place, at in enumerate(course.looks):
        for figure, arms in _figures(course, customs, settings, place):
            for key, p_value in _p_values(figure, arms, keys, verdicts):
                found.setdefault((figure.identity, key), []).append(Look(at, p_value))
    return {comparison: Past(tuple(looks)) for comparison, looks in found.items()}


def _figures(
    course: Course, customs: Sequence[CustomTotals], settings: Settings, place: int
) -> Iterator[tuple[Figure, list[ArmSums]]]:
    for metric in RATIOS:
        yield ratio_figure(metric, settings), course.ratio_arms(metric, place)
    for custom in customs:
        yield custom_figure(custom.metric, settings), course.custom_arms(custom, place)


def _p_values(
    figure: Figure, arms: Sequence[ArmSums], keys: Sequence[str], verdicts: Verdicts
) -> Iterator[tuple[str, float]]:
    made = arm_estimates(figure, arms, verdicts)
    for place, (key, arm) in enumerate(zip(keys, made, strict=True)):
        if place != verdicts.control:
            p_value = p_value_of_look(made[verdicts.control], arm, verdicts)
            if p_value is not None:
                yield key, p_value
