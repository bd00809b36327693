"""Proportions of sessions: the Miettinen–Nurminen score test and interval of a difference, with Newcombe's as a check.

For what each session either did or did not (converted). Errors per call are a ratio, not a proportion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from analytics.experiments.statistics.comparison import Difference
from analytics.experiments.statistics.estimate import Interval
from analytics.experiments.statistics.student import two_sided_p_value


@dataclass(frozen=True, slots=True)
class Proportion:
    """``successes`` out of ``trials`` sessions; raises ValueError where that cannot be."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"successes: 0 to {self.trials} (trials) expected, got {self.successes}")

    @property
    def rate(self) -> float | None:
        """The successes per trial, in [0, 1]; None without a trial."""
        return self.successes / self.trials if self.trials else None


def score_difference(control: Proportion, treatment: Proportion) -> Difference:
    """Return the difference of rates with the score test of no difference.

    The standard error is the one under the hypothesis, √(p̃(1−p̃)(1/n_A + 1/n_B)·N/(N−1)) with the pooled rate p̃; the
    normal distribution applies. zero_variance where all sessions, or none, are successes.
    """
    if control.rate is None or treatment.rate is None:
        return Difference("no_data", None, None, math.inf, None, None)
    estimate = treatment.rate - control.rate
    standard_error = math.sqrt(restricted_variance(control, treatment, 0.0))
    if standard_error == 0:
        return Difference("zero_variance", estimate, 0.0, math.inf, None, None)
    statistic = estimate / standard_error
    return Difference("ok", estimate, standard_error, math.inf, statistic, two_sided_p_value(statistic))


def score_interval(control: Proportion, treatment: Proportion, critical_value: float) -> Interval | None:
    """Return the differences δ of rates that the score test with |z(δ)| ≤ c does not reject; None without a trial.

    Miettinen and Nurminen (1985), "Comparative analysis of two rates". It excludes 0 exactly when |z(0)| > c.
    """
    if control.rate is None or treatment.rate is None:
        return None
    estimate = treatment.rate - control.rate

    def reach(difference: float) -> float:
        return critical_value * math.sqrt(restricted_variance(control, treatment, difference))

    return Interval(
        crossing(lambda difference: estimate - difference > reach(difference), -1.0, estimate),
        crossing(lambda difference: difference - estimate > reach(difference), 1.0, estimate),
    )


def wilson_interval(proportion: Proportion, critical_value: float) -> Interval | None:
    """Return Wilson's score interval of one rate; None without a trial."""
    if proportion.rate is None:
        return None
    rate, trials, square = proportion.rate, proportion.trials, critical_value * critical_value
    centre = (rate + square / (2 * trials)) / (1 + square / trials)
    spread = math.sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    width = critical_value * spread / (1 + square / trials)
    return Interval(max(0.0, centre - width), min(1.0, centre + width))


def newcombe_interval(control: Proportion, treatment: Proportion, critical_value: float) -> Interval | None:
    """Return Newcombe's hybrid score interval (1998, method 10) of the difference of rates; None without a trial.

    Close to the Miettinen–Nurminen interval from different algebra: a check on it.
    """
    first, second = wilson_interval(control, critical_value), wilson_interval(treatment, critical_value)
    if first is None or second is None or control.rate is None or treatment.rate is None:
        return None
    estimate = treatment.rate - control.rate
    return Interval(
        estimate - math.hypot(treatment.rate - second.lower, first.upper - control.rate),
        estimate + math.hypot(second.upper - treatment.rate, control.rate - first.lower),
    )


def restricted_variance(control: Proportion, treatment: Proportion, difference: float) -> float:
    """Return the variance of the estimated difference were the true one ``difference``, with the factor N/(N−1)."""
    total = control.trials + treatment.trials
    first = _restricted_rate(control, treatment, difference)
    second = min(1.0, max(0.0, first + difference))
    variance = first * (1 - first) / control.trials + second * (1 - second) / treatment.trials
    return variance * total / (total - 1)


def _restricted_rate(control: Proportion, treatment: Proportion, difference: float) -> float:
    """Return the control's likeliest rate if the treatment's is ``difference`` more: a root of a cubic, in closed form.

    The variance from it is right to about 1e-6 up to a million trials an arm, however rare the successes.
    """
    total, successes = control.trials + treatment.trials, control.successes + treatment.successes
    if difference == 0:
        return successes / total
    square = ((total + control.trials) * difference - total - successes) / (3 * total)
    linear = (control.trials * difference - total - 2 * control.successes) * difference + successes
    constant = control.successes * difference * (1 - difference)
    q = square * square * square - square * linear / (2 * total) + constant / (2 * total)
    p = math.copysign(math.sqrt(max(0.0, square * square - linear / (3 * total))), q)
    cosine = max(-1.0, min(1.0, q / (p * p * p))) if p else 0.0
    rate = 2 * p * math.cos((math.pi + math.acos(cosine)) / 3) - square
    return min(1.0, 1 - difference, max(0.0, -difference, rate))


def crossing(outside: Callable[[float], bool], far: float, near: float) -> float:
    """Return by bisection where ``outside``, true towards ``far``, turns false towards ``near``."""
    while True:
        middle = (far + near) / 2
        if middle in (far, near):
            return middle
        far, near = (middle, near) if outside(middle) else (far, middle)
