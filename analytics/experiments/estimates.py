"""From sums to a metric's entries in the results: one function a kind of figure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from analytics.experiments.call_quantiles import CallQuantiles, QuantileSums
from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.custom_metrics import CustomMetric, CustomMetrics
from analytics.experiments.figures import Figure, figure_of
from analytics.experiments.metrics import Direction, QuantileMetric, RatioMetric
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import (
    Interval,
    Proportion,
    QuantileBounds,
    arm_weights,
    estimate_interval,
    estimate_quantile,
    estimate_stratified_ratio,
    stratified_effective_sessions,
    stratified_quantile_bounds,
    wilson_interval,
)
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Verdicts


def ratio_figure(metric: RatioMetric, settings: Settings) -> Figure:
    """Return what a ratio metric measures, with the part that it plays in the experiment."""
    if metric.statistic == "capped_mean":
        plain = figure_of(settings, metric.name, "mean", metric.estimand, metric.direction)
        return beside_of(plain, metric.statistic, settings)
    return figure_of(settings, metric.name, metric.statistic, metric.estimand, metric.direction)


def quantile_figures(metric: QuantileMetric, settings: Settings) -> list[Figure]:
    """Return likewise those of a metric's quantiles."""
    return [
        figure_of(settings, metric.name, f"p{probability * 100:g}", "per_call", metric.direction)
        for probability in metric.probabilities
    ]


def custom_figure(metric: CustomMetric, settings: Settings) -> Figure:
    """Return likewise that of a custom metric."""
    statistic = "proportion" if metric.is_share else "mean"
    # Of a text nobody can tell which value is the better one, unless it is declared.
    direction: Direction = "neutral" if metric.category is not None else "higher_is_better"
    return figure_of(settings, metric.name, statistic, "per_session", direction, metric.category)


def beside_of(figure: Figure, statistic: str, settings: Settings) -> Figure:
    """Return the figure that stands beside another one: secondary, unless it is itself declared to be more."""
    declared = settings.of(figure.name, statistic, figure.estimand, figure.category)
    role = declared.role if declared.statistic == statistic and declared.role else "secondary"
    return replace(figure, statistic=statistic, role=role, margin=figure.margin if role == "guardrail" else None)


def ratio_entry(
    metric: RatioMetric, arms: Sequence[ArmSums], keys: Sequence[str], verdicts: Verdicts, **more: Any
) -> dict[str, Any]:
    """Return the entry of a ratio, a mean or a share of sessions; ``more`` are fields of its own."""
    figure = ratio_figure(metric, verdicts.settings)
    return entry_of_sums(figure, metric.unit, arms, keys, verdicts, **more)


def quantile_entries(
    metric: QuantileMetric, quantiles: CallQuantiles, keys: Sequence[str], verdicts: Verdicts
) -> Iterator[dict[str, Any]]:
    """Yield an entry a quantile."""
    by_arm = quantiles.sums(metric, verdicts.control)
    figures = quantile_figures(metric, verdicts.settings)
    sessions = [of_arm[0].arm.sessions for of_arm in by_arm]
    c = [[verdicts.arm_critical_value(figure, sessions, arm) for figure in figures] for arm in range(len(keys))]
    bounds = [
        [
            stratified_quantile_bounds(found.arm.epochs, found.weights, found.probability, c[arm][place])
            for place, found in enumerate(of_arm)
        ]
        for arm, of_arm in enumerate(by_arm)
    ]
    ends = _ends(quantiles, metric, bounds, verdicts.control)
    for place, figure in enumerate(figures):
        arms = [
            _quantile_arm(by_arm[arm][place], bounds[arm][place], ends[arm][place], c[arm][place])
            for arm in range(len(keys))
        ]
        yield entry(figure, metric.unit, arms, keys, verdicts, method="cluster_quantile")


def custom_entries(
    metric: CustomMetric, custom: CustomMetrics, keys: Sequence[str], verdicts: Verdicts
) -> Iterator[dict[str, Any]]:
    """Yield the entry of a custom metric, or of one value of it, and that of its capped mean where one is declared."""
    figure, unit = custom_figure(metric, verdicts.settings), "ratio" if metric.is_share else None
    more: dict[str, Any] = {"custom": True} | ({} if metric.category is None else {"category": metric.category})
    response = response_rate(custom.responses(metric), keys, verdicts)
    yield entry_of_sums(figure, unit, custom.arms(metric), keys, verdicts, **more, response_rate=response)
    quantile = verdicts.settings.of(*figure.identity).cap
    cut = None if quantile is None or metric.is_share else custom.capped(metric, quantile)
    if cut is not None:
        beside = beside_of(figure, "capped_mean", verdicts.settings)
        cap = {"quantile": quantile, "value": cut[1]}
        yield entry_of_sums(beside, unit, custom.arms(cut[0]), keys, verdicts, **more, cap=cap)


