"""Why the exposed sessions are not spread as the weights say, in words: what one asks before calling it a bug."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.health.sample_ratio import CHI_SQUARE_P_MIN, SampleRatio
from analytics.experiments.health.warning import warning

DIFFERENCE_MAX = 0.05
SESSIONS_MIN = 1_000
"""Fewer sessions are seldom within a few points of their weights."""


def uneven_distribution(experiment: Experiment, cohort: Cohort, ratio: SampleRatio) -> list[dict[str, Any]]:
    """Return the warning where the shares of all sessions with an arm differ from the weights by more than 5 points."""
    counts = np.bincount(cohort.arms[cohort.arms >= 0], minlength=len(experiment.arms))
    if not counts.sum():
        return []
    shares, weights = counts / counts.sum(), np.array([arm.share for arm in experiment.arms])
    place = int(np.argmax(np.abs(shares - weights)))
    if abs(shares[place] - weights[place]) <= DIFFERENCE_MAX:
        return []
    reasons = dict(_reasons(experiment, cohort, ratio, int(counts.sum())))
    return [
        warning(
            "uneven_distribution",
            f"{experiment.arms[place].key!r} has {shares[place]:.0%} of the sessions, at a weight of "
            f"{weights[place]:.0%}: " + "; ".join(reasons.values()),
            observed=counts.tolist(),
            weights=weights.tolist(),
            reasons=list(reasons),
        )
    ]


def _reasons(experiment: Experiment, cohort: Cohort, ratio: SampleRatio, sessions: int) -> Iterator[tuple[str, str]]:
    excluded = cohort.excluded
    found = False
    if _have_changed([epoch.shares for epoch in experiment.epochs]):
        found = True
        yield "weights_changed", "the weights were others before, and each session is of the weights that it began with"
    if excluded["targeted"]:
        found = True
        yield "targeted", f"{excluded['targeted']} sessions were placed by targeting, which no weight is asked for"
    if cohort.stale_clients:
        found = True
        yield (
            "stale_clients",
            f"{cohort.stale_clients} sessions of clients with an older version, cached or pinned, are left out",
        )
    if excluded["forced"]:
        found = True
        yield "forced", f"{excluded['forced']} sessions were given another variant than the hash gives"
    if ratio.test.p_value is not None and ratio.test.p_value < CHI_SQUARE_P_MIN:
        yield "unexplained", "and those that chance placed are not spread as their weights say, either"
    elif sessions < SESSIONS_MIN:
        yield "too_early", f"{sessions} sessions are few: chance alone explains it so far"
    elif not found:
        yield "chance", "chance alone explains it"


def _have_changed(shares: Sequence[tuple[float, ...]]) -> bool:
    return len(set(shares)) > 1
