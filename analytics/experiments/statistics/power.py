"""How small a lift the data could show, and how much more data a smaller one takes."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from analytics.experiments.statistics.estimate import finite

# No experiment is told to wait for more sessions than this: beyond it, it never ends.
SESSIONS_MAX = 1e12


def minimum_detectable_lift(
    standard_error: float | None, control: float | None, critical_value: float, power: float
) -> float | None:
    """Return the lift that a test with this standard error finds with probability ``power``.

    (c + z_power)·SE/|R_A|, with ``control`` = R_A and ``critical_value`` = z_{1−α/2}, or c(N) where one may look at any
    time. None where the control is zero or there is no standard error.
    """
    if standard_error is None or not control:
        return None
    return finite((critical_value + float(special.ndtri(power))) * standard_error / abs(control))


def sessions_needed(
    sessions: float, lift: float, target: float, *, critical_value: Callable[[float], float], power: float
) -> float | None:
    """Return the sessions at which the minimum detectable lift is ``target``; ``lift`` is that of ``sessions``.

    n·(lift/target)² for a constant ``critical_value``; one that depends on the sessions is followed. None beyond
    ``SESSIONS_MAX``.
    """
    quantile = float(special.ndtri(power))
    # What is left of the lift but for the critical value and the sessions.
    unit = lift / (critical_value(sessions) + quantile) * math.sqrt(sessions)

    def detectable(count: float) -> float:
        return (critical_value(count) + quantile) * unit / math.sqrt(count)

    low, high = 1.0, SESSIONS_MAX
    if not detectable(high) <= target:
        return None
    while high - low > 1e-12 * high:
        middle = math.sqrt(low * high)
        if middle in (low, high):
            break
        low, high = (low, middle) if detectable(middle) <= target else (middle, high)
    return high


def days_remaining(sessions: float, needed: float | None, sessions_per_day: float | None) -> float | None:
    """Return how many days of traffic the missing sessions take; 0 where none are missing, None where unknown."""
    if needed is None:
        return None
    if needed <= sessions:
        return 0.0
    return (needed - sessions) / sessions_per_day if sessions_per_day else None


def minimum_duration_days(requests_per_day: float) -> tuple[int, int]:
    """Return how long a test should run at least, from and to, whatever its figures say: traffic has its weekdays.

    The product's guidance: two to three weeks at 100 requests a day, one week at 1,000, two to three days at 10,000.
    """
    if requests_per_day >= 10_000:
        return 2, 3
    return (7, 7) if requests_per_day >= 1000 else (14, 21)
