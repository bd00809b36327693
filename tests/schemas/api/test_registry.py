"""The registry's document: what is refused, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.api.problems import problems_of
from schemas.api.registry import RegistryDocument

A = {"model": "a", "weight": 50}
B = {"model": "b", "weight": 50}


def lines(document: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        RegistryDocument.model_validate(document)
    return [str(problem) for problem in problems_of(caught.value.errors())]


def config(**fields: Any) -> dict[str, Any]:
    return {"configs": [{"key": "k", "variants": [A, B], **fields}]}


def targeting(**fields: Any) -> dict[str, Any]:
    return config(targeting=fields)


def condition(**fields: Any) -> dict[str, Any]:
    return targeting(
        rules=[{"variantIndex": 0, "conditions": [{"field": "f", "operator": "eq", "value": "v", **fields}]}]
    )


TARGETING = "configs[0].targeting"
CONDITION = f"{TARGETING}.rules[0].conditions[0]"
OPERATORS = "'eq', 'neq', 'in', 'nin', 'contains', 'startsWith' or 'endsWith'"

REFUSED = [
    ({"config": []}, "config: unknown key"),
    ({"configs": {}}, "configs: must be a list, got an empty mapping"),
    ({"configs": ["k"]}, "configs[0]: must be a mapping, got 'k'"),
    (config(key=""), "configs[0].key: must not be empty, got ''"),
    (config(key=5), "configs[0].key: must be a string, got 5"),
    (config(kye="k"), "configs[0].kye: unknown key"),
    (
        config(key="a\nb"),
        "configs[0].key: must not hold control characters, nor begin or end with white space, got 'a\\nb'",
    ),
    (config(key="\ud800"), "configs[0].key: must be valid Unicode text, got '\\ud800'"),
    (
        config(key="k" * 257),
        f"configs[0].key: must be at most 256 characters long, got '{'k' * 80}…' (257 characters)",
    ),
    (config(variants=[]), "configs[0].variants: must not be empty, got an empty list"),
    (config(variants={}), "configs[0].variants: must not be empty, got an empty mapping"),
    (config(variants="a"), "configs[0].variants: must be a list or a mapping, got 'a'"),
    (config(variants=None), "configs[0].variants: must be a list or a mapping, got null"),
    (config(variants=["a"]), "configs[0].variants[0]: must be a mapping, got 'a'"),
    (config(variants={1: A}), "configs[0].variants[1]: must be a string, got 1"),
    (config(variants={"list": {"weight": 1}}), "configs[0].variants.list.model: is required"),
    (config(variants=[{**A, "name": "x"}]), "configs[0].variants[0].name: unknown key"),
    (config(variants=[A, {**B, "weight": -5}]), "configs[0].variants[1].weight: must be >= 0, got -5"),
    (config(variants=[{**A, "weight": True}]), "configs[0].variants[0].weight: must be a number, got true"),
    (config(variants=[{**A, "weight": "50"}]), "configs[0].variants[0].weight: must be a number, got '50'"),
    (config(variants=[{**A, "weight": None}]), "configs[0].variants[0].weight: must be a number, got null"),
    (
        config(variants=[{**A, "weight": float("nan")}]),
        "configs[0].variants[0].weight: must be a finite number, got nan",
    ),
    (
        config(variants=[{**A, "weight": float("inf")}]),
        "configs[0].variants[0].weight: must be a finite number, got inf",
    ),
    (config(variants=[{**A, "weight": 2e9}]), "configs[0].variants[0].weight: must be <= 1000000000, got 2000000000.0"),
    (
        config(variants={"x": {"model": "a", "weight": 0}, "y": {"model": "a", "weight": 0.0}}),
        "configs[0].variants: at least one weight must be > 0, got 0 for all 2 variants",
    ),
    (config(variants=[A] * 1001), "configs[0].variants: must have at most 1000 items, got a list of 1001 items"),
    (targeting(enabled="no"), "configs[0].targeting.enabled: must be true or false, got 'no'"),
    (
        targeting(rules=[{"conditions": [], "variantIndex": 2}]),
        "configs[0].targeting.rules[0].variantIndex: must be < 2, the number of variants, got 2",
    ),
    (
        targeting(individualTargets=[{"field": "f", "value": "v", "variantIndex": -1}]),
        "configs[0].targeting.individualTargets[0].variantIndex: must be >= 0, got -1",
    ),
    (
        targeting(rules=[{"conditions": [], "variantIndex": True}]),
        "configs[0].targeting.rules[0].variantIndex: must be a whole number, got true",
    ),
    (
        targeting(rules=[{"conditions": [], "variantIndex": 1.0}]),
        "configs[0].targeting.rules[0].variantIndex: must be a whole number, got 1.0",
    ),
    (
        targeting(individualTargets=[{"field": "f", "value": ["v"], "variantIndex": 0}]),
        f"{TARGETING}.individualTargets[0].value: must be a string, a number, or true or false, got a list of 1 item",
    ),
    (
        condition(operator="like"),
        f"{CONDITION}.operator: must be one of {OPERATORS}, got 'like'",
    ),
    (condition(operator="in"), f"{CONDITION}.value: operator in needs a list, got 'v'"),
    (condition(operator="nin"), f"{CONDITION}.value: operator nin needs a list, got 'v'"),
    (condition(operator="contains", value=5), f"{CONDITION}.value: operator contains needs a string, got 5"),
    (
        condition(operator="startsWith", value=["v"]),
        f"{CONDITION}.value: operator startsWith needs a string, got a list of 1 item",
    ),
    (condition(value=["v"]), f"{CONDITION}.value: operator eq needs a single value, got a list of 1 item"),
    (condition(value=None), f"{CONDITION}.value: must be a string, a number, or true or false, got null"),
    (
        condition(operator="in", value=["v", {}]),
        f"{CONDITION}.value[1]: must be a string, a number, or true or false, got an empty mapping",
    ),
    (condition(value=2**53), f"{CONDITION}.value: must be between -9007199254740991 and 9007199254740991, got {2**53}"),
    ({"prompts": [{"key": "p", "system_prompt": ""}]}, "prompts[0].user_template: is required"),
    (
        {"prompts": [{"key": "p", "system_prompt": "", "user_template": "a\0b"}]},
        "prompts[0].user_template: must not hold a NUL character, got 'a\\x00b'",
    ),
    (
        {"prompt_ab_tests": [{"key": "t", "variants": [{"prompt_key": "p", "weight": 1, "prompt_version": 0}]}]},
        "prompt_ab_tests[0].variants[0].prompt_version: must be >= 1, got 0",
    ),
    (
        {"prompt_ab_tests": [{"key": "t", "variants": [{"prompt_key": "p", "weight": 1}] * 2}]},
        "prompt_ab_tests[0].variants[1].prompt_key: duplicate variant 'p', first in variants[0]",
    ),
    (
        {"prompt_ab_tests": [{"key": "t", "variants": [{"prompt_key": "p", "weight": 0}]}]},
        "prompt_ab_tests[0].variants: at least one weight must be > 0, got 0 for the only variant",
    ),
]


@pytest.mark.parametrize(("document", "line"), REFUSED, ids=[line[:80] for _, line in REFUSED])
def test_a_fault_is_told_in_one_line(document: object, line: str) -> None:
    assert lines(document) == [line]


def test_a_model_twice_in_list_form_is_told_to_use_names() -> None:
    (line,) = lines(config(variants=[A, A]))
    assert line.startswith("configs[0].variants[1].model: duplicate variant 'a', first in variants[0]; ")
    assert "{name: {model, weight}}" in line


def test_a_model_twice_in_object_form_is_two_variants() -> None:
    document = RegistryDocument.model_validate(config(variants={"one": A, "two": A}))
    assert isinstance(document.configs[0].variants, dict)
    assert list(document.configs[0].variants) == ["one", "two"]


def test_a_key_twice_names_both_places() -> None:
    resource = config()["configs"][0]
    assert lines({"configs": [resource, {**resource, "key": "other"}, resource]}) == [
        "configs[2].key: duplicate key 'k', first in configs[0]"
    ]


def test_the_same_key_may_name_a_config_and_a_prompt() -> None:
    prompt = {"key": "k", "system_prompt": "", "user_template": "{{x}}"}

    document = RegistryDocument.model_validate(config() | {"prompts": [prompt]})

    assert document.configs[0].key == document.prompts[0].key == "k"


def test_every_fault_is_told_at_once() -> None:
    assert len(lines({"configs": [{"key": 1}, {"variants": []}], "prompts": [{}]})) == 7


def test_weights_of_any_sum_and_decimals_are_accepted() -> None:
    variants = [{"model": "a", "weight": 0.25}, {"model": "b", "weight": 7}, {"model": "c", "weight": 0}]
    assert RegistryDocument.model_validate(config(variants=variants)).configs[0].weights() == [0.25, 7.0, 0.0]


def test_a_null_prompt_version_means_the_latest() -> None:
    variants = [{"prompt_key": "p", "prompt_version": None, "weight": 1}]
    document = RegistryDocument.model_validate({"prompt_ab_tests": [{"key": "t", "variants": variants}]})
    assert document.prompt_ab_tests[0].variants[0].prompt_version is None
