"""A cohort that is judged at once is the one that its sessions make that are judged one by one, by the rules."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import LABELS, Window, cohort_of
from analytics.experiments.epochs import Epoch
from analytics.experiments.exposure_rows import EXPOSURE_ROWS
from storage.registry.resources import ConfigVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = ("a", "b", "c", "a")


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


CUSTOMERS = st.sampled_from([None, "", "vip", "one", "two"])
VIP = {"enabled": True, "individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 1}]}
WEIGHTS = st.lists(st.sampled_from([0, 20, 50]), min_size=4, max_size=4)
REST = st.fixed_dictionaries(
    {},
    optional={
        "targeting": st.sampled_from([VIP, {**VIP, "enabled": False}]),
        "traffic": st.sampled_from([40, 100]),
    },
)


@st.composite
def config_versions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Versions of a config that differ in their weights, now and then in their arms or their hash."""
    arms = st.lists(st.sampled_from(MODELS), min_size=1, max_size=4)
    hashes = st.fixed_dictionaries(
        {},
        optional={
            "sticky_by": st.sampled_from(["session", "customer", "request"]),
            "hash_version": st.just(2),
            "seed": st.sampled_from(["", "s"]),
        },
    )
    models, hashed = draw(arms), draw(hashes)
    bodies = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 5)) == 5:
            models, hashed = draw(arms), draw(hashes)
        variants = [{"model": model, "weight": weight} for model, weight in zip(models, draw(WEIGHTS), strict=False)]
        bodies.append({"variants": variants, **hashed, **draw(REST)})
    return bodies


EXPOSURE = st.fixed_dictionaries(
    {
        "session_id": st.sampled_from([f"s-{number}" for number in range(6)]),
        "config_version": st.sampled_from([0, 1, 1, 2, 3, 4, 9]),
        "assigned_model": st.sampled_from([None, *MODELS, "none"]),
        "variant_index": st.sampled_from([None, -1, 0, 1, 2, 9]),
        "reason": st.sampled_from([None, "weight", "weight", "rule", "fallback"]),
        "customer_id": CUSTOMERS,
        # About the changes of version, and the minute after each.
        "event_time": st.sampled_from([-100, 0, 100, 299, 300, 359, 360, 361, 600, 660, 661, 2000]).map(at),
    }
)


@given(
    config_versions(),
    st.lists(EXPOSURE, max_size=20),
    st.dictionaries(st.sampled_from(["s-0", "s-1", "s-9"]), st.sampled_from(["vip", "one"])),
    st.sampled_from([Window(), Window(start=at(-50)), Window(at(0), at(1000))]),
    st.randoms(use_true_random=False),
)
def test_sessions_are_labelled_at_once_as_they_are_one_by_one(
    bodies: list[dict[str, Any]],
    exposures: list[dict[str, Any]],
    customers: dict[str, str],
    window: Window,
    order: random.Random,
) -> None:
    # A version each five minutes.
    versions = [ConfigVersion(i + 1, at(i * 300), body) for i, body in enumerate(bodies)]
    experiment = experiment_of("key", versions)
    assert experiment is not None
    by_session = defaultdict(list)
    for each in sorted(exposures, key=in_time):
        by_session[each["session_id"]].append(each)
    # As they may be read: in no order.
    order.shuffle(exposures)

    cohort = cohort_of(experiment, rows_of(experiment, exposures), table_of(customers), window)

    labels = [LABELS[place] for place in cohort.labels]
    arms = [None if arm < 0 else arm for arm in cohort.arms.tolist()]
    epochs = [None if epoch < 0 else experiment.epochs[epoch].number for epoch in cohort.epochs.tolist()]
    at_once = dict(zip(cohort.session_ids.to_pylist(), zip(labels, arms, epochs, strict=True), strict=True))
    one_by_one = {
        name: label_of(versions, experiment, rows, customers.get(name), window) for name, rows in by_session.items()
    }
    assert at_once == one_by_one
    assert dict(zip(cohort.session_ids.to_pylist(), cohort.exposed_at.to_pylist(), strict=True)) == {
        name: rows[0]["event_time"] for name, rows in by_session.items()
    }


def rows_of(experiment: Experiment, exposures: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(exposures, EXPOSURE_ROWS)


def table_of(customers: dict[str, str]) -> pa.Table:
    columns = [pa.array(list(customers), pa.string()), pa.array(list(customers.values()), pa.string())]
    return pa.table(columns, ["session_id", "customer_id"])


def in_time(exposure: dict[str, Any]) -> tuple[object, ...]:
    """Return what exposures are ordered by: their time, and where that is the same what they say; NULL comes last."""
    names = ("event_time", "config_version", "reason", "assigned_model", "variant_index", "customer_id")
    return tuple((exposure[name] is None, exposure[name] is not None and exposure[name]) for name in names)


def epoch_of(versions: list[ConfigVersion], timeline: tuple[Epoch, ...], exposure: dict[str, Any]) -> Epoch:
    """Return the epoch of the version that the exposure names, else of the one in force at its time."""
    numbers = {version.version for version in versions}
    named = exposure["config_version"]
    if named not in numbers:
        begun = [each.version for each in versions if each.created_at <= exposure["event_time"]]
        named = max(begun, default=1)
    return next(epoch for epoch in timeline if named in epoch.versions)


def label_of(
    versions: list[ConfigVersion],
    experiment: Experiment,
    exposures: list[dict[str, Any]],
    customer: str | None,
    window: Window,
) -> tuple[str, int | None, int | None]:
    """Return the label, the arm and the epoch of one session, whose exposures stand in the order of time."""
    first = exposures[0]
    epoch = epoch_of(versions, experiment.timeline, first)
    is_late = (
        first["config_version"] in epoch.versions
        and epoch.end is not None
        and first["event_time"] > epoch.end + timedelta(minutes=1)
    )
    is_stale = is_late or epoch not in experiment.epochs
    number = None if is_stale else epoch.number
    is_before = window.start is not None and first["event_time"] < window.start
    if is_before or (window.end is not None and first["event_time"] >= window.end):
        return "outside_window", None, number
    if first["reason"] == "fallback":
        return "fallback", None, number
    if is_stale:
        return "stale_version", None, None
    if experiment.is_by_request:
        return "by_request", None, number
    customer = next((each["customer_id"] for each in exposures if each["customer_id"]), customer)
    own = [each for each in exposures if epoch_of(versions, experiment.timeline, each) == epoch]
    arms = {arm_of(experiment, epoch, each, customer) for each in own}
    if len(arms) > 1:
        return "crossover", None, number
    arm = arms.pop()
    if first["reason"] in ("individual_target", "rule") or epoch.is_targeted(customer):
        return "targeted", arm, number
    by_hash = experiment.arm_of_hash(first["session_id"], customer, epoch=epoch)
    if by_hash is None:
        return "outside_traffic", None, number
    if arm == by_hash:
        return "randomised", arm, number
    return ("targeted" if epoch.targeting and arm is not None else "forced"), arm, number


def arm_of(experiment: Experiment, epoch: Epoch, exposure: dict[str, Any], customer: str | None) -> int | None:
    index, model = exposure["variant_index"], exposure["assigned_model"]
    if index is not None and 0 <= index < len(experiment.arms) and experiment.arms[index].model == model:
        return index
    candidates = [place for place, arm in enumerate(experiment.arms) if arm.model == model]
    hashed = experiment.arm_of_hash(exposure["session_id"], customer, epoch=epoch)
    if len(candidates) > 1 and hashed in candidates:
        return hashed
    return candidates[0] if candidates else None
