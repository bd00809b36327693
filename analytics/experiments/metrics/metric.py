"""What a metric declares; the engine computes its sums, the statistics are pure functions over them."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower_is_better", "higher_is_better", "neutral"]
Estimand = Literal["per_call", "per_session"]


@dataclass(frozen=True, slots=True)
class RatioMetric:
    """A ratio of two columns of ``session_totals``: Σ numerator / Σ denominator, or the mean a session without one.

    ``observed`` names the column that counts the calls whose value is known, where not all are: without any, nothing
    is known of the metric.
    """

    name: str
    unit: str
    direction: Direction
    numerator: str
    denominator: str | None = None
    observed: str | None = None
    statistic: str = "mean"
    estimand: Estimand = "per_call"


@dataclass(frozen=True, slots=True)
class QuantileMetric:
    """Quantiles of a column of ``calls``."""

    name: str
    unit: str
    direction: Direction
    column: str
    probabilities: tuple[float, ...] = (0.5, 0.95, 0.99)
