"""Guardrails: whether a treatment is shown to be at most a margin worse than its control.

Absence of a significant harm is no proof of safety: the hypothesis to reject is that the treatment is worse by the
margin or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy import special

from analytics.experiments.statistics.comparison import Difference, estimate_difference
from analytics.experiments.statistics.estimate import Estimate

Verdict = Literal["pass", "fail", "inconclusive"]
OneSided = Callable[[float, float], float]
"""From a statistic and its degrees of freedom to the p-value against a statistic above zero."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """The test of "worse by ``margin`` or more", a share of the control's figure.

    ``statistic`` is above zero where the treatment is better than the limit; ``p_value`` small shows that it is.
    ``harm_p_value`` small shows that the treatment is worse than the control, by whatever. None without variance.
    """

    margin: float
    statistic: float | None
    degrees_of_freedom: float
    p_value: float | None
    harm_p_value: float | None

    def verdict(self, alpha: float) -> Verdict:
        """Return pass where the margin is excluded, else fail where harm is shown, else inconclusive."""
        if self.p_value is not None and self.p_value < alpha:
            return "pass"
        if self.harm_p_value is not None and self.harm_p_value < alpha:
            return "fail"
        return "inconclusive"


def student_one_sided(statistic: float, degrees_of_freedom: float) -> float:
    """Return P(T ≥ ``statistic``): for one look at a planned end."""
    if math.isinf(degrees_of_freedom):
        return float(special.ndtr(-statistic))
    return float(special.stdtr(degrees_of_freedom, -statistic))


def non_inferiority(
    control: Estimate,
    treatment: Estimate,
    margin: float,
    *,
    lower_is_better: bool,
    one_sided: OneSided = student_one_sided,
) -> NonInferiority:
    """Return t = (R_B − (1+m)R_A)/√(V_B + (1+m)²V_A) with Welch's degrees of freedom, turned where more is better.

    Where more is better the limit is (1−m)R_A; below zero the margin is taken of |R_A|. ``one_sided`` turns the
    statistic into a p-value: Student's, or a confidence sequence's.
    """
    better = -1.0 if lower_is_better else 1.0
    limit = 1 - better * margin * math.copysign(1.0, control.value or 0.0)
    to_limit = estimate_difference(_scaled(control, limit), treatment)
    to_control = estimate_difference(control, treatment)
    return NonInferiority(
        margin,
        None if to_limit.statistic is None else better * to_limit.statistic,
        to_limit.degrees_of_freedom,
        _p_value(to_limit, better, one_sided),
        _p_value(to_control, -better, one_sided),
    )


def _p_value(difference: Difference, sign: float, one_sided: OneSided) -> float | None:
    if difference.statistic is None:
        return None
    return one_sided(sign * difference.statistic, difference.degrees_of_freedom)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    if estimate.value is None or estimate.variance is None:
        return estimate
    return Estimate.of(factor * estimate.value, factor * factor * estimate.variance, estimate.degrees_of_freedom)
