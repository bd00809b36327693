"""Cohorts: which sessions are in the experiment, in which arm, and why others are not.

A session counts under the arm that it was exposed to (intention to treat), if chance put it there: its arm is
recomputed from the public hash and compared with what was recorded.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

import pyarrow as pa

from analytics.experiments.arms import Experiment

Label = Literal["randomised", "targeted", "forced", "stale_version", "crossover"]
EXCLUDED_LABELS: tuple[Label, ...] = ("targeted", "forced", "stale_version", "crossover")


class Exposure(NamedTuple):
    """One distinct exposure of a session, at its earliest."""

    session_id: str
    config_version: int
    assigned_model: str
    variant_index: int | None
    event_time: datetime


@dataclass(frozen=True, slots=True)
class Cohort:
    """The randomised sessions by arm, and the number of the others by label."""

    arm_of_session: Mapping[str, int]
    excluded: Mapping[str, int]
    first_exposure: datetime | None

    def sessions(self, arm: int) -> int:
        """Return how many sessions fell to the arm."""
        return sum(1 for found in self.arm_of_session.values() if found == arm)

    def to_table(self) -> pa.Table:
        """Return one row a randomised session: session_id, arm."""
        return pa.table(
            {
                "session_id": pa.array(list(self.arm_of_session), pa.string()),
                "arm": pa.array(list(self.arm_of_session.values()), pa.int32()),
            }
        )


def cohort_of(experiment: Experiment, exposures: Iterable[Exposure]) -> Cohort:
    """Label every exposed session."""
    by_session: dict[str, list[Exposure]] = defaultdict(list)
    for exposure in exposures:
        by_session[exposure.session_id].append(exposure)
    arms: dict[str, int] = {}
    excluded: Counter[str] = Counter(dict.fromkeys(EXCLUDED_LABELS, 0))
    first: datetime | None = None
    for session_id, found in by_session.items():
        label, arm = label_session(experiment, session_id, found)
        if label != "randomised" or arm is None:
            excluded[label] += 1
            continue
        arms[session_id] = arm
        earliest = min(exposure.event_time for exposure in found)
        first = earliest if first is None else min(first, earliest)
    return Cohort(arms, dict(excluded), first)


def label_session(experiment: Experiment, session_id: str, exposures: list[Exposure]) -> tuple[Label, int | None]:
    """Return why the session is in its arm, and which that is."""
    current = [exposure for exposure in exposures if _is_current(experiment, exposure)]
    if not current:
        return "stale_version", None
    arms = {_arm(experiment, exposure) for exposure in exposures}
    if len(arms) > 1:
        return "crossover", None
    arm = arms.pop()
    if arm is not None and arm == experiment.arm_of_hash(session_id):
        return "randomised", arm
    return ("targeted" if experiment.has_targeting and arm is not None else "forced"), arm


def _is_current(experiment: Experiment, exposure: Exposure) -> bool:
    # A version that the registry does not know (it may have been made anew) is judged by the hash alone.
    return exposure.config_version in experiment.epoch or exposure.config_version not in experiment.known_versions


def _arm(experiment: Experiment, exposure: Exposure) -> int | None:
    index = exposure.variant_index
    if (
        index is not None
        and 0 <= index < len(experiment.arms)
        and experiment.arms[index].model == exposure.assigned_model
    ):
        return index
    return experiment.arm_of_model(exposure.assigned_model, exposure.session_id)
