"""Who is in an experiment, and why others are not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import Cohort, Window
from analytics.experiments.cohorts import cohort_of as cohort_of_rows
from analytics.experiments.exposure_rows import EXPOSURE_ROWS
from fallom.assignment import assign, bucket
from storage.registry.resources import ConfigVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = {"variants": [{"model": "a", "weight": 90}, {"model": "b", "weight": 10}]}
NEW = {"variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
TARGETED = {**NEW, "targeting": {"enabled": True, "individualTargets": [], "rules": []}}


def experiment(*bodies: dict[str, Any], epoch: int | None = None) -> Experiment:
    """Return a config whose versions were made an hour apart."""
    versions = [ConfigVersion(i + 1, NOW + timedelta(hours=i), body) for i, body in enumerate(bodies)]
    made = experiment_of("key", versions, epoch=epoch)
    assert made is not None
    return made


def session_of(model: str) -> str:
    """Return a session that the 50/50 hash gives this model."""
    return next(s for s in (f"s-{i}" for i in range(100)) if (bucket(s) < 500_000) == (model == "a"))


class Exposure(NamedTuple):
    session_id: str
    config_version: int
    assigned_model: str
    variant_index: int | None
    reason: str | None
    customer_id: str | None
    event_time: datetime


def rows_of(experiment: Experiment, exposures: Sequence[Exposure]) -> pa.Table:
    return pa.Table.from_pylist([each._asdict() for each in exposures], EXPOSURE_ROWS)


def cohort_of(
    experiment: Experiment,
    exposures: Sequence[Exposure],
    customers: dict[str, str] | None = None,
    window: Window = Window(),  # noqa: B008 - it can't be changed
) -> Cohort:
    known = pa.table(
        {"session_id": list((customers or {}).keys()), "customer_id": list((customers or {}).values())},
        pa.schema([("session_id", pa.string()), ("customer_id", pa.string())]),
    )
    return cohort_of_rows(experiment, rows_of(experiment, exposures), known, window)


def arms(cohort: Cohort) -> dict[str, int]:
    """Return the arm of each session that counts."""
    return {row["session_id"]: row["arm"] for row in cohort.to_table().to_pylist() if row["arm"] is not None}


def epochs(cohort: Cohort) -> dict[str, int]:
    """Return the epoch of each session that counts."""
    return {row["session_id"]: row["epoch"] for row in cohort.to_table().to_pylist() if row["epoch"] is not None}


def exposure(
    session_id: str,
    model: str,
    version: int = 1,
    index: int | None = None,
    after_s: int = 0,
    reason: str | None = None,
    customer_id: str | None = None,
) -> Exposure:
    return Exposure(session_id, version, model, index, reason, customer_id, NOW + timedelta(seconds=after_s))


def test_a_session_that_was_given_what_the_hash_says_is_randomised() -> None:
    a, b = session_of("a"), session_of("b")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a"), exposure(b, "b")])

    assert arms(cohort) == {a: 0, b: 1}
    assert (cohort.sessions(0), cohort.sessions(1)) == (1, 1)
    assert set(cohort.excluded.values()) == {0}


def test_a_session_that_was_exposed_often_to_one_arm_counts_once_and_from_its_first() -> None:
    a = session_of("a")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a", after_s=9), exposure(a, "a", index=0, after_s=3)])

    assert arms(cohort) == {a: 0}
    assert cohort.first_exposure == NOW + timedelta(seconds=3)


@pytest.mark.parametrize(("body", "label"), [(TARGETED, "targeted"), (NEW, "forced")])
def test_a_session_that_chance_did_not_put_in_its_arm_is_left_out(body: dict[str, Any], label: str) -> None:
    cohort = cohort_of(experiment(body), [exposure(session_of("a"), "b")])

    assert arms(cohort) == {}
    assert cohort.excluded[label] == 1


def test_a_model_that_is_no_variant_is_forced_even_where_there_is_targeting() -> None:
    cohort = cohort_of(experiment(TARGETED), [exposure(session_of("a"), "c")])

    assert cohort.excluded["forced"] == 1


def test_a_session_seen_in_two_arms_is_a_crossover() -> None:
    a = session_of("a")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a"), exposure(a, "b")])

    assert cohort.excluded["crossover"] == 1


def test_a_session_of_an_epoch_that_does_not_count_is_stale() -> None:
    cohort = cohort_of(experiment(OLD, NEW, epoch=2), [exposure(session_of("a"), "a", version=1)])

    assert cohort.excluded["stale_version"] == 1
    assert cohort.first_exposure is None


def test_a_session_is_of_the_epoch_that_it_began_in() -> None:
    a = session_of("a")
    began = [exposure(a, "a", 1), exposure(a, "a", 2, after_s=3601)]
    joined = [exposure(a, "a", 2, after_s=3601), exposure(a, "b", 1, after_s=3602)]

    assert epochs(cohort_of(experiment(OLD, NEW), began)) == {a: 0}
    assert cohort_of(experiment(OLD, NEW, epoch=2), began).excluded["stale_version"] == 1
    # A client that had not yet learnt of the new version does not make it a crossover.
    assert arms(cohort_of(experiment(OLD, NEW), joined)) == {a: 0}
    assert epochs(cohort_of(experiment(OLD, NEW), joined)) == {a: 1}


def test_a_client_has_a_minute_to_learn_of_new_weights() -> None:
    a = session_of("a")
    in_time = cohort_of(experiment(OLD, NEW), [exposure(a, "a", 1, after_s=3660)])
    late = cohort_of(experiment(OLD, NEW), [exposure(a, "a", 1, after_s=3661)])

    assert epochs(in_time) == {a: 0}
    assert (late.excluded["stale_version"], late.stale_clients) == (1, 1)


def test_a_version_that_assigns_alike_is_never_stale() -> None:
    a = session_of("a")

    assert epochs(cohort_of(experiment(NEW, NEW), [exposure(a, "a", 1, after_s=9_000)])) == {a: 0}


def test_an_exposure_without_a_version_is_of_the_epoch_in_force() -> None:
    # Of the hash's arm a by both weights, and by the first alone.
    both = session_of("a")
    first = next(s for s in (f"s-{i}" for i in range(100)) if 500_000 <= bucket(s) < 900_000)
    found = [exposure(both, "a", 0, after_s=1), exposure(first, "a", 0, after_s=3601)]

    cohort = cohort_of(experiment(OLD, NEW), found)

    assert epochs(cohort) == {both: 0}
    assert cohort.excluded["forced"] == 1


def test_a_slow_clock_does_not_take_a_version_away() -> None:
    a = session_of("a")

    assert epochs(cohort_of(experiment(OLD, NEW), [exposure(a, "a", 2, after_s=3500)])) == {a: 1}


def test_sessions_that_began_outside_of_the_window_are_left_out() -> None:
    a, b = session_of("a"), session_of("b")
    found = [exposure(a, "a", after_s=9), exposure(a, "a", index=0, after_s=11), exposure(b, "b", after_s=10)]
    window = Window(NOW + timedelta(seconds=10), NOW + timedelta(seconds=20))

    cohort = cohort_of(experiment(NEW), found, window=window)

    assert arms(cohort) == {b: 1}
    assert cohort.excluded["outside_window"] == 1
    assert cohort_of(experiment(NEW), [exposure(a, "a", after_s=20)], window=window).excluded["outside_window"] == 1


def test_a_fallback_is_no_assignment() -> None:
    a = session_of("a")

    assert cohort_of(experiment(NEW), [exposure(a, "a", reason="fallback")]).excluded["fallback"] == 1


VIP = {
    **NEW,
    "targeting": {"enabled": True, "individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 0}]},
}


@pytest.mark.parametrize(
    ("given", "of_spans"),
    [({"customer_id": "vip"}, None), ({}, "vip"), ({"reason": "individual_target"}, None), ({"reason": "rule"}, None)],
)
def test_a_targeted_session_is_left_out_also_where_the_hash_agrees(given: dict[str, Any], of_spans: str | None) -> None:
    a = session_of("a")
    found = cohort_of(experiment(VIP), [exposure(a, "a", **given)], {a: of_spans} if of_spans else {})

    assert found.excluded["targeted"] == 1
    assert arms(found) == {}


def test_other_customers_of_a_config_with_targeting_are_randomised() -> None:
    a = session_of("a")

    assert arms(cohort_of(experiment(VIP), [exposure(a, "a", customer_id="someone")])) == {a: 0}


def test_targeting_by_what_only_the_client_knows_is_noticed() -> None:
    by_plan = {"conditions": [{"field": "plan", "operator": "eq", "value": "pro"}], "variantIndex": 0}

    assert experiment({**NEW, "targeting": {"enabled": True, "rules": [by_plan]}}).has_unseen_targeting
    assert not experiment({**NEW, "targeting": {"enabled": False, "rules": [by_plan]}}).has_unseen_targeting
    assert not experiment(VIP).has_unseen_targeting


def test_a_version_that_the_registry_does_not_know_is_judged_by_the_hash() -> None:
    a, b = session_of("a"), session_of("b")

    cohort = cohort_of(experiment(NEW), [exposure(a, "a", version=7), exposure(b, "a", version=7)])

    assert arms(cohort) == {a: 0}
    assert cohort.excluded["forced"] == 1


def test_an_index_that_contradicts_the_model_is_not_believed() -> None:
    a = session_of("a")

    assert arms(cohort_of(experiment(NEW), [exposure(a, "a", index=1)])) == {a: 0}
    assert arms(cohort_of(experiment(NEW), [exposure(a, "a", index=99)])) == {a: 0}


def test_a_session_is_in_the_arm_of_the_salted_hash() -> None:
    config = {"key": "key", "hash_version": 2, "seed": "s", **NEW}
    by_hash = {name: assign(config, name).model for name in (f"s-{number}" for number in range(40))}
    salted = experiment({"hash_version": 2, "seed": "s", **NEW})

    cohort = cohort_of(salted, [exposure(name, model) for name, model in by_hash.items()])

    assert arms(cohort) == {name: ["a", "b"].index(model) for name, model in by_hash.items()}
    assert any(model != ("a" if bucket(name) < 500_000 else "b") for name, model in by_hash.items())


def test_a_session_outside_of_the_traffic_is_left_out() -> None:
    body = {"hash_version": 2, "traffic": 20, **NEW}
    found = {name: assign({"key": "key", **body}, name) for name in (f"s-{number}" for number in range(40))}
    inside = {name: each.variant_index for name, each in found.items() if each.reason == "weight"}

    cohort = cohort_of(experiment(body), [exposure(name, each.model) for name, each in found.items()])

    assert arms(cohort) == inside
    assert cohort.excluded["outside_traffic"] == 40 - len(inside) > 0


@pytest.mark.parametrize("named_by", ["exposure", "spans"])
def test_a_customer_decides_where_the_config_sticks_to_customers(named_by: str) -> None:
    body = {"sticky_by": "customer", **NEW}
    customer = session_of("b")
    found = [exposure(session_of("a"), "b", customer_id=customer if named_by == "exposure" else None)]

    cohort = cohort_of(experiment(body), found, {session_of("a"): customer} if named_by == "spans" else {})

    assert arms(cohort) == {session_of("a"): 1}


def test_no_session_counts_where_each_request_is_dealt_anew() -> None:
    a, b = session_of("a"), session_of("b")
    found = [exposure(a, "a"), exposure(b, "a"), exposure(b, "b")]

    cohort = cohort_of(experiment({"sticky_by": "request", **NEW}), found)

    assert arms(cohort) == {}
    assert (cohort.excluded["by_request"], cohort.excluded["crossover"]) == (2, 0)


@pytest.mark.parametrize("change", [{"hash_version": 2}, {"sticky_by": "customer"}])
def test_another_hash_is_another_epoch(change: dict[str, Any]) -> None:
    cohort = cohort_of(experiment(NEW, NEW | change), [exposure(session_of("a"), "a", version=1)])

    assert len(experiment(NEW, NEW | change).timeline) == 2

    assert cohort.excluded["stale_version"] == 1


def test_of_two_variants_with_one_model_the_hash_decides() -> None:
    body = {"variants": {"short": {"model": "m", "weight": 50}, "long": {"model": "m", "weight": 50}}}
    names = [f"s-{number}" for number in range(50)]

    cohort = cohort_of(experiment(body), [exposure(name, "m") for name in names])

    assert arms(cohort) == {name: int(bucket(name) >= 500_000) for name in names}
