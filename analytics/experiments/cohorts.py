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

Label = Literal[
    "randomised", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic", "by_request"
]
# Those that any experiment may have; a share of the traffic, and dealing by request, are only in those that have one.
EXCLUDED_LABELS: tuple[Label, ...] = ("targeted", "forced", "fallback", "stale_version", "crossover")
_TARGETED_REASONS = ("individual_target", "rule")


class Exposure(NamedTuple):
    """One distinct exposure of a session, at its earliest."""

    session_id: str
    config_version: int
    assigned_model: str
    variant_index: int | None
    reason: str | None
    customer_id: str | None
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


def cohort_of(
    experiment: Experiment, exposures: Iterable[Exposure], customers: Mapping[str, str] | None = None
) -> Cohort:
    """Label every exposed session. ``customers`` names the customer of a session whose exposure does not."""
    by_session: dict[str, list[Exposure]] = defaultdict(list)
    for exposure in exposures:
        by_session[exposure.session_id].append(exposure)
    arms: dict[str, int] = {}
    excluded: Counter[str] = Counter(dict.fromkeys(EXCLUDED_LABELS, 0))
    first: datetime | None = None
    for session_id, found in by_session.items():
        found.sort(key=lambda exposure: exposure.event_time)
        label, arm = label_session(experiment, found, (customers or {}).get(session_id))
        if label != "randomised" or arm is None:
            excluded[label] += 1
            continue
        arms[session_id] = arm
        first = found[0].event_time if first is None else min(first, found[0].event_time)
    return Cohort(arms, dict(excluded), first)


def label_session(
    experiment: Experiment, exposures: list[Exposure], customer_id: str | None
) -> tuple[Label, int | None]:
    """Return why a session is in its arm, and which that is; its exposures stand in the order of time.

    The first one decides on the epoch: a session that lives across a change of weights is of the epoch it began in.
    """
    first = exposures[0]
    if first.reason == "fallback":
        return "fallback", None
    if not _is_current(experiment, first):
        return "stale_version", None
    if experiment.is_by_request:
        # Also of one that was seen in a single arm: sessions of few requests are not like the others.
        return "by_request", None
    customer_id = next((exposure.customer_id for exposure in exposures if exposure.customer_id), customer_id)
    arms = {_arm(experiment, exposure, customer_id) for exposure in exposures if _is_current(experiment, exposure)}
    if len(arms) > 1:
        return "crossover", None
    arm = arms.pop()
    if first.reason in _TARGETED_REASONS or experiment.is_targeted(customer_id):
        # Also where the hash agrees: chance did not put it there, and would not have put others of its kind elsewhere.
        return "targeted", arm
    by_hash = experiment.arm_of_hash(first.session_id, customer_id)
    if by_hash is None:
        return "outside_traffic", None
    if arm == by_hash:
        return "randomised", arm
    return ("targeted" if experiment.targeting and arm is not None else "forced"), arm


def _is_current(experiment: Experiment, exposure: Exposure) -> bool:
    # A version that the registry does not know (it may have been made anew) is judged by the hash alone.
    return exposure.config_version in experiment.epoch or exposure.config_version not in experiment.known_versions


def _arm(experiment: Experiment, exposure: Exposure, customer_id: str | None) -> int | None:
    index = exposure.variant_index
    if (
        index is not None
        and 0 <= index < len(experiment.arms)
        and experiment.arms[index].model == exposure.assigned_model
    ):
        return index
    return experiment.arm_of_model(exposure.assigned_model, exposure.session_id, customer_id)
