"""From sums to a metric's entries in the results: one function a kind of metric."""

from collections.abc import Iterator, Sequence
from typing import Any

from analytics.experiments.comparisons import ArmEstimate, Verdicts, compare
from analytics.experiments.measures import ArmSums, CategoryMetric, Measures, NumberMetric, QuantileSums
from analytics.experiments.metrics import QuantileMetric, RatioMetric
from analytics.experiments.statistics import (
    Estimate,
    Interval,
    Proportion,
    QuantileBounds,
    RatioSums,
    critical_value,
    estimate_interval,
    estimate_quantile,
    estimate_ratio,
    quantile_bounds,
    wilson_interval,
)


def ratio_entry(
    metric: RatioMetric, sums: Sequence[ArmSums], calls: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of a ratio or a mean."""
    counted = [(arm.sums, *_coverage(metric, arm, count)) for arm, count in zip(sums, calls, strict=True)]
    arms = [_ratio_arm(*each, verdicts) for each in counted]
    return {
        **_head(metric.name, metric.statistic, metric.estimand, metric.direction, metric.unit),
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, verdicts, method="delta_cluster"),
    }


def quantile_entries(
    metric: QuantileMetric, measures: Measures, calls: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> Iterator[dict[str, Any]]:
    """Yield an entry a quantile."""
    by_arm = measures.quantile_sums(metric)
    c = critical_value(verdicts.alpha)
    bounds = [[quantile_bounds(found.sums, found.probability, c) for found in arm] for arm in by_arm]
    ends = _ends(measures, metric, bounds)
    for place, probability in enumerate(metric.probabilities):
        arms = [
            _quantile_arm(by_arm[arm][place], bounds[arm][place], ends[arm][place], calls[arm], c)
            for arm in range(len(keys))
        ]
        yield {
            **_head(metric.name, f"p{probability * 100:g}", "per_call", metric.direction, metric.unit),
            "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
            "comparisons": compare(keys, arms, verdicts, method="cluster_quantile"),
        }


def number_entry(
    metric: NumberMetric, sessions: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of a custom metric of numbers, or of booleans: the share of sessions that are true."""
    arms = []
    for index, count in enumerate(sessions):
        sums = metric.sums.get(index, RatioSums.empty())
        if metric.is_boolean:
            arms.append(_proportion_arm(round(sums.x), sums.sessions, count, verdicts))
        else:
            arms.append(_ratio_arm(sums, sums.sessions, _share(sums.sessions, count), verdicts))
    statistic, unit = ("proportion", "ratio") if metric.is_boolean else ("mean", None)
    return {
        **_head(metric.name, statistic, "per_session", "neutral", unit),
        "custom": True,
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, verdicts, method="score" if metric.is_boolean else "delta_cluster"),
    }


def category_entry(
    metric: CategoryMetric, sessions: Sequence[int], keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    """Return the entry of one value of a custom metric of text: the share of its sessions that gave it."""
    counts = [metric.counts.get(index, (0, 0)) for index in range(len(keys))]
    arms = [
        _proportion_arm(given, answered, count, verdicts)
        for (given, answered), count in zip(counts, sessions, strict=True)
    ]
    return {
        **_head(metric.name, "proportion", "per_session", "neutral", "ratio"),
        "custom": True,
        "category": metric.value,
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, verdicts, method="score"),
    }


def _ratio_arm(sums: RatioSums, observations: float, coverage: float | None, verdicts: Verdicts) -> ArmEstimate:
    estimate = estimate_ratio(sums)
    interval = estimate_interval(estimate, _critical(estimate, verdicts))
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


def _proportion_arm(successes: int, trials: int, sessions: int, verdicts: Verdicts) -> ArmEstimate:
    proportion = Proportion(successes, trials)
    estimate = estimate_ratio(RatioSums.for_mean(trials, float(successes), float(successes)))
    interval = wilson_interval(proportion, critical_value(verdicts.alpha))
    return ArmEstimate(
        estimate, interval, trials, trials, float(trials), coverage=_share(trials, sessions), proportion=proportion
    )


def _coverage(metric: RatioMetric, arm: ArmSums, calls: int) -> tuple[float, float | None]:
    """Return how many observations the metric has in the arm, and which share of those there could be."""
    if metric.estimand == "per_session":
        return arm.sums.n, _share(arm.sums.n, arm.sums.sessions)
    return arm.observations, _share(arm.observations, calls)


def _critical(estimate: Estimate, verdicts: Verdicts) -> float:
    return critical_value(verdicts.alpha, max(estimate.degrees_of_freedom, 1))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _head(name: str, statistic: str, estimand: str, direction: str, unit: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "statistic": statistic,
        "estimand": estimand,
        "role": "secondary",
        "direction": direction,
        "unit": unit,
    }
