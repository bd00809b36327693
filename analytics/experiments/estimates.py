"""From sums to a metric's entries in the results: one function a kind of metric."""

from collections.abc import Iterator, Sequence
from typing import Any

from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.figures import Figure, figure_of
from analytics.experiments.measures import ArmSums, CategoryMetric, Measures, NumberMetric, QuantileSums
from analytics.experiments.metrics import QuantileMetric, RatioMetric
from analytics.experiments.statistics import (
    Interval,
    Proportion,
    QuantileBounds,
    RatioSums,
    estimate_interval,
    estimate_quantile,
    estimate_ratio,
    quantile_bounds,
    wilson_interval,
)
from analytics.experiments.verdicts import Verdicts


def ratio_entry(
    metric: RatioMetric, sums: Sequence[ArmSums], calls: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of a ratio or a mean."""
    figure = figure_of(verdicts.settings, metric.name, metric.statistic, metric.estimand, metric.direction)
    sessions = [arm.sums.sessions for arm in sums]
    arms = [
        _ratio_arm(arm.sums, *_coverage(metric, arm, calls[place]), figure, sessions, place, verdicts)
        for place, arm in enumerate(sums)
    ]
    return {
        **_head(figure, metric.unit),
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, figure, verdicts, method="delta_cluster"),
    }


def quantile_entries(
    metric: QuantileMetric, measures: Measures, calls: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> Iterator[dict[str, Any]]:
    """Yield an entry a quantile."""
    by_arm = measures.quantile_sums(metric)
    figures = [
        figure_of(verdicts.settings, metric.name, f"p{probability * 100:g}", "per_call", metric.direction)
        for probability in metric.probabilities
    ]
    sessions = [arm[0].sums.sessions for arm in by_arm]
    c = [[verdicts.arm_critical_value(figure, sessions, arm) for figure in figures] for arm in range(len(by_arm))]
    bounds = [
        [quantile_bounds(found.sums, found.probability, c[arm][place]) for place, found in enumerate(of_arm)]
        for arm, of_arm in enumerate(by_arm)
    ]
    ends = _ends(measures, metric, bounds)
    for place, figure in enumerate(figures):
        arms = [
            _quantile_arm(by_arm[arm][place], bounds[arm][place], ends[arm][place], calls[arm], c[arm][place])
            for arm in range(len(keys))
        ]
        yield {
            **_head(figure, metric.unit),
            "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
            "comparisons": compare(keys, arms, figure, verdicts, method="cluster_quantile"),
        }


def number_entry(
    metric: NumberMetric, sessions: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of a custom metric of numbers, or of booleans: the share of sessions that are true."""
    statistic, unit = ("proportion", "ratio") if metric.is_boolean else ("mean", None)
    figure = figure_of(verdicts.settings, metric.name, statistic, "per_session", "higher_is_better")
    by_arm = [metric.sums.get(index, RatioSums.empty()) for index in range(len(keys))]
    answered = [sums.sessions for sums in by_arm]
    arms = []
    for place, (sums, count) in enumerate(zip(by_arm, sessions, strict=True)):
        if metric.is_boolean:
            arms.append(_proportion_arm(round(sums.x), count, figure, answered, place, verdicts))
        else:
            coverage = _share(sums.sessions, count)
            arms.append(_ratio_arm(sums, sums.sessions, coverage, figure, answered, place, verdicts))
    return {
        **_head(figure, unit),
        "custom": True,
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, figure, verdicts, method="score" if metric.is_boolean else "delta_cluster"),
    }


def category_entry(
    metric: CategoryMetric, sessions: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of one value of a custom metric of text: the share of its sessions that gave it."""
    counts = [metric.counts.get(index, (0, 0)) for index in range(len(keys))]
    figure = figure_of(verdicts.settings, metric.name, "proportion", "per_session", "neutral", metric.value)
    answered = [trials for _, trials in counts]
    arms = [
        _proportion_arm(given, count, figure, answered, place, verdicts)
        for place, ((given, _), count) in enumerate(zip(counts, sessions, strict=True))
    ]
    return {
        **_head(figure, "ratio"),
        "custom": True,
        "category": metric.value,
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, figure, verdicts, method="score"),
    }


def _ratio_arm(
    sums: RatioSums,
    observations: float,
    coverage: float | None,
    figure: Figure,
    sessions: Sequence[int],
    place: int,
    verdicts: Verdicts,
) -> ArmEstimate:
    estimate = estimate_ratio(sums)
    c = verdicts.arm_critical_value(figure, sessions, place, estimate.degrees_of_freedom)
    interval = estimate_interval(estimate, c)
    return ArmEstimate(estimate, interval, sums.sessions, observations, sums.effective_sessions, coverage=coverage)


def _ends(
    measures: Measures, metric: QuantileMetric, bounds: Sequence[Sequence[QuantileBounds]]
) -> list[list[Interval | None]]:
    """Return by arm and probability the ends of the quantile's interval, all looked up at once."""
    wanted = [[end for bound in arm for end in (bound.lower, bound.upper) if end is not None] for arm in bounds]
    found = [iter(values) for values in measures.quantiles(metric.column, wanted)]
    return [
        [None if bound.lower is None else _interval(next(values), next(values)) for bound in arm]
        for arm, values in zip(bounds, found, strict=True)
    ]


def _interval(lower: float | None, upper: float | None) -> Interval | None:
    return None if lower is None or upper is None else Interval(lower, upper)


def _quantile_arm(
    found: QuantileSums, bounds: QuantileBounds, interval: Interval | None, calls: int, c: float
) -> ArmEstimate:
    lower, upper = (interval.lower, interval.upper) if interval else (None, None)
    return ArmEstimate(
        estimate_quantile(found.value, lower, upper, c),
        interval,
        found.sums.sessions,
        found.sums.n,
        found.sums.effective_sessions,
        effective_observations=bounds.effective_observations,
        coverage=_share(found.sums.n, calls),
    )


def _proportion_arm(
    successes: int, sessions: int, figure: Figure, answered: Sequence[int], place: int, verdicts: Verdicts
) -> ArmEstimate:
    trials = answered[place]
    proportion = Proportion(successes, trials)
    estimate = estimate_ratio(RatioSums.for_mean(trials, float(successes), float(successes)))
    interval = wilson_interval(proportion, verdicts.arm_critical_value(figure, answered, place))
    return ArmEstimate(
        estimate, interval, trials, trials, float(trials), coverage=_share(trials, sessions), proportion=proportion
    )


def _coverage(metric: RatioMetric, arm: ArmSums, calls: int) -> tuple[float, float | None]:
    """Return how many observations the metric has in the arm, and which share of those there could be."""
    if metric.estimand == "per_session":
        return arm.sums.n, _share(arm.sums.n, arm.sums.sessions)
    return arm.observations, _share(arm.observations, calls)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _head(figure: Figure, unit: str | None) -> dict[str, Any]:
    return {
        "name": figure.name,
        "statistic": figure.statistic,
        "estimand": figure.estimand,
        "role": figure.role,
        "direction": figure.direction,
        "unit": unit,
    }
