"""Who is in an experiment, and why others are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import Exposure, cohort_of
from fallom.assignment import bucket
from storage.registry.resources import ConfigVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = {"variants": [{"model": "a", "weight": 90}, {"model": "b", "weight": 10}]}
NEW = {"variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
TARGETED = {**NEW, "targeting": {"enabled": True, "individualTargets": [], "rules": []}}


def experiment(*bodies: dict[str, Any]) -> Experiment:
    made = experiment_of("key", [ConfigVersion(i + 1, NOW, body) for i, body in enumerate(bodies)])
    assert made is not None
    return made


def session_of(model: str) -> str:
    """Return a session that the 50/50 hash gives this model."""
    return next(s for s in (f"s-{i}" for i in range(100)) if (bucket(s) < 500_000) == (model == "a"))


def exposure(session_id: str, model: str, version: int = 1, index: int | None = None, after_s: int = 0) -> Exposure:
    return Exposure(session_id, version, model, index, NOW + timedelta(seconds=after_s))


def test_a_session_that_was_given_what_the_hash_says_is_randomised() -> None:
    a, b = session_of("a"), session_of("b")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a"), exposure(b, "b")])

    assert cohort.arm_of_session == {a: 0, b: 1}
    assert (cohort.sessions(0), cohort.sessions(1)) == (1, 1)
    assert set(cohort.excluded.values()) == {0}


def test_a_session_that_was_exposed_often_to_one_arm_counts_once_and_from_its_first() -> None:
    a = session_of("a")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a", after_s=9), exposure(a, "a", index=0, after_s=3)])

    assert cohort.arm_of_session == {a: 0}
    assert cohort.first_exposure == NOW + timedelta(seconds=3)


@pytest.mark.parametrize(("body", "label"), [(TARGETED, "targeted"), (NEW, "forced")])
def test_a_session_that_chance_did_not_put_in_its_arm_is_left_out(body: dict[str, Any], label: str) -> None:
    cohort = cohort_of(experiment(body), [exposure(session_of("a"), "b")])

    assert cohort.arm_of_session == {}
    assert cohort.excluded[label] == 1


def test_a_model_that_is_no_variant_is_forced_even_where_there_is_targeting() -> None:
    cohort = cohort_of(experiment(TARGETED), [exposure(session_of("a"), "c")])

    assert cohort.excluded["forced"] == 1


def test_a_session_seen_in_two_arms_is_a_crossover() -> None:
    a = session_of("a")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a"), exposure(a, "b")])

    assert cohort.excluded["crossover"] == 1


def test_a_session_of_another_epoch_is_stale() -> None:
    cohort = cohort_of(experiment(OLD, NEW), [exposure(session_of("a"), "a", version=1)])

    assert cohort.excluded["stale_version"] == 1
    assert cohort.first_exposure is None


def test_a_session_of_both_epochs_counts_where_its_arm_did_not_change() -> None:
    a = session_of("a")

    stayed = cohort_of(experiment(OLD, NEW), [exposure(a, "a", 1), exposure(a, "a", 2)])
    moved = cohort_of(experiment(OLD, NEW), [exposure(a, "b", 1), exposure(a, "a", 2)])

    assert stayed.arm_of_session == {a: 0}
    assert moved.excluded["crossover"] == 1


def test_a_version_that_the_registry_does_not_know_is_judged_by_the_hash() -> None:
    a, b = session_of("a"), session_of("b")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a", version=7), exposure(b, "a", version=7)])

    assert cohort.arm_of_session == {a: 0}
    assert cohort.excluded["forced"] == 1


def test_an_index_that_contradicts_the_model_is_not_believed() -> None:
    a = session_of("a")

    assert cohort_of(experiment(NEW), [exposure(a, "a", index=1)]).arm_of_session == {a: 0}
    assert cohort_of(experiment(NEW), [exposure(a, "a", index=99)]).arm_of_session == {a: 0}
