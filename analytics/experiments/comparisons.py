"""Estimates and comparisons as the results' JSON has them, with fixed-horizon inference on the session as the unit.

``c`` is the critical value; a later confidence sequence replaces it and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics.experiments.statistics import (
    Difference,
    Estimate,
    Interval,
    Lift,
    Proportion,
    critical_value,
    difference_interval,
    estimate_difference,
    estimate_lift,
    score_difference,
    score_interval,
)

SESSIONS_MIN = 100
EFFECTIVE_SESSIONS_MIN = 30.0
# Where a value is missing more often in one arm than in the other, the rest is no fair sample of either.
COVERAGE_DIFFERENCE_MAX = 0.1


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """One arm's figure with its interval, and what it rests on.

    ``interval`` where the estimate's own is not value ± c·SE; ``coverage`` is the share of the observations that
    could have been made.
    """

    estimate: Estimate
    interval: Interval | None
    sessions: int
    observations: float
    effective_sessions: float | None
    effective_observations: float | None = None
    coverage: float | None = None
    proportion: Proportion | None = None

    def to_json(self, key: str) -> dict[str, Any]:
        """Return the arm's entry in a metric."""
        return {
            "key": key,
            "estimate": self.estimate.value,
            "ci": interval_json(self.interval),
            "sessions": self.sessions,
            "observations": round(self.observations),
            "effective_observations": self.effective_observations,
            "coverage": self.coverage,
        }

    @property
    def supports_verdict(self) -> bool:
        """Return whether there are sessions enough to conclude from."""
        return self.sessions >= SESSIONS_MIN and (self.effective_sessions or 0.0) >= EFFECTIVE_SESSIONS_MIN


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What conclusions rest on: the level, and whether the experiment's health allows any."""

    alpha: float
    allowed: bool


def compare(
    keys: Sequence[str], arms: Sequence[ArmEstimate], verdicts: Verdicts, *, method: str, control: int = 0
) -> list[dict[str, Any]]:
    """Return the comparison of every other arm with the control."""
    return [
        _comparison(keys[index], keys[control], arms[control], arm, verdicts, method)
        for index, arm in enumerate(arms)
        if index != control
    ]


def interval_json(interval: Interval | None) -> list[float] | None:
    """Return an interval as the JSON has it."""
    return None if interval is None else [interval.lower, interval.upper]


def _comparison(
    key: str, control_key: str, control: ArmEstimate, arm: ArmEstimate, verdicts: Verdicts, method: str
) -> dict[str, Any]:
    difference, interval, lift = _effect(control, arm, verdicts.alpha)
    enough = control.supports_verdict and arm.supports_verdict
    comparable = abs((control.coverage or 0.0) - (arm.coverage or 0.0)) <= COVERAGE_DIFFERENCE_MAX
    significant = difference.p_value is not None and difference.p_value < verdicts.alpha
    return {
        "variant": key,
        "vs": control_key,
        "status": difference.status,
        "difference": {
            "estimate": difference.estimate,
            "se": difference.standard_error,
            "ci": interval_json(interval),
        },
        "lift": {"estimate": lift.estimate, "ci": interval_json(lift.interval), "ci_method": "fieller"},
        "p_value": difference.p_value,
        "p_value_adjusted": None,
        "p_value_fixed": difference.p_value,
        "enough_data": enough,
        "coverage_comparable": comparable,
        "significant": significant and enough and comparable and verdicts.allowed,
        "first_significant_at": None,
        "bayes": None,
        "non_inferiority": None,
        "mde": None,
        "days_remaining": None,
        "method": method,
    }


def _effect(control: ArmEstimate, arm: ArmEstimate, alpha: float) -> tuple[Difference, Interval | None, Lift]:
    difference = estimate_difference(control.estimate, arm.estimate)
    c = critical_value(alpha, difference.degrees_of_freedom)
    lift = estimate_lift(control.estimate, arm.estimate, c)
    if control.proportion is None or arm.proportion is None:
        return difference, difference_interval(difference, c), lift
    score = score_difference(control.proportion, arm.proportion)
    return score, score_interval(control.proportion, arm.proportion, critical_value(alpha)), lift
