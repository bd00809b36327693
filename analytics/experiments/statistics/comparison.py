"""A treatment against its control: the difference, its test, and the relative lift with Fieller's interval.

Both intervals take the critical value c from the caller: Student's for a fixed horizon, c(N) for a confidence sequence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analytics.experiments.statistics.estimate import Estimate, Interval, Status, finite, symmetric_interval
from analytics.experiments.statistics.student import two_sided_p_value


@dataclass(frozen=True, slots=True)
class Difference:
    """Δ = treatment − control in the metric's unit, with the fixed-horizon Welch test of Δ = 0.

    ``statistic`` is Δ/SE. Where the status is not ok, the statistic and the p-value are None and the degrees of freedom
    infinite; the estimate is there unless there is no data.
    """

    status: Status
    estimate: float | None
    standard_error: float | None
    degrees_of_freedom: float
    statistic: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Lift:
    """(treatment − control)/|control|, a fraction; None for a control of zero, no interval where none is bounded."""

    estimate: float | None
    interval: Interval | None


def estimate_difference(control: Estimate, treatment: Estimate) -> Difference:
    """Return Δ with SE = √(V_A + V_B) and Welch–Satterthwaite degrees of freedom.

    One variant without variance is no obstacle: zero_variance means that neither has any.
    """
    if control.value is None or treatment.value is None:
        return Difference("no_data", None, None, math.inf, None, None)
    estimate = finite(treatment.value - control.value)
    variance = _sum(control.variance, treatment.variance)
    if estimate is None or variance is None:
        return Difference("insufficient_data", estimate, None, math.inf, None, None)
    if variance == 0:
        return Difference("zero_variance", estimate, 0.0, math.inf, None, None)
    standard_error = math.sqrt(variance)
    degrees_of_freedom = _welch_satterthwaite(control, treatment)
    statistic = estimate / standard_error
    p_value = two_sided_p_value(statistic, degrees_of_freedom)
    return Difference("ok", estimate, standard_error, degrees_of_freedom, statistic, p_value)


def difference_interval(difference: Difference, critical_value: float) -> Interval | None:
    """Return Δ ± c·SE, in the metric's unit; None unless the difference is ok."""
    if difference.estimate is None or not difference.standard_error:
        return None
    return symmetric_interval(difference.estimate, critical_value * difference.standard_error)


def estimate_lift(control: Estimate, treatment: Estimate, critical_value: float) -> Lift:
    """Return the relative lift with Fieller's interval for the ratio of two independent estimates.

    With ρ = R_B/R_A and g = c²·V_A/R_A² the interval of ρ is [ρ ± c/|R_A|·√(V_B(1−g) + ρ²V_A)]/(1−g). It excludes no
    lift exactly when Δ ± c·SE excludes 0, so that one p-value serves both. g ≥ 1 means that the control itself is not
    told from zero: the lift is unbounded and has no interval. Fieller (1954).
    """
    if control.value is None or treatment.value is None or control.value == 0:
        return Lift(None, None)
    estimate = finite((treatment.value - control.value) / abs(control.value))
    if estimate is None or not _sum(control.variance, treatment.variance):
        return Lift(estimate, None)
    scale = critical_value / abs(control.value)
    control_width, treatment_width = scale * (control.standard_error or 0.0), scale * (treatment.standard_error or 0.0)
    return Lift(estimate, _fieller(estimate, math.copysign(1.0, control.value), control_width, treatment_width))


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else finite(first + second)


def _welch_satterthwaite(control: Estimate, treatment: Estimate) -> float:
    """Return (V_A+V_B)²/(V_A²/ν_A + V_B²/ν_B), by the shares of the variance so that no square underflows."""
    first, second = control.variance or 0.0, treatment.variance or 0.0
    share = first / (first + second)
    inverse = share * share / control.degrees_of_freedom + (1 - share) * (1 - share) / treatment.degrees_of_freedom
    return 1 / inverse if inverse > 0 else math.inf


def _fieller(lift: float, sign: float, control_width: float, treatment_width: float) -> Interval | None:
    """Return the interval of ``lift``; the widths are c·SE/|R_A|, ``sign`` that of R_A.

    1 is taken off before the division by 1 − g: (ρ ± w)/(1−g) − 1 = (ρ−1+g ± w)/(1−g). Below zero the lift is 1 − ρ.
    """
    g = control_width * control_width
    if not g < 1:
        return None
    ratio = 1 + sign * lift
    width = math.sqrt(treatment_width * treatment_width * (1 - g) + ratio * ratio * g)
    return symmetric_interval((lift + sign * g) / (1 - g), width / (1 - g))