def response_rate(arms: Sequence[ArmSums], keys: Sequence[str], verdicts: Verdicts) -> dict[str, Any]:
    """Return the share of sessions that gave a custom metric at all, by arm, compared.

    Where it differs, those who answered are no like samples, and the metric's own comparison says less than it seems.
    """
    figure = Figure("response_rate", "proportion", "per_session")
    made = entry_of_sums(figure, "ratio", arms, keys, verdicts)
    for comparison in made["comparisons"]:
        p_value = comparison["p_value"] if comparison["p_value"] is not None else comparison["p_value_fixed"]
        comparison["differs"] = p_value is not None and p_value < verdicts.settings.alpha
    told = ("variant", "vs", "status", "difference", "p_value", "p_value_fixed", "differs", "method")
    return {
        "variants": made["variants"],
        "comparisons": [{name: comparison[name] for name in told} for comparison in made["comparisons"]],
    }


def entry_of_sums(
    figure: Figure,
    unit: str | None,
    arms: Sequence[ArmSums],
    keys: Sequence[str],
    verdicts: Verdicts,
    *,
    method: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the entry of a figure that sums tell: by the score test where it is a share of sessions.

    ``method`` is told instead of that, where the sums are not those of the sessions as they are.
    """
    made = arm_estimates(figure, arms, verdicts)
    own = "score" if figure.statistic == "proportion" else "delta_cluster"
    return entry(figure, unit, made, keys, verdicts, method=method or own, **more)


def arm_estimates(figure: Figure, arms: Sequence[ArmSums], verdicts: Verdicts) -> list[ArmEstimate]:
    """Return the arms' figures with their intervals, from their sums."""
    estimate = _proportion_arm if figure.statistic == "proportion" else _ratio_arm
    sessions = [arm.sessions for arm in arms]
    weights = arm_weights([[sums.sessions for sums in arm.epochs] for arm in arms], verdicts.control)
    return [estimate(figure, arm, weights[place], sessions, place, verdicts) for place, arm in enumerate(arms)]


def entry(
    figure: Figure,
    unit: str | None,
    arms: Sequence[ArmEstimate],
    keys: Sequence[str],
    verdicts: Verdicts,
    *,
    method: str,
    **more: Any,
) -> dict[str, Any]:
    """Return a figure's entry in the results."""
    return {
        "name": figure.name,
        "statistic": figure.statistic,
        "estimand": figure.estimand,
        "role": figure.role,
        "direction": figure.direction,
        "unit": unit,
        **more,
        "variants": [arm.to_json(key) for arm, key in zip(arms, keys, strict=True)],
        "comparisons": compare(keys, arms, figure, verdicts, method=method),
    }


def _ratio_arm(
    figure: Figure, arm: ArmSums, weights: Sequence[float], sessions: Sequence[int], place: int, verdicts: Verdicts
) -> ArmEstimate:
    estimate = estimate_stratified_ratio(arm.epochs, weights)
    c = verdicts.arm_critical_value(figure, sessions, place, estimate.degrees_of_freedom)
    return ArmEstimate(
        estimate,
        estimate_interval(estimate, c),
        arm.sessions,
        arm.observations,
        stratified_effective_sessions(arm.epochs, weights),
        coverage=arm.coverage,
        epochs=arm.epochs,
    )


def _proportion_arm(
    figure: Figure, arm: ArmSums, weights: Sequence[float], sessions: Sequence[int], place: int, verdicts: Verdicts
) -> ArmEstimate:
    proportion = Proportion(round(sum(sums.x for sums in arm.epochs)), arm.sessions)
    estimate = estimate_stratified_ratio(arm.epochs, weights)
    c = verdicts.arm_critical_value(figure, sessions, place)
    # Over epochs the share is a weighted mean, of which Wilson's interval knows nothing.
    is_one = len(arm.epochs) == 1
    return ArmEstimate(
        estimate,
        wilson_interval(proportion, c) if is_one else estimate_interval(estimate, c),
        proportion.trials,
        proportion.trials,
        stratified_effective_sessions(arm.epochs, weights) if proportion.trials else 0.0,
        coverage=arm.coverage,
        proportion=proportion,
        epochs=arm.epochs,
    )


def _ends(
    quantiles: CallQuantiles, metric: QuantileMetric, bounds: Sequence[Sequence[QuantileBounds]], control: int
) -> list[list[Interval | None]]:
    """Return by arm and probability the ends of the quantile's interval, all looked up at once."""
    wanted = [[end for bound in arm for end in (bound.lower, bound.upper) if end is not None] for arm in bounds]
    found = [iter(values) for values in quantiles.values(metric.column, wanted, control)]
    return [
        [None if bound.lower is None else _interval(next(values), next(values)) for bound in arm]
        for arm, values in zip(bounds, found, strict=True)
    ]


def _interval(lower: float | None, upper: float | None) -> Interval | None:
    return None if lower is None or upper is None else Interval(lower, upper)


def _quantile_arm(found: QuantileSums, bounds: QuantileBounds, interval: Interval | None, c: float) -> ArmEstimate:
    lower, upper = (interval.lower, interval.upper) if interval else (None, None)
    return ArmEstimate(
        estimate_quantile(found.value, lower, upper, c),
        interval,
        found.arm.sessions,
        found.arm.observations,
        stratified_effective_sessions(found.arm.epochs, found.weights),
        effective_observations=bounds.effective_observations,
        coverage=found.arm.coverage,
    )
