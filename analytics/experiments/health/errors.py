"""Whether an arm's calls fail more often of late than before: what to look at before any effect."""

from collections.abc import Iterator, Sequence
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.health.traffic import PERIODS, RecentErrors
from analytics.experiments.health.warning import warning
from analytics.experiments.statistics import RatioSums, estimate_difference, estimate_ratio

SESSIONS_MIN = 20
P_MAX = 0.001
"""Shared by arms and periods: it is looked at again and again."""
RISE_MIN = 0.01


def error_jumps(experiment: Experiment, errors: Sequence[RecentErrors]) -> list[dict[str, Any]]:
    """Return a warning for each arm whose error rate jumped; of the shortest period in which it did."""
    p_max = P_MAX / (len(PERIODS) * max(1, len(experiment.arms)))
    found: dict[int, dict[str, Any]] = {}
    for each in sorted(errors, key=lambda one: PERIODS.index(one.period)):
        if each.arm not in found:
            for jump in _jumps(experiment.arms[each.arm].key, each, p_max):
                found[each.arm] = jump
    return [found[arm] for arm in sorted(found)]


def _jumps(key: str, errors: RecentErrors, p_max: float) -> Iterator[dict[str, Any]]:
    if min(errors.before.sessions, errors.recent.sessions) < SESSIONS_MIN:
        return
    before, recent = _rate(errors.before), _rate(errors.recent)
    difference = estimate_difference(estimate_ratio(errors.before), estimate_ratio(errors.recent))
    if before is None or recent is None or recent - before < RISE_MIN:
        return
    # All calls fail, and none did before: there is no spread, and no doubt.
    p_value = 0.0 if difference.status == "zero_variance" else difference.p_value
    if p_value is None or p_value >= p_max:
        return
    yield warning(
        "error_jump",
        f"the calls of {key!r} fail at {recent:.1%} in sessions of the last {errors.period}, at {before:.1%} before: "
        "look at its errors first",
        variant=key,
        period=errors.period,
        since=errors.since.isoformat(),
        before=before,
        recent=recent,
        p_value=p_value,
    )


def _rate(sums: RatioSums) -> float | None:
    return sums.x / sums.n if sums.n > 0 else None
