"""Warnings about configs that concern others: two live tests of one unsalted hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.api.config import Config
from storage.registry import document
from storage.registry.advice import collisions as collisions_of
from storage.registry.advice import warnings
from storage.registry.registry import Registry


def config(key: str, *weights: float, **more: Any) -> dict[str, Any]:
    return {"key": key, "variants": [{"model": str(i), "weight": weight} for i, weight in enumerate(weights)], **more}


def collisions(configs: list[dict[str, Any]]) -> dict[str, str]:
    return collisions_of((each["key"], each) for each in configs)


def test_two_live_tests_of_the_unsalted_hash_are_each_told_of_the_other() -> None:
    found = collisions([config("one", 50, 50), config("two", 90, 10)])

    assert found.keys() == {"one", "two"}
    assert "'two'" in found["one"]
    assert "'one'" in found["two"]
    assert "hash_version: 2" in found["one"]


@pytest.mark.parametrize(
    "other",
    [
        config("two", 50, 50, hash_version=2),
        config("two", 100),
        config("two", 0, 100),
        {"key": "two", "variants": {"a": {"model": "a", "weight": 0}, "b": {"model": "b", "weight": 1}}},
    ],
)
def test_a_salted_test_and_one_that_is_concluded_collide_with_nothing(other: dict[str, Any]) -> None:
    assert collisions([config("one", 50, 50), other]) == {}


def test_of_many_others_some_are_named_and_all_counted() -> None:
    found = collisions([config(f"t{number}", 50, 50) for number in range(8)])

    assert "'t1', 't2', 't3', 't4', 't5' and 2 more" in found["t0"]


def test_an_apply_warns_of_tests_that_are_there_already(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db")
    try:
        (first,) = registry.apply("a", document.parse({"configs": [config("one", 50, 50)]}))
        (second,) = registry.apply("a", document.parse({"configs": [config("two", 50, 50)]}))
        (elsewhere,) = registry.apply("b", document.parse({"configs": [config("three", 50, 50)]}))
    finally:
        registry.close()

    assert (first.warnings, elsewhere.warnings) == ((), ())
    assert ["'one'" in warning for warning in second.warnings] == [True]


@pytest.mark.parametrize("key", ["team/draft", "team/versions/3"])
def test_a_key_of_before_such_keys_were_refused_is_warned_about(key: str) -> None:
    (warning,) = warnings(Config.model_validate(config(key, 1)), 1)

    assert warning.endswith("of another resource: it is reached by apply and export alone")


def test_who_deals_by_request_is_told_that_results_compare_nothing() -> None:
    told = warnings(Config.model_validate(config("one", 1, sticky_by="request")), 1)

    assert any("give no verdict" in warning for warning in told)
