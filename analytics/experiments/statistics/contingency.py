"""Tables of counts: whether what is counted by row depends on the column, and how strongly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special


def independence(table: NDArray[np.int64]) -> tuple[float, float]:
    """Return the p-value of Pearson's chi-square for independence, uncorrected, and Cramér's V from 0 to 1.

    ``table`` has shape (rows, columns). Rows and columns without a count say nothing and are left out; where fewer
    than two of either are left, nothing can depend on anything: (1, 0).
    """
    counts = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    smaller = min(counts.shape) - 1
    if smaller < 1:
        return 1.0, 0.0
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    statistic = float(((counts - expected) ** 2 / expected).sum())
    degrees_of_freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    return float(special.chdtrc(degrees_of_freedom, statistic)), math.sqrt(statistic / total / smaller)
