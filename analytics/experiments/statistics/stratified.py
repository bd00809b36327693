"""Estimates over weight epochs: each epoch is an experiment of its own, and they are combined, never pooled.

When the weights of an experiment change, its arms have their sessions in different parts of its time. Pooled, a slow
Monday that one arm has more of would be its effect (Simpson's paradox). So each arm's figure is the mean of its epochs'
figures, weighted alike for all arms: by w, the epoch's share of the sessions of them all. With Σw = 1 and epoch means
x̄, n̄ over its K sessions, R = Σw·x̄/Σw·n̄ and V = Σw²·s²_e/K/(Σw·n̄)² with e = x − R·n centred within its epoch.

Proportions have the score test of the same weights: Σw(p_B − p_A) over the square root of Σw²·Ṽ, Ṽ being Miettinen's
and Nurminen's restricted variance in the epoch. The weights of Cochran, Mantel and Haenszel would be a little more
powerful where the effect is the same in all epochs; they differ from these where the allocation does, so that the test
would be of another difference than the one that is shown.

One epoch gives exactly what the functions without epochs give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from analytics.experiments.statistics.comparison import Difference
from analytics.experiments.statistics.estimate import Estimate, Interval, finite
from analytics.experiments.statistics.proportion import Proportion, crossing, restricted_variance, score_interval
from analytics.experiments.statistics.quantile import QuantileBounds, bounds_of_share, quantile_bounds
from analytics.experiments.statistics.ratio import estimate_ratio
from analytics.experiments.statistics.student import two_sided_p_value
from analytics.experiments.statistics.sums import RatioSums, is_rounding

SESSIONS_MIN = 2
"""The sessions that each arm compared must have in an epoch for it to count: fewer have no variance."""


def epoch_weights(arms: Sequence[Sequence[int]]) -> list[float]:
    """Return the weight of each epoch, from the sessions of the arms compared: ``arms[arm][epoch]``.

    It is the epoch's share of their sessions, 0 where one of them has too few there; all are 0 where none is left.
    """
    return _normalised([sum(epoch) if min(epoch) >= SESSIONS_MIN else 0 for epoch in zip(*arms, strict=True)])


def arm_weights(arms: Sequence[Sequence[int]], control: int) -> list[list[float]]:
    """Return for each arm the weights of its own figure: by the sessions of all arms, over the epochs that it shares.

    An arm shares an epoch with the control, the control with any other; of two arms, the figures are then those that
    their comparison rests on. An arm that shares none has those of its own, or its largest if all are too small.
    """
    return [_weights_of(arm, list(zip(*arms, strict=True)), control) for arm in range(len(arms))]


def estimate_stratified_ratio(epochs: Sequence[RatioSums], weights: Sequence[float]) -> Estimate:
    """Return an arm's R over its epochs; those of weight 0 are left out.

    The degrees of freedom are Satterthwaite's over the epochs.
    """
    counted = [(sums, weight) for sums, weight in zip(epochs, weights, strict=True) if weight > 0]
    if len(counted) <= 1:
        return estimate_ratio(counted[0][0] if counted else RatioSums.empty())
    if not all(map(_is_finite, epochs)):
        return Estimate.of(None, None)
    x = sum((Fraction(weight) * Fraction(sums.x) / sums.sessions for sums, weight in counted), Fraction(0))
    n = sum((Fraction(weight) * Fraction(sums.n) / sums.sessions for sums, weight in counted), Fraction(0))
    if n <= 0:
        return Estimate.of(None, None)
    value = x / n
    effective = stratified_effective_sessions(epochs, weights)
    if effective is None or effective <= 1:
        return Estimate.of(_float(value), None)
    parts = [(_variance_of_mean(sums, value) * Fraction(weight) ** 2, sums.sessions - 1) for sums, weight in counted]
    variance = sum((part for part, _ in parts), Fraction(0))
    inverse = sum((part * part / freedom for part, freedom in parts), Fraction(0))
    degrees = float(variance * variance / inverse) if inverse else math.inf
    return Estimate.of(_float(value), _float(variance / (n * n)), degrees)


def stratified_effective_sessions(epochs: Sequence[RatioSums], weights: Sequence[float]) -> float | None:
    """Return the sessions of equal weight and size that would weigh as much: (Σu)²/Σu² with u = w·n/K a session."""
    total = squares = 0.0
    for sums, weight in zip(epochs, weights, strict=True):
        if weight > 0 and sums.sessions:
            scale = weight / sums.sessions
            total, squares = total + scale * sums.n, squares + scale * scale * sums.nn
    return finite(total * (total / squares)) if total > 0 and squares > 0 else None


def stratified_quantile_bounds(
    epochs: Sequence[RatioSums], weights: Sequence[float], probability: float, critical_value: float
) -> QuantileBounds:
    """Return where to look for the ends of an arm's quantile in F̂ = Σw·x̄/Σw·n̄, with x = calls at or below q̂.

    q̂ and its ends are to be looked up in that same F̂: each call weighs w/K of its epoch.
    """
    if sum(weight > 0 for weight in weights) == 1:
        (sums,) = (sums for sums, weight in zip(epochs, weights, strict=True) if weight > 0)
        return quantile_bounds(sums, probability, critical_value)
    share = estimate_stratified_ratio(epochs, weights)
    return bounds_of_share(share, stratified_effective_sessions(epochs, weights), probability, critical_value)


Epoch = tuple[Proportion, Proportion]
"""The control's and the treatment's sessions of one epoch."""


def stratified_score_difference(epochs: Sequence[Epoch], weights: Sequence[float]) -> Difference:
    """Return Σw(p_B − p_A) with the score test of no difference in any epoch."""
    counted = _counted(epochs, weights)
    if not counted:
        return Difference("no_data", None, None, math.inf, None, None)
    estimate = _rate_difference(counted)
    standard_error = math.sqrt(_restricted(counted, 0.0))
    if standard_error == 0:
        return Difference("zero_variance", estimate, 0.0, math.inf, None, None)
    statistic = estimate / standard_error
    return Difference("ok", estimate, standard_error, math.inf, statistic, two_sided_p_value(statistic))


def stratified_score_interval(
    epochs: Sequence[Epoch], weights: Sequence[float], critical_value: float
) -> Interval | None:
    """Return the differences, the same in all epochs, that the stratified test does not reject."""
    counted = _counted(epochs, weights)
    if not counted:
        return None
    if len(counted) == 1:
        return score_interval(*counted[0][:2], critical_value)
    estimate = _rate_difference(counted)

    def reach(difference: float) -> float:
        return critical_value * math.sqrt(_restricted(counted, difference))

    return Interval(
        _end(lambda difference: estimate - difference > reach(difference), -1.0, estimate),
        _end(lambda difference: difference - estimate > reach(difference), 1.0, estimate),
    )


def _end(outside: Callable[[float], bool], far: float, near: float) -> float:
    """Return where ``outside`` turns false from ``far`` to ``near``, on the side of 0 on which it must.

    With epochs of a handful of sessions it may turn more than once: the interval is to agree with the test of 0.
    """
    if min(far, near) < 0 < max(far, near):
        far, near = (0.0, near) if outside(0.0) else (far, 0.0)
    return crossing(outside, far, near)


def _weights_of(arm: int, epochs: Sequence[Sequence[int]], control: int) -> list[float]:
    def others(sessions: Sequence[int]) -> list[int]:
        return [count for place, count in enumerate(sessions) if place != arm and control in (place, arm)]

    has_own = [sessions[arm] >= SESSIONS_MIN for sessions in epochs]
    is_shared = [
        has and max(others(sessions), default=0) >= SESSIONS_MIN for has, sessions in zip(has_own, epochs, strict=True)
    ]
    if not any(has_own):
        largest = max(range(len(epochs)), key=lambda epoch: epochs[epoch][arm], default=0)
        return [float(epoch == largest) for epoch in range(len(epochs))]
    taken = is_shared if any(is_shared) else has_own
    return _normalised([sum(sessions) if takes else 0 for takes, sessions in zip(taken, epochs, strict=True)])


def _normalised(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _counted(epochs: Sequence[Epoch], weights: Sequence[float]) -> list[tuple[Proportion, Proportion, float]]:
    return [(*epoch, weight) for epoch, weight in zip(epochs, weights, strict=True) if weight > 0]


def _rate_difference(epochs: Sequence[tuple[Proportion, Proportion, float]]) -> float:
    return math.fsum(weight * ((second.rate or 0.0) - (first.rate or 0.0)) for first, second, weight in epochs)


def _restricted(epochs: Sequence[tuple[Proportion, Proportion, float]], difference: float) -> float:
    return math.fsum(
        weight * weight * restricted_variance(first, second, difference) for first, second, weight in epochs
    )


def _variance_of_mean(sums: RatioSums, value: Fraction) -> Fraction:
    """Return s²_e/K of e = x − R·n in one epoch, whose mean of e is not zero."""
    x, xx, n, nn, xn = map(Fraction, (sums.x, sums.xx, sums.n, sums.nn, sums.xn))
    total = x - value * n
    squares = xx - 2 * value * xn + value * value * nn
    magnitude = xx + 2 * abs(value * xn) + value * value * nn
    centred = squares - total * total / sums.sessions
    if is_rounding(centred, magnitude, sums.sessions):
        return Fraction(0)
    return centred / (sums.sessions * (sums.sessions - 1))


def _is_finite(sums: RatioSums) -> bool:
    return all(map(math.isfinite, (sums.x, sums.xx, sums.n, sums.nn, sums.xn)))


def _float(value: Fraction) -> float | None:
    try:
        return finite(float(value))
    except OverflowError:
        return None
