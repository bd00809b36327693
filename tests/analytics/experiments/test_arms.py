"""The arms of an experiment and the versions that may be counted together."""

from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any

import pytest

from analytics.experiments.arms import Experiment, experiment_of, prompt_experiment_of
from fallom.assignment import assign
from storage.registry.resources import ConfigVersion

START = datetime(2026, 1, 1, tzinfo=UTC)


def versions(*bodies: dict[str, Any]) -> list[ConfigVersion]:
    return [ConfigVersion(i + 1, START + timedelta(days=i), body) for i, body in enumerate(bodies)]


def even(**more: Any) -> dict[str, Any]:
    return {"variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}], **more}


def canary() -> dict[str, Any]:
    return {"variants": [{"model": "a", "weight": 95}, {"model": "b", "weight": 5}]}


def made(*bodies: dict[str, Any], version: int | None = None, epoch: int | None = None) -> Experiment:
    experiment = experiment_of("key", versions(*bodies), version, epoch=epoch)
    assert experiment is not None
    return experiment


def test_the_latest_version_is_taken_and_a_named_one_where_it_exists() -> None:
    assert made(even(), canary()).version == 2
    assert made(even(), canary(), version=1).version == 1
    assert experiment_of("key", versions(even()), 7) is None
    assert experiment_of("key", []) is None


def test_a_variant_is_keyed_by_its_name_in_an_object_and_by_its_model_in_a_list() -> None:
    named = made({"variants": {"control": {"model": "a", "weight": 50}, "fast": {"model": "b", "weight": 50}}})

    assert [arm.key for arm in named.arms] == ["control", "fast"]
    assert [arm.key for arm in made(even()).arms] == ["a", "b"]


def test_an_epoch_is_the_unbroken_run_of_versions_that_assign_alike() -> None:
    targeted = even(targeting={"enabled": True, "individualTargets": [], "rules": []})
    bodies = (even(), even(), canary(), even(), targeted, canary())

    assert [epoch.versions for epoch in made(*bodies).timeline] == [(1, 2), (3,), (4,), (5,), (6,)]
    assert made(*bodies, version=1).versions == {1, 2}
    assert made(*bodies, epoch=3).versions == {4}


def test_an_epoch_is_in_force_until_the_next_begins() -> None:
    first, second = made(even(), even(), canary()).timeline

    assert (first.start, first.end) == (START, START + timedelta(days=2))
    assert (second.start, second.end) == (START + timedelta(days=2), None)
    assert (first.shares, second.shares) == ((0.5, 0.5), (0.95, 0.05))


def test_all_epochs_of_the_same_arms_count_unless_one_is_chosen() -> None:
    others = {"variants": [{"model": "a", "weight": 50}, {"model": "c", "weight": 50}]}
    bodies = (even(), canary(), others, even(traffic=50, hash_version=1))

    assert made(*bodies).versions == {1, 2, 4}
    assert made(*bodies, version=3).versions == {3}
    assert made(*bodies, version=1).versions == {1}
    assert [arm.share for arm in made(*bodies, version=2).arms] == pytest.approx([0.95, 0.05])


def test_a_clock_that_was_set_back_brings_no_version_back() -> None:
    bodies = [even(), canary(), even()]
    times = [START, START + timedelta(days=5), START + timedelta(days=1)]

    found = experiment_of(
        "key", [ConfigVersion(i + 1, time, body) for i, (time, body) in enumerate(zip(times, bodies, strict=True))]
    )

    assert found is not None
    assert [epoch.start for epoch in found.timeline] == [START, START + timedelta(days=5), START + timedelta(days=5)]


def test_an_experiment_starts_with_its_epoch() -> None:
    assert made(canary(), even(), even()).started_at == START
    assert made(canary(), even(), even(), version=3).started_at == START + timedelta(days=1)


def test_the_share_of_an_arm_is_what_the_walk_gives_it_not_its_weight() -> None:
    experiment = made({"variants": [{"model": "a", "weight": 30}, {"model": "b", "weight": 30}]})

    assert [arm.share for arm in experiment.arms] == [0.3, 0.7]


def test_versions_that_deal_otherwise_are_of_another_epoch() -> None:
    salted, reseeded = even(hash_version=2), even(hash_version=2, seed="b")
    fewer = even(hash_version=2, traffic=10)

    bodies = (even(), salted, reseeded, fewer, even(hash_version=2, sticky_by="customer"))
    assert [epoch.versions for epoch in made(*bodies).timeline] == [(1,), (2,), (3,), (4,), (5,)]
    assert len(made(even(), even(hash_version=1, traffic=100)).timeline) == 1


def test_sessions_of_another_hash_are_never_counted_together() -> None:
    salted, reseeded = even(hash_version=2), even(hash_version=2, seed="b")

    assert made(even(), salted, reseeded, even(hash_version=2, sticky_by="customer"), salted).versions == {2, 5}
    # A smaller share of the traffic deals those who are in it alike.
    assert made(salted, even(hash_version=2, traffic=10)).versions == {1, 2}


def test_the_arm_of_a_hash_is_that_of_the_assignment() -> None:
    body = even(hash_version=2, seed="b", traffic=60, sticky_by="customer")
    experiment = made(body)

    for number in range(200):
        expected = assign({"key": "key", **body}, f"s{number}", customer_id=f"c{number}")
        is_outside = expected.reason == "outside_traffic"
        assert experiment.arm_of_hash(f"s{number}", f"c{number}") == (None if is_outside else expected.variant_index)


def test_the_shares_are_those_of_the_sessions_in_the_test() -> None:
    assert [arm.share for arm in made(even(hash_version=2, traffic=60)).arms] == pytest.approx([0.5, 0.5])


def prompt_test(*weights: float) -> Experiment:
    keys: list[dict[str, Any]] = [{"prompt_key": "hello"}, {"prompt_key": "hello", "prompt_version": 2}]
    bodies = [
        {"variants": [each | {"weight": share} for each, share in zip(keys, (weight, 100 - weight), strict=True)]}
        for weight in weights
    ]
    made = prompt_experiment_of("tone", versions(*bodies))
    assert made is not None
    return made


def test_the_arms_of_a_prompt_test_are_its_prompts() -> None:
    found = prompt_test(50, 80)

    assert [(arm.key, arm.model, arm.share) for arm in found.arms] == [
        ("hello", None, pytest.approx(0.8)),
        ("hello@2", None, pytest.approx(0.2)),
    ]
    assert (found.column, found.key, len(found.epochs)) == ("prompt_ab_test_key", "tone", 2)
    assert prompt_experiment_of("tone", []) is None


def test_a_session_of_a_prompt_test_gets_what_the_published_clients_give_it() -> None:
    found = prompt_test(30)

    for number in range(200):
        # As in their prompts.get_ab.
        bucket = int.from_bytes(md5(f"s{number}".encode()).digest()[:4], "big") % 1_000_000
        assert found.arm_of_hash(f"s{number}") == int(bucket >= 300_000)


@pytest.mark.parametrize(
    ("assigned", "arms"),
    [("hello@2", [0, 1]), ("hello@5", [0]), ("hello", [0, 1]), ("bye@2", []), ("bye", []), (None, []), ("", [])],
)
def test_a_prompt_may_be_of_the_arms_that_have_it(assigned: str | None, arms: list[int]) -> None:
    assert prompt_test(50).arms_of(assigned) == arms
