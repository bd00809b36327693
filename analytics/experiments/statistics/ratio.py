"""The ratio of two session totals, R = Σx/Σn, with its delta-method variance; a per-session mean is the case n = 1.

V = (s²_x − 2R·s_xn + R²·s²_n)/(K·n̄²) with divisors K − 1. The residuals e = x − R·n sum to zero, so that this equals
K/(K−1) · Σe²/(Σn)² with Σe² = Σx² − 2R·Σxn + R²·Σn²: one cancellation, not three. It is taken in rational arithmetic,
so that the rounding of the sums themselves is the only error: relative to V at most K·ε·M/Σe² with ε = 2.2e-16 and
M = Σx² + 2|R·Σxn| + R²·Σn², and √K·ε·M/Σe² as a rule. For 10 000 sessions of latency in ms, its spread like its mean,
that is 1e-11 at worst; for a spread of a thousandth of the mean 1e-5. A Σe² below K·ε·M, or below zero, counts as zero.

Where a mean dwarfs its spread (a timestamp), sum x − r·n for a constant r near R: R falls by r, V stays as it is.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.statistics.estimate import Estimate, finite
from analytics.experiments.statistics.sums import RatioSums, is_rounding

MANY_SESSIONS = 100


def estimate_ratio(sums: RatioSums) -> Estimate:
    """Return R = Σx/Σn, in units of x per n, with its variance over sessions and K − 1 degrees of freedom.

    Of fewer than ``MANY_SESSIONS``, K_eff − 1: with few sessions of very unequal size the variance rests on less than K
    of them, and the test of K − 1 is wrong in up to 10 % of cases instead of 5 (docs/statistics.md).

    Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics". No data where Σn is not positive;
    insufficient where fewer than two sessions have a denominator.
    """
    return Estimate.of(_value(sums), _variance(sums), _degrees_of_freedom(sums))


def estimate_ratio_small_sample(x: NDArray[np.float64], n: NDArray[np.float64]) -> Estimate:
    """Return R with the leverage-corrected V = Σ[e²/(1 − h)]/(Σn)², h = n/Σn, and K_eff − 1 degrees of freedom.

    ``x`` and ``n`` have shape (K,), one entry a session. The correction (HC2 of the regression through the origin) is
    not a function of sums. For sessions of equal n it is ``estimate_ratio`` exactly.
    """
    sums = RatioSums.from_sessions(x, n)
    value, effective = _value(sums), sums.effective_sessions
    if value is None or effective is None or not _has_spread(sums):
        return Estimate.of(value, None)
    residual = x - value * n
    # The last bits of x and of R·n are rounding, not spread.
    rounding = 16 * sys.float_info.epsilon * (np.abs(x) + np.abs(value * n))
    share = np.where(np.abs(residual) > rounding, residual, 0.0) / sums.n
    return Estimate.of(value, finite(float(np.sum(share * share / (1 - n / sums.n)))), effective - 1)


def _degrees_of_freedom(sums: RatioSums) -> float:
    effective = sums.effective_sessions
    return sums.sessions - 1 if sums.sessions >= MANY_SESSIONS or effective is None else effective - 1


def _value(sums: RatioSums) -> float | None:
    return finite(sums.x / sums.n) if sums.sessions > 0 and 0 < sums.n < math.inf else None


def _variance(sums: RatioSums) -> float | None:
    if not _has_spread(sums):
        return None
    numerator = sums.sessions * _residual_sum_of_squares(sums)
    try:
        return float(numerator / ((sums.sessions - 1) * Fraction(sums.n) ** 2))
    except OverflowError:
        return None


def _has_spread(sums: RatioSums) -> bool:
    """Return whether at least two sessions have a denominator, and the sums are numbers."""
    effective = sums.effective_sessions
    numbers = (sums.x, sums.xx, sums.n, sums.nn, sums.xn)
    return sums.sessions > 1 and effective is not None and effective > 1 and all(map(math.isfinite, numbers))


def _residual_sum_of_squares(sums: RatioSums) -> Fraction:
    x, xx, n, nn, xn = map(Fraction, (sums.x, sums.xx, sums.n, sums.nn, sums.xn))
    value = x / n
    residual = xx - 2 * value * xn + value * value * nn
    magnitude = xx + 2 * abs(value * xn) + value * value * nn
    return Fraction(0) if is_rounding(residual, magnitude, sums.sessions) else residual
