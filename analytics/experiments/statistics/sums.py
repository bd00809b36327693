"""Sufficient statistics over sessions: all that the estimators need to know of a variant's data."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.statistics.estimate import finite


@dataclass(frozen=True, slots=True)
class RatioSums:
    """Sums over K sessions of a numerator x and a denominator n a session: K, Σx, Σx², Σn, Σn², Σxn.

    A ratio metric (latency per call) has x = the session's total and n = its calls; a per-session mean has n = 1; a
    quantile has x = the calls at or below it. A session without a call counts in K, with x = n = 0.

    Sums add over disjoint sessions only: merge the parts of one session before squaring.
    """

    sessions: int
    x: float
    xx: float
    n: float
    nn: float
    xn: float

    @classmethod
    def empty(cls) -> RatioSums:
        """Return the sums over no session, which add nothing."""
        return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def for_mean(cls, sessions: int, x: float, xx: float) -> RatioSums:
        """Return the sums of a mean over sessions, where each session's denominator is 1."""
        return cls(sessions, x, xx, float(sessions), float(sessions), x)

    @classmethod
    def from_sessions(cls, x: NDArray[np.float64], n: NDArray[np.float64]) -> RatioSums:
        """Return the sums of ``x`` and ``n``, both of shape (K,), one entry a session."""
        return cls(
            len(x), float(np.sum(x)), float(np.sum(x * x)), float(np.sum(n)), float(np.sum(n * n)), float(np.sum(x * n))
        )

    def __add__(self, other: RatioSums) -> RatioSums:
        return RatioSums(
            self.sessions + other.sessions,
            self.x + other.x,
            self.xx + other.xx,
            self.n + other.n,
            self.nn + other.nn,
            self.xn + other.xn,
        )

    @property
    def effective_sessions(self) -> float | None:
        """K_eff = (Σn)²/Σn², the sessions of equal size that would weigh as much (Kish); K for a mean; None without n.

        Far below K, a few large sessions decide the figure.
        """
        return finite(self.n * (self.n / self.nn)) if self.n > 0 and self.nn > 0 else None


def is_rounding(remainder: Fraction, magnitude: Fraction, sessions: int) -> bool:
    """Return whether ``remainder``, a difference of sums of ``magnitude``, is within the rounding of these."""
    return remainder <= sessions * Fraction(sys.float_info.epsilon) * magnitude
