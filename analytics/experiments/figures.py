"""Figures: what one entry of the results measures, and the part it plays in the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analytics.experiments.metrics.metric import Direction
from analytics.experiments.settings import Role, Settings

# A guardrail may be so much worse than the control's figure, relative to it, where no margin is declared.
MARGIN = 0.1
_PRIMARY = ("latency_ms", "mean", "per_call")
_GUARDRAIL_NAMES = ("error_rate", "fallback_rate")
_GUARDRAIL = ("latency_ms", "p95", "per_call")

Identity = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is of, its role, which way is better, and how much worse a guardrail may be (relative).

    ``covariate`` names what it is adjusted by, None where it is not.
    """

    name: str
    statistic: str
    estimand: str
    category: str | None = None
    role: Role = "secondary"
    direction: Direction = "neutral"
    margin: float | None = None
    covariate: str | None = None

    @property
    def identity(self) -> Identity:
        """What tells the figure from all others of an experiment."""
        by = "" if self.covariate is None else f" adjusted by {self.covariate}"
        return self.name, self.statistic + by, self.estimand, self.category

    @property
    def lower_is_better(self) -> bool:
        """Whether a fall is an improvement."""
        return self.direction == "lower_is_better"


def identity_of(entry: Mapping[str, Any]) -> Identity:
    """Return the identity of the figure of an entry of the results."""
    found = Figure(
        entry["name"], entry["statistic"], entry["estimand"], entry.get("category"), covariate=entry.get("covariate")
    )
    return found.identity


def figure_of(
    settings: Settings,
    name: str,
    statistic: str,
    estimand: str,
    direction: Direction,
    category: str | None = None,
) -> Figure:
    """Return the figure with what the experiment declares of it, and the defaults of what it does not.

    ``direction`` is the metric's own. Where the experiment declares a primary metric of its own, latency is none.
    """
    declared = settings.of(name, statistic, estimand, category)
    role = declared.role or _default_role(settings, name, statistic, estimand)
    margin = declared.margin
    if margin is None and role == "guardrail":
        margin = MARGIN
    return Figure(name, statistic, estimand, category, role, declared.direction or direction, margin)


def _default_role(settings: Settings, name: str, statistic: str, estimand: str) -> Role:
    if (name, statistic, estimand) == _PRIMARY and not any(metric.role == "primary" for metric in settings.metrics):
        return "primary"
    if name in _GUARDRAIL_NAMES or (name, statistic, estimand) == _GUARDRAIL:
        return "guardrail"
    return "secondary"
