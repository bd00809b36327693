"""Confidence sequences: intervals and p-values that hold however often, and whenever, one looks.

Theory of operation. Under no effect the standardised sum of N sessions is, for large N, a Brownian motion at time N.
The likelihood ratio against an effect drawn from N(0, ρ²) has mean 1 at every N, so that by Ville's inequality it ever
exceeds 1/α with probability α at most. Solved for z this is |z| ≥ c(N), which takes the place of 1.96; solved for the
level it is the p-value. ρ² sets where the sequence is tightest: at N* sessions, which must be fixed before the first
look. Against a one-sided hypothesis the effects mixed over are the positive half.

N counts the sessions of both arms; z is the difference over its standard error. Asymptotic: what is trusted is the
normal limit, from some tens of sessions an arm. Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform
central limit theory and asymptotic confidence sequences", proposition 1 and appendix B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """The sequence of level ``alpha`` that is tightest at ``n_star`` sessions; raises ValueError where none is."""

    alpha: float
    n_star: float

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha: above 0 and below 1 expected, got {self.alpha}")
        if not 0 < self.n_star < math.inf:
            raise ValueError(f"n_star: a number of sessions above 0 expected, got {self.n_star}")

    @property
    def mixing_variance(self) -> float:
        """ρ² = (−2 ln α + ln(1 − 2 ln α))/N*."""
        spread = -2 * math.log(self.alpha)
        return (spread + math.log1p(spread)) / self.n_star

    def critical_value(self, sessions: float, alpha: float | None = None) -> float:
        """Return c(N) = √(2(Nρ²+1)/(Nρ²) · ln(√(Nρ²+1)/α)), infinite without a session.

        ``alpha`` is the level of the one comparison, where that is a share of the sequence's; ρ² stays.
        """
        time = sessions * self.mixing_variance
        if time <= 0:
            return math.inf
        evidence = 0.5 * math.log1p(time) - math.log(self.alpha if alpha is None else alpha)
        return math.sqrt(2 * (1 + 1 / time) * evidence)

    def p_value(self, statistic: float, sessions: float) -> float:
        """Return min(1, √(Nρ²+1)·exp(−Nρ²z²/(2(Nρ²+1)))): at most α exactly where |z| ≥ c(N).

        The least of it over all looks so far is a p-value too, and the one to report.
        """
        time = sessions * self.mixing_variance
        return _exp_of_at_most_zero(0.5 * math.log1p(time) - _evidence(statistic, time))

    def one_sided_p_value(self, statistic: float, sessions: float) -> float:
        """Return the p-value against z > 0: √(Nρ²+1)·exp(−u²/2)/(2Φ(u)) with u = z·√(Nρ²/(Nρ²+1)), at most 1."""
        time = sessions * self.mixing_variance
        drift = statistic * math.sqrt(time / (1 + time))
        log_mixture = _evidence(statistic, time) + math.log(2) + float(special.log_ndtr(drift))
        return _exp_of_at_most_zero(0.5 * math.log1p(time) - log_mixture)


def _evidence(statistic: float, time: float) -> float:
    """Return Nρ²z²/(2(Nρ²+1)), infinite rather than an overflow."""
    return statistic * statistic * (time / (1 + time)) / 2


def _exp_of_at_most_zero(exponent: float) -> float:
    return math.exp(min(0.0, exponent)) if not math.isnan(exponent) else 1.0
