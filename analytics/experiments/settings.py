"""What an experiment declares of itself: its metrics' parts, its level, its plan. What is not declared has defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from schemas.api import experiment as declared
from schemas.api.rollout import moment_text

Role = declared.Role
Inference = declared.Inference
Missing = declared.Missing


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """What is declared of one metric; None where nothing is.

    ``statistic`` (mean, ratio, proportion, p50 …) and ``estimand`` say which of the figures of that name are meant, all
    if None; ``category`` is the value of a metric of text. ``margin`` is relative to the control: 0.05 lets it be 5 %
    worse. ``cap`` is the quantile, in (0, 1), at which a session's value is cut for the capped figure. ``covariate``
    names what was known of a session before its assignment.
    """

    name: str
    type: declared.MetricType | None = None
    statistic: str | None = None
    estimand: declared.Estimand | None = None
    category: str | None = None
    role: Role | None = None
    direction: declared.Direction | None = None
    margin: float | None = None
    cap: float | None = None
    missing: Missing = "exclude"
    covariate: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How an experiment is judged. ``n_star`` is the number of sessions at which the sequences are tightest.

    ``success`` names the custom metric that says whether a session succeeded; None: if it has calls, and none failed.
    ``looks_at`` says what is under test; ``version`` is that of the experiment in the registry, None where nothing is
    declared.
    """

    control: str | None = None
    alpha: float = 0.05
    inference: Inference = "sequential"
    n_star: int = 5000
    power: float = 0.8
    metrics: tuple[MetricSettings, ...] = ()
    success: str | None = None
    status: declared.Status = "running"
    hypothesis: str | None = None
    start: datetime | None = None
    planned_end: datetime | None = None
    ended_at: datetime | None = None
    decision: Mapping[str, object] = field(default_factory=dict)
    notes: str | None = None
    owner: str | None = None
    looks_at: Literal["config", "prompt_ab_test"] = "config"
    version: int | None = None

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

    @property
    def primaries_declared(self) -> int:
        """Return how many figures are declared primary, those without any value yet among them."""
        # A custom metric has a mean or a share, as its values will be: a declaration of both means one figure.
        return len(
            {
                (metric.name, metric.estimand, metric.category, _measured_statistic(metric))
                for metric in self.metrics
                if metric.role == "primary" and metric.direction != "neutral"
            }
        )

    def control_index(self, keys: Sequence[str]) -> int:
        """Return the place of the control among the arms; the first where none is declared, or it is there no more."""
        return keys.index(self.control) if self.control in keys else 0


def settings_section(settings: Settings) -> dict[str, Any]:
    """Return the section ``settings`` of the results."""
    return {
        "alpha": settings.alpha,
        "inference": settings.inference,
        "n_star": settings.n_star,
        "correction": {"primary": "bonferroni", "secondary": "benjamini_hochberg"},
        "power": settings.power,
    }


def declared_section(settings: Settings) -> dict[str, Any]:
    """Return what the section ``experiment`` of the results, and the list of experiments, tell of what is declared."""
    return {
        "status": settings.status,
        "hypothesis": settings.hypothesis,
        "owner": settings.owner,
        "start": _text(settings.start),
        "planned_end": _text(settings.planned_end),
        "ended_at": _text(settings.ended_at),
        "decision": dict(settings.decision) or None,
        "notes": settings.notes,
        "settings_version": settings.version,
    }


def _measured_statistic(metric: MetricSettings) -> str | None:
    is_custom = metric.name not in declared.DIRECTIONS
    return None if is_custom and metric.statistic in ("mean", "proportion") else metric.statistic


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)
