"""What an experiment declares of itself: its metrics' parts, its level, its plan. What is not declared has defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from analytics.experiments.metrics.metric import Direction, Estimand

Role = Literal["primary", "secondary", "guardrail"]
Inference = Literal["sequential", "fixed_horizon", "bayesian"]
Missing = Literal["exclude", "zero"]


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """What is declared of one metric; None where nothing is.

    ``statistic`` (mean, ratio, proportion, p50 …) and ``estimand`` say which of the figures of that name are meant, all
    if None; ``category`` is the value of a metric of text. ``margin`` is relative to the control: 0.05 lets it be 5 %
    worse. ``cap`` is the quantile, in (0, 1), at which a session's value is cut for the capped figure. ``covariate``
    names what was known of a session before its assignment.
    """

    name: str
    type: Literal["number", "proportion", "category"] | None = None
    statistic: str | None = None
    estimand: Estimand | None = None
    category: str | None = None
    role: Role | None = None
    direction: Direction | None = None
    margin: float | None = None
    cap: float | None = None
    missing: Missing = "exclude"
    covariate: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How an experiment is judged. ``n_star`` is the number of sessions at which the sequences are tightest.

    ``success`` names the custom metric that says whether a session succeeded; None: if it has calls, and none failed.
    """

    control: str | None = None
    alpha: float = 0.05
    inference: Inference = "sequential"
    n_star: int = 5000
    power: float = 0.8
    metrics: tuple[MetricSettings, ...] = ()
    success: str | None = None
    status: Literal["planned", "running", "ended"] = "running"
    hypothesis: str | None = None
    start: datetime | None = None
    planned_end: datetime | None = None
    ended_at: datetime | None = None
    decision: Mapping[str, object] = field(default_factory=dict)
    notes: str | None = None

    def of(self, name: str, statistic: str, estimand: str, category: str | None = None) -> MetricSettings:
        """Return what is declared of a figure: by the first declaration that means it."""
        for metric in self.metrics:
            if (
                metric.name == name
                and metric.statistic in (None, statistic)
                and metric.estimand in (None, estimand)
                and metric.category in (None, category)
            ):
                return metric
        return MetricSettings(name)
