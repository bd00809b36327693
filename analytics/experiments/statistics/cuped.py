"""CUPED: an estimate less what was foreseeable from a covariate that was known before the assignment.

The adjusted residual y − θ·(p − centre) has the same mean in an experiment, and less variance by the share that p
explains. θ = cov(y, p)/var(p) over the sessions of all arms together is one for them all, so that no arm's luck adjusts
itself. For a ratio y = x − R·n is the linearised numerator, n its denominator; a mean is the case n = 1. Deng, Xu,
Kohavi and Walker (2013); Deng, Knoblich and Lu (2018) for ratios.

What the treatment may have changed (calls, output tokens) is no covariate: adjusting for it takes the effect away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.statistics.estimate import Estimate, finite
from analytics.experiments.statistics.ratio import estimate_ratio
from analytics.experiments.statistics.sums import RatioSums, is_rounding


@dataclass(frozen=True, slots=True)
class CovariateSums:
    """Sums over the same K sessions as the ``RatioSums`` beside them, of the covariate p: Σp, Σp², Σxp, Σpn."""

    p: float
    pp: float
    xp: float
    pn: float

    @classmethod
    def for_mean(cls, p: float, pp: float, xp: float) -> CovariateSums:
        """Return the sums beside those of a mean over sessions, where each session's denominator is 1."""
        return cls(p, pp, xp, p)

    @classmethod
    def from_sessions(cls, x: NDArray[np.float64], n: NDArray[np.float64], p: NDArray[np.float64]) -> CovariateSums:
        """Return the sums of ``x``, ``n`` and ``p``, all of shape (K,), one entry a session."""
        return cls(float(np.sum(p)), float(np.sum(p * p)), float(np.sum(x * p)), float(np.sum(n * p)))

    def __add__(self, other: CovariateSums) -> CovariateSums:
        return CovariateSums(self.p + other.p, self.pp + other.pp, self.xp + other.xp, self.pn + other.pn)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """θ, in units of x per unit of p, the value of p that all arms are moved to, and the arms' adjusted estimates.

    ``variance_reduction`` is the share of the variance, summed over the arms, that the covariate explains.
    """

    theta: float
    centre: float
    estimates: tuple[Estimate, ...]
    variance_reduction: float | None


def adjust_by_covariate(
    sums: Sequence[RatioSums], covariates: Sequence[CovariateSums], *, centre: float | None = None
) -> Adjustment | None:
    """Return the arms' estimates adjusted to p = ``centre``, the mean of p over all their sessions if None.

    None where the covariate has no variance, or an arm no estimate with one: the plain figure is then all there is.
    """
    plain = [estimate_ratio(each) for each in sums]
    if any(estimate.variance is None for estimate in plain) or not _are_finite(covariates):
        return None
    moments = [_Moments.of(*each) for each in zip(sums, covariates, strict=True)]
    together = _Moments.of(sum(sums, RatioSums.empty()), sum(covariates, CovariateSums(0.0, 0.0, 0.0, 0.0)))
    if together.pp == 0:
        return None
    theta = together.yp / together.pp
    if centre is None:
        centre = math.fsum(each.p for each in covariates) / sum(each.sessions for each in sums)
    estimates = tuple(_adjusted(each, theta, Fraction(centre)) for each in moments)
    before = math.fsum(estimate.variance or 0.0 for estimate in plain)
    after = math.fsum(estimate.variance or 0.0 for estimate in estimates)
    return Adjustment(float(theta), centre, estimates, 1 - after / before if before > 0 else None)


@dataclass(frozen=True, slots=True)
class _Moments:
    """An arm's sessions, ratio and totals, and the centred sums of squares and products of y and p."""

    sessions: int
    value: Fraction
    n: Fraction
    p: Fraction
    yy: Fraction
    yp: Fraction
    pp: Fraction

    @classmethod
    def of(cls, sums: RatioSums, covariate: CovariateSums) -> _Moments:
        x, xx, n, nn, xn = map(Fraction, (sums.x, sums.xx, sums.n, sums.nn, sums.xn))
        p, pp, xp, pn = map(Fraction, (covariate.p, covariate.pp, covariate.xp, covariate.pn))
        value = x / n
        centred = pp - p * p / sums.sessions
        # Σy = 0, so that neither Σy² nor Σyp needs centring.
        return cls(
            sums.sessions,
            value,
            n,
            p,
            max(Fraction(0), xx - 2 * value * xn + value * value * nn),
            xp - value * pn,
            Fraction(0) if is_rounding(centred, pp, sums.sessions) else centred,
        )


def _adjusted(arm: _Moments, theta: Fraction, centre: Fraction) -> Estimate:
    mean = arm.n / arm.sessions
    value = arm.value - theta * (arm.p / arm.sessions - centre) / mean
    residual = max(Fraction(0), arm.yy - 2 * theta * arm.yp + theta * theta * arm.pp)
    variance = residual * arm.sessions / ((arm.sessions - 1) * arm.n * arm.n)
    return Estimate.of(_float(value), _float(variance), arm.sessions - 1)


def _float(value: Fraction) -> float | None:
    try:
        return finite(float(value))
    except OverflowError:
        return None


def _are_finite(covariates: Sequence[CovariateSums]) -> bool:
    return all(math.isfinite(value) for each in covariates for value in (each.p, each.pp, each.xp, each.pn))
