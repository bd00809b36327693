"""The axis of a forest plot: how far it reaches, and its ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_REACH_MIN = 0.02
# One interval that is much wider than the others must not make these unreadable: it is cut, with an arrow.
_REACH_OF_QUARTILE = 1.5
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Lifts from ``-reach`` to ``reach`` over the pixels from ``left`` to ``right``; zero is in the middle."""

    reach: float
    left: float
    right: float

    def x(self, lift: float) -> float:
        """Return where a lift is; at the edge, if it is beyond."""
        share = (min(max(lift, -self.reach), self.reach) + self.reach) / (2 * self.reach)
        return self.left + share * (self.right - self.left)

    def holds(self, lift: float) -> bool:
        """Return whether the lift is not beyond the edges."""
        return abs(lift) <= self.reach

    def ticks(self) -> list[float]:
        """Return the lifts that are written below the axis: round ones, as many on either side of zero."""
        step = _step(self.reach)
        count = math.floor(self.reach / step + 1e-9)
        return [step * place for place in range(-count, count + 1)]


def scale_of(lifts: Sequence[float], left: float, right: float) -> Scale:
    """Return the scale that shows most of the lifts, which are ends of intervals."""
    sizes = sorted(abs(lift) for lift in lifts if math.isfinite(lift)) or [_REACH_MIN]
    reach = min(sizes[-1], _REACH_OF_QUARTILE * sizes[len(sizes) * 3 // 4])
    return Scale(max(_REACH_MIN, reach) * 1.04, left, right)


def _step(reach: float) -> float:
    """Return a round step of which two or three fit on a side."""
    power = 10.0 ** math.floor(math.log10(reach / 3.5))
    return next(power * step for step in _STEPS if reach / (power * step) <= 3.5)
