"""Quantiles of calls that come in sessions: Woodruff's interval with a clustered variance, inverted back to the unit.

Three steps, of which the middle one is not here: ``quantile_bounds`` takes the sums at the estimate q̂ and says at which
probabilities to look; the caller looks these up in the same distribution; ``estimate_quantile`` turns them into an
estimate, which then compares like any other. q̂, q_L and q_U are inverted CDFs (DuckDB ``quantile_disc``): the smallest
value with F̂ ≥ the probability. [q_L, q_U] itself is the variant's interval.

Woodruff (1952); Deng, Knoblich and Lu (2018) for the variance of F̂ as a ratio of session totals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analytics.experiments.statistics.estimate import Estimate, Status, finite
from analytics.experiments.statistics.ratio import estimate_ratio
from analytics.experiments.statistics.sums import RatioSums


@dataclass(frozen=True, slots=True)
class QuantileBounds:
    """The probabilities ν ∓ c·σ_F to look up; None unless the status is ok.

    ``standard_error`` is σ_F, that of F̂(q̂), a probability. ``effective_observations`` is ν(1−ν)/σ_F², the independent
    calls that would tell as much.
    """

    status: Status
    standard_error: float | None
    effective_observations: float | None
    lower: float | None
    upper: float | None


def quantile_bounds(sums: RatioSums, probability: float, critical_value: float) -> QuantileBounds:
    """Return where to look for the ends of the quantile's interval; ``probability`` is ν, in (0, 1).

    ``sums`` are over sessions with x = the session's calls at or below q̂ and n = its calls. Not estimable
    (insufficient_data) where ν ± c·σ_F leaves (0, 1); on the upper side that is n_eff ≤ c²ν/(1−ν).
    """
    return bounds_of_share(estimate_ratio(sums), sums.effective_sessions, probability, critical_value)


def bounds_of_share(
    share: Estimate, effective_sessions: float | None, probability: float, critical_value: float
) -> QuantileBounds:
    """Return the same from F̂(q̂) = ``share``, of so many sessions of equal weight."""
    deviation = _cdf_limit(effective_sessions, probability) if share.status == "zero_variance" else share.standard_error
    if deviation is None:
        return QuantileBounds(share.status, None, None, None, None)
    effective = finite(probability * (1 - probability) / deviation / deviation)
    lower, upper = probability - critical_value * deviation, probability + critical_value * deviation
    if not 0 < lower <= upper < 1:
        return QuantileBounds("insufficient_data", deviation, effective, None, None)
    return QuantileBounds("ok", deviation, effective, lower, upper)


def estimate_quantile(value: float | None, lower: float | None, upper: float | None, critical_value: float) -> Estimate:
    """Return q̂ = ``value`` with SE = (q_U − q_L)/2c, where ``lower`` and ``upper`` are q_L and q_U, in the call's unit.

    ``critical_value`` must be the one that the bounds were made with. None for a bound that could not be looked up. The
    normal distribution applies.
    """
    if value is None or lower is None or upper is None:
        return Estimate.of(value, None)
    standard_error = (upper - lower) / (2 * critical_value)
    return Estimate.of(value, finite(standard_error * standard_error))


def _cdf_limit(effective: float | None, probability: float) -> float | None:
    """Return √(ν(1−ν)/K_eff), the largest σ_F of any clustering: all calls of a session on one side of the quantile.

    It stands in where the sums show no spread. They show none where q̂ is the largest call (F̂ = 1 in every session),
    which says that the data are few, not that q̂ is known.
    """
    return None if effective is None else math.sqrt(probability * (1 - probability) / effective)
