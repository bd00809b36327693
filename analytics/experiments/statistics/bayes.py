"""Bayesian figures beside the tests: how likely a treatment is better, and what a wrong choice would cost.

All are normal approximations to a posterior. They hold for the data seen so far; they are no protection against looking
until the answer pleases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analytics.experiments.statistics.estimate import Estimate, Interval, finite, symmetric_interval

# Of the standard deviations around an arm's estimate what is beyond these weighs less than a float can tell.
_REACH = 9.0
_NODES = 2001


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a lift before the data: N(mean, sd²); an infinite sd is a flat prior."""

    mean: float = 0.0
    sd: float = 0.3


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of a lift after the data, N(mean, sd²); the sd is above 0. More is better in its methods."""

    mean: float
    sd: float

    @property
    def chance_to_beat(self) -> float:
        """The probability that the lift is above zero."""
        return float(special.ndtr(self.mean / self.sd))

    @property
    def expected_loss(self) -> float:
        """What shipping loses on average, a lift: E[max(0, −lift)] = s·φ(m/s) − m·Φ(−m/s)."""
        return _expected_loss(self.mean, self.sd)

    @property
    def expected_loss_of_keeping(self) -> float:
        """What keeping the control loses on average, a lift: E[max(0, lift)]."""
        return _expected_loss(-self.mean, self.sd)

    def turned(self) -> Posterior:
        """Return the posterior of the lift with its sign changed, for what is better when lower."""
        return Posterior(-self.mean, self.sd)

    def interval(self, critical_value: float) -> Interval | None:
        """Return the credible interval mean ± c·sd."""
        return symmetric_interval(self.mean, critical_value * self.sd)


def lift_standard_error(control: Estimate, treatment: Estimate) -> float | None:
    """Return the delta-method standard error of (R_B − R_A)/|R_A|; None for a control of zero or without variance."""
    if not control.value or treatment.value is None or control.variance is None or treatment.variance is None:
        return None
    ratio = treatment.value / control.value
    return finite(math.hypot(math.sqrt(treatment.variance), ratio * math.sqrt(control.variance)) / abs(control.value))


def posterior_of_lift(control: Estimate, treatment: Estimate, prior: Prior) -> Posterior | None:
    """Return what to believe of the lift (R_B − R_A)/|R_A|; None where it has no standard error."""
    sd = lift_standard_error(control, treatment)
    if not sd or control.value is None or treatment.value is None:
        return None
    lift = (treatment.value - control.value) / abs(control.value)
    # The root of the share of the data in the mean: 1 for a flat prior. Squared, a wide lift's would not be a float.
    root = 1 / math.hypot(1.0, sd / prior.sd)
    mean = finite(root * (root * lift) + (1 - root * root) * prior.mean)
    return None if mean is None else Posterior(mean, sd * root)


@dataclass(frozen=True, slots=True)
class Chances:
    """One entry an arm: the probability to be the best of all, and the loss on average if it is chosen and is not."""

    to_be_best: tuple[float, ...]
    expected_loss: tuple[float, ...]


def chances_of(values: Sequence[float], standard_errors: Sequence[float], *, lower_is_better: bool = False) -> Chances:
    """Return the chances of independent arms with posteriors N(value, SE²), by one-dimensional quadrature.

    P(j best) = ∫ φ_j(x)·Π_{i≠j} Φ_i(x) dx, and the loss of j is E[max] − E[j]; in the unit of the values. Standard
    errors must be above 0.
    """
    sign = -1.0 if lower_is_better else 1.0
    means, spreads = sign * np.asarray(values, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    steps = np.linspace(-_REACH, _REACH, _NODES)
    density = np.exp(-steps * steps / 2)
    density /= density.sum()
    best, maximum = np.empty(len(means)), 0.0
    for arm, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        points = mean + spread * steps
        wins = density * _others_below(points, means, spreads, arm)
        best[arm] = wins.sum()
        # E[max] − the largest mean, so that no digits are lost where the means dwarf their spreads.
        maximum += float(np.sum(wins * (points - means.max())))
    loss = maximum + means.max() - means
    return Chances(tuple((best / best.sum()).tolist()), tuple(np.maximum(loss, 0.0).tolist()))


def _others_below(
    points: NDArray[np.float64], means: NDArray[np.float64], spreads: NDArray[np.float64], arm: int
) -> NDArray[np.float64]:
    """Return for each point the probability that all arms but ``arm`` are below it."""
    others = np.arange(len(means)) != arm
    scores = (points[:, None] - means[others]) / spreads[others]
    return np.asarray(np.prod(special.ndtr(scores), axis=1), dtype=np.float64)


def _expected_loss(mean: float, sd: float) -> float:
    score = mean / sd
    density = math.exp(-score * score / 2) / math.sqrt(2 * math.pi)
    return max(0.0, sd * density - mean * float(special.ndtr(-score)))
