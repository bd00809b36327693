"""Student's t distribution; with infinite degrees of freedom it is the normal."""

from __future__ import annotations

import math

from scipy import special


def critical_value(alpha: float, degrees_of_freedom: float = math.inf) -> float:
    """Return c with P(|T| > c) = ``alpha``: the fixed-horizon multiplier of a standard error, for one look only."""
    if math.isinf(degrees_of_freedom):
        return -float(special.ndtri(alpha / 2))
    return -float(special.stdtrit(degrees_of_freedom, alpha / 2))


def two_sided_p_value(statistic: float, degrees_of_freedom: float = math.inf) -> float:
    """Return P(|T| ≥ |statistic|), precise in the far tail too."""
    if math.isinf(degrees_of_freedom):
        return 2 * float(special.ndtr(-abs(statistic)))
    return 2 * float(special.stdtr(degrees_of_freedom, -abs(statistic)))
