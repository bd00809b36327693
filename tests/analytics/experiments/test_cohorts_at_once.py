"""A cohort that is judged at once is the one that its sessions make that are judged one by one, by the rules."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.assignments import digests
from analytics.experiments.cohorts import EXPOSURE_ROWS, LABELS, cohort_of
from storage.registry.resources import ConfigVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = ("a", "b", "c", "a")
CUSTOMERS = st.sampled_from([None, "", "vip", "one", "two"])
VIP = {"enabled": True, "individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 1}]}
CONFIGS = st.fixed_dictionaries(
    {
        "variants": st.lists(
            st.builds(
                lambda model, weight: {"model": model, "weight": weight},
                st.sampled_from(MODELS),
                st.sampled_from([0, 20, 50]),
            ),
            min_size=1,
            max_size=4,
        )
    },
    optional={
        "targeting": st.sampled_from([VIP, {**VIP, "enabled": False}]),
        "sticky_by": st.sampled_from(["session", "customer", "request"]),
        "hash_version": st.just(2),
        "traffic": st.sampled_from([40, 100]),
    },
)
EXPOSURE = st.fixed_dictionaries(
    {
        "session_id": st.sampled_from([f"s-{number}" for number in range(6)]),
        "config_version": st.sampled_from([0, 1, 2, 3]),
        "assigned_model": st.sampled_from([None, *MODELS, "none"]),
        "variant_index": st.sampled_from([None, -1, 0, 1, 2, 9]),
        "reason": st.sampled_from([None, "weight", "weight", "rule", "fallback"]),
        "customer_id": CUSTOMERS,
    }
)


@given(
    st.lists(CONFIGS, min_size=1, max_size=2),
    st.lists(EXPOSURE, max_size=20),
    st.dictionaries(st.sampled_from(["s-0", "s-1", "s-9"]), st.sampled_from(["vip", "one"])),
)
def test_sessions_are_labelled_at_once_as_they_are_one_by_one(
    bodies: list[dict[str, Any]], found: list[dict[str, Any]], customers: dict[str, str]
) -> None:
    experiment = experiment_of("key", [ConfigVersion(i + 1, NOW, body) for i, body in enumerate(bodies)])
    assert experiment is not None
    # As they may be read: in no order, each at a time of its own.
    exposures = [{**each, "event_time": NOW + timedelta(seconds=place * 7 % 23)} for place, each in enumerate(found)]
    by_session = defaultdict(list)
    for each in sorted(exposures, key=lambda each: each["event_time"]):
        by_session[each["session_id"]].append(each)

    cohort = cohort_of(experiment, rows_of(experiment, exposures), table_of(customers))

    labels = [LABELS[place] for place in cohort.labels]
    arms = [None if arm < 0 else arm for arm in cohort.arms.tolist()]
    at_once = dict(zip(cohort.session_ids.to_pylist(), zip(labels, arms, strict=True), strict=True))
    assert at_once == {name: label_of(experiment, rows, customers.get(name)) for name, rows in by_session.items()}
    assert dict(zip(cohort.session_ids.to_pylist(), cohort.exposed_at.to_pylist(), strict=True)) == {
        name: rows[0]["event_time"] for name, rows in by_session.items()
    }


def rows_of(experiment: Experiment, exposures: list[dict[str, Any]]) -> pa.Table:
    told = pa.schema([field for field in EXPOSURE_ROWS if field.name != "digest"])
    hashes = digests(experiment.by_chance, [each["session_id"] for each in exposures])
    return pa.Table.from_pylist(exposures, told).append_column("digest", pa.array(hashes))


def table_of(customers: dict[str, str]) -> pa.Table:
    columns = [pa.array(list(customers), pa.string()), pa.array(list(customers.values()), pa.string())]
    return pa.table(columns, ["session_id", "customer_id"])


def label_of(experiment: Experiment, exposures: list[dict[str, Any]], customer: str | None) -> tuple[str, int | None]:
    """Return the label and the arm of one session, whose exposures stand in the order of time."""

    def is_current(exposure: dict[str, Any]) -> bool:
        version = exposure["config_version"]
        return version in experiment.epoch or version not in experiment.known_versions

    first = exposures[0]
    if first["reason"] == "fallback":
        return "fallback", None
    if not is_current(first):
        return "stale_version", None
    if experiment.is_by_request:
        return "by_request", None
    customer = next((each["customer_id"] for each in exposures if each["customer_id"]), customer)
    arms = {arm_of(experiment, exposure, customer) for exposure in exposures if is_current(exposure)}
    if len(arms) > 1:
        return "crossover", None
    arm = arms.pop()
    if first["reason"] in ("individual_target", "rule") or experiment.is_targeted(customer):
        return "targeted", arm
    by_hash = experiment.arm_of_hash(first["session_id"], customer)
    if by_hash is None:
        return "outside_traffic", None
    if arm == by_hash:
        return "randomised", arm
    return ("targeted" if experiment.targeting and arm is not None else "forced"), arm


def arm_of(experiment: Experiment, exposure: dict[str, Any], customer: str | None) -> int | None:
    index, model = exposure["variant_index"], exposure["assigned_model"]
    if index is not None and 0 <= index < len(experiment.arms) and experiment.arms[index].model == model:
        return index
    candidates = [place for place, arm in enumerate(experiment.arms) if arm.model == model]
    hashed = experiment.arm_of_hash(exposure["session_id"], customer)
    if len(candidates) > 1 and hashed in candidates:
        return hashed
    return candidates[0] if candidates else None
