"""What a metric declares; the engine computes its sums, the statistics are pure functions over them."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower_is_better", "higher_is_better", "neutral"]
Estimand = Literal["per_call", "per_session", "per_successful_session"]


@dataclass(frozen=True, slots=True)
class RatioMetric:
    """A ratio of two expressions over ``session_totals``: Σ numerator / Σ denominator, or the mean over sessions.

    ``observed`` counts the calls whose value is known, where not all are: without any, nothing is known of the metric.
    ``known`` is 1 for a session whose value is known, else 0, where not all are; the numerator is 0 where it is not.
    ``is_whole`` says that the numerator is a whole number, the sums of which are exact. ``cap`` is the quantile at
    which a session's value is cut for the figure beside this one, None where there is none. A ``proportion`` has a
    numerator of 0 or 1.
    """

    name: str
    unit: str
    direction: Direction
    numerator: str
    denominator: str | None = None
    observed: str | None = None
    known: str | None = None
    statistic: str = "mean"
    estimand: Estimand = "per_call"
    is_whole: bool = False
    cap: float | None = None


@dataclass(frozen=True, slots=True)
class QuantileMetric:
    """Quantiles of a column of ``calls``."""

    name: str
    unit: str
    direction: Direction
    column: str
    probabilities: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99)
