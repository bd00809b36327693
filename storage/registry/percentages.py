"""Weights as the clients' walk takes them: percentages whose running sum splits all buckets as the weights mean it.

Theory of operation. A client adds ``weight * 10_000`` in doubles and stops at the first sum beyond the session's
bucket, so a variant's share ends at the ceiling of the running sum. Weights that sum to 100 are served as they were
written. Others are scaled, exactly, and rounded to doubles; where rounding, of the weight or of the running sum, would
move an end by a bucket, the weight is moved by as many of the sum's last places as it takes. The last one that is not 0
ends at a million, so none is left to a variant of weight 0 behind it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from fallom.assignment import BUCKET_COUNT, BUCKETS_PER_PERCENT

PERCENT = 100
STEPS_MAX = 64


def percentages(weights: Sequence[float]) -> list[float]:
    """Return the weights in percent of their sum, which must be > 0."""
    # What was written, not the double nearest to it: 33.3, 33.3 and 33.4 are meant to sum to 100.
    exact = [Fraction(repr(float(weight))) for weight in weights]
    total = sum(exact)
    if total == PERCENT:
        return [float(weight) for weight in weights]
    served: list[float] = []
    running, meant = 0.0, Fraction(0)
    for weight in exact:
        meant += weight
        percent = 0.0
        if weight:
            end = math.ceil(meant / total * BUCKET_COUNT)
            percent = _ending_at(end, running, float(weight / total * PERCENT))
        running += percent * BUCKETS_PER_PERCENT
        served.append(percent)
    return served


def served_variants(variants: Any) -> Any:
    """Return variants, in either form, with percentages for weights; a whole number stays one."""
    named = variants if isinstance(variants, dict) else dict(enumerate(variants))
    shares = percentages([variant["weight"] for variant in named.values()])
    served = {
        name: {**variant, "weight": int(share) if share.is_integer() else share}
        for (name, variant), share in zip(named.items(), shares, strict=True)
    }
    return served if isinstance(variants, dict) else list(served.values())


def _ending_at(end: int, running: float, percent: float) -> float:
    """Return the number nearest to ``percent`` with which the running sum ends at the bucket ``end``."""
    for _ in range(STEPS_MAX):
        reached = math.ceil(running + percent * BUCKETS_PER_PERCENT)
        if reached == end:
            break
        # Less would be lost in the sum.
        step = max(math.ulp(percent), math.ulp(running) / BUCKETS_PER_PERCENT)
        percent = percent + step if reached < end else max(0.0, percent - step)
    return percent
