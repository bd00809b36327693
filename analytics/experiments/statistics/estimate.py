"""The vocabulary of a result: a status, a figure with its variance, an interval. None and a status, never NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "insufficient_data", "zero_variance", "no_data"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The values from ``lower`` to ``upper``, in the unit of what they bound."""

    lower: float
    upper: float

    def excludes(self, value: float) -> bool:
        """Return whether ``value`` lies outside the interval."""
        return not self.lower <= value <= self.upper


@dataclass(frozen=True, slots=True)
class Estimate:
    """One variant's figure, in the metric's unit, with its sampling variance, in that unit squared.

    ``no_data``: no value. ``insufficient_data``: a value, but no variance. ``zero_variance``: the sessions do not
    differ. The degrees of freedom are infinite where the normal distribution applies.
    """

    status: Status
    value: float | None
    variance: float | None
    degrees_of_freedom: float

    @classmethod
    def of(cls, value: float | None, variance: float | None, degrees_of_freedom: float = math.inf) -> Estimate:
        """Return the estimate with the status that its figures imply."""
        if value is None:
            return cls("no_data", None, None, math.inf)
        if variance is None:
            return cls("insufficient_data", value, None, math.inf)
        return cls("ok" if variance > 0 else "zero_variance", value, variance, degrees_of_freedom)

    @property
    def standard_error(self) -> float | None:
        """The square root of the variance, in the metric's unit."""
        return None if self.variance is None else math.sqrt(self.variance)


def estimate_interval(estimate: Estimate, critical_value: float) -> Interval | None:
    """Return value ± c·√V; None unless the estimate is ok."""
    if estimate.value is None or not estimate.variance:
        return None
    return symmetric_interval(estimate.value, critical_value * math.sqrt(estimate.variance))


def symmetric_interval(centre: float, half_width: float) -> Interval | None:
    """Return centre ± half_width; None where that is beyond what a float holds."""
    lower, upper = centre - half_width, centre + half_width
    return Interval(lower, upper) if math.isfinite(lower) and math.isfinite(upper) else None


def finite(value: float) -> float | None:
    """Return ``value``, or None where it is NaN or infinite."""
    return value if math.isfinite(value) else None
