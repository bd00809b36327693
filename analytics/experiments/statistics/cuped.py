"""CUPED: an estimate less what was foreseeable from a covariate that was known before the assignment.

Theory of operation. Each session's x becomes x − θ·(p − centre): the same mean in an experiment, and less variance by
the share that p explains. θ = cov(y, p)/var(p) with y = x − R·n is one for all arms, so that no arm's luck adjusts
itself; the centre is the mean of p over the sessions of all arms. What comes out are sums like those that went in, of
which every estimate, comparison and interval is made as of any others. Over weight epochs the centre is each epoch's
own, since the sessions of one are like those of no other, and θ is the slope within the epochs, all together: one of a
handful of sessions must not have a slope of its own. Deng, Xu, Kohavi and Walker (2013); Deng, Knoblich and Lu (2018)
for ratios.

What the treatment may have changed (calls, output tokens) is no covariate: adjusting for it takes the effect away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.statistics.sums import RatioSums, is_rounding


@dataclass(frozen=True, slots=True)
class CovariateSums:
    """Sums of the covariate p over the sessions of which the figure is known: their number, Σp, Σp², Σxp, Σpn.

    They are among the sessions of the ``RatioSums`` beside them; the others have x = n = 0.
    """

    sessions: float
    p: float
    pp: float
    xp: float
    pn: float

    @classmethod
    def empty(cls) -> CovariateSums:
        """Return the sums over no session, which add nothing."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def for_mean(cls, sessions: float, p: float, pp: float, xp: float) -> CovariateSums:
        """Return the sums beside those of a mean over sessions, where each session's denominator is 1."""
        return cls(sessions, p, pp, xp, p)

    @classmethod
    def from_sessions(cls, x: NDArray[np.float64], n: NDArray[np.float64], p: NDArray[np.float64]) -> CovariateSums:
        """Return the sums of ``x``, ``n`` and ``p``, all of shape (K,), one entry a session."""
        return cls(len(p), float(np.sum(p)), float(np.sum(p * p)), float(np.sum(x * p)), float(np.sum(n * p)))

    def __add__(self, other: CovariateSums) -> CovariateSums:
        return CovariateSums(
            self.sessions + other.sessions,
            self.p + other.p,
            self.pp + other.pp,
            self.xp + other.xp,
            self.pn + other.pn,
        )


Arm = Sequence[tuple[RatioSums, CovariateSums]]
"""An arm's sums, one pair a weight epoch."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """θ, in units of x per unit of p, the value of p that each epoch is moved to, and the sums by arm and epoch."""

    theta: float
    centres: tuple[float, ...]
    arms: tuple[tuple[RatioSums, ...], ...]


def adjust_by_covariate(arms: Sequence[Arm], *, centre: float | None = None) -> Adjustment | None:
    """Return the arms' sums adjusted to p = ``centre``, if None to each epoch's mean of p over all arms.

    None where the covariate has no variance within an epoch, or the figure no value: the plain figure is then all there
    is.
    """
    if not all(_is_finite(*each) for arm in arms for each in arm):
        return None
    epochs = [_together(epoch) for epoch in zip(*arms, strict=True)]
    theta = _slope(epochs)
    if theta is None:
        return None
    centres = [_mean(covariate) if centre is None else Fraction(centre) for _, covariate in epochs]
    moved = tuple(tuple(_moved(*each, theta, at) for each, at in zip(arm, centres, strict=True)) for arm in arms)
    if not all(_is_finite(sums, CovariateSums.empty()) for arm in moved for sums in arm):
        return None
    return Adjustment(float(theta), tuple(map(float, centres)), moved)


def _together(pairs: Arm) -> tuple[RatioSums, CovariateSums]:
    sums, covariates = zip(*pairs, strict=True)
    return sum(sums, RatioSums.empty()), sum(covariates, CovariateSums.empty())


def _slope(epochs: Arm) -> Fraction | None:
    """Return θ; y = x − R·n with the R of all, and y and p each less its mean in the epoch."""
    counted = [(sums, covariate) for sums, covariate in epochs if covariate.sessions]
    n = sum((Fraction(sums.n) for sums, _ in counted), Fraction(0))
    if n <= 0:
        return None
    value = sum((Fraction(sums.x) for sums, _ in counted), Fraction(0)) / n
    products = squares = Fraction(0)
    for sums, covariate in counted:
        mean, pp = _mean(covariate), Fraction(covariate.pp)
        centred = pp - mean * Fraction(covariate.p)
        if not is_rounding(centred, pp, sums.sessions):
            y = Fraction(sums.x) - value * Fraction(sums.n)
            products += Fraction(covariate.xp) - value * Fraction(covariate.pn) - mean * y
            squares += centred
    return products / squares if squares else None


def _moved(sums: RatioSums, covariate: CovariateSums, theta: Fraction, centre: Fraction) -> RatioSums:
    """Return the sums with x − θ·(p − centre) in the place of x, for the sessions whose p counts."""
    x, xx, n, nn, xn = map(Fraction, (sums.x, sums.xx, sums.n, sums.nn, sums.xn))
    sessions, p, pp, xp, pn = map(Fraction, (covariate.sessions, covariate.p, covariate.pp, covariate.xp, covariate.pn))
    moved_x = x - theta * (p - centre * sessions)
    moved_xn = xn - theta * (pn - centre * n)
    moved_xx = xx - 2 * theta * (xp - centre * x) + theta * theta * (pp - 2 * centre * p + centre * centre * sessions)
    if n > 0:
        # Where p foresees all of x, what is left of the squares is the rounding of far larger ones.
        value = moved_x / n
        foreseen = 2 * value * moved_xn - value * value * nn
        magnitude = xx + theta * theta * (pp + centre * centre * sessions) + value * value * nn
        if is_rounding(moved_xx - foreseen, magnitude, sums.sessions):
            moved_xx = foreseen
    return RatioSums(sums.sessions, _float(moved_x), _float(moved_xx), sums.n, sums.nn, _float(moved_xn))


def _mean(covariate: CovariateSums) -> Fraction:
    return Fraction(covariate.p) / Fraction(covariate.sessions) if covariate.sessions else Fraction(0)


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_finite(sums: RatioSums, covariate: CovariateSums) -> bool:
    numbers = (sums.x, sums.xx, sums.n, sums.nn, sums.xn, covariate.p, covariate.pp, covariate.xp, covariate.pn)
    return all(map(math.isfinite, numbers))
