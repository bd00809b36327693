"""Warnings about resources that are valid, yet may not do what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fallom.assignment import effective_shares, variant_keys, variant_list
from schemas.api.config import Config
from schemas.api.experiment import DIRECTIONS, Experiment
from schemas.api.prompt import PromptTest
from schemas.api.resource import Resource
from storage.registry.percentages import percentages
from storage.registry.reserved_keys import ACTIONS, EXPERIMENT_ACTIONS, reserved_part

NAMED_MAX = 5
SIMILARITY_MIN = 0.8


def warnings(resource: Resource, version: int) -> tuple[str, ...]:
    """Return what an author should know about ``resource``, served as ``version``: each a path, a fact, its effect."""
    found: list[str] = []
    if resource.version not in (None, version):
        found.append(f"version: the server counts versions itself: this is version {version}, not {resource.version}")
    if isinstance(resource, Config | PromptTest):
        found += _weight_warnings(resource.weights())
    if isinstance(resource, Config):
        found += [*_name_warnings(resource), *_rule_warnings(resource), *_hash_warnings(resource)]
        found += _key_warnings(resource.key)
    if isinstance(resource, Experiment):
        found += _metric_warnings(resource)
    found += _path_warnings(resource)
    return tuple(found)


def _weight_warnings(weights: Sequence[float]) -> Iterable[str]:
    for index, (weight, share) in enumerate(zip(weights, effective_shares(percentages(weights)), strict=True)):
        if weight and not share:
            yield f"variants[{index}].weight: less than a millionth of the sum: it gets no sessions"


def _hash_warnings(config: Config) -> Iterable[str]:
    if config.hash_version != 1 or config.sticky_by != "session":
        yield "hash_version, sticky_by: published clients know neither: they assign by session and hash_version 1"
    if config.sticky_by == "request":
        yield "sticky_by: request: a session may get several variants, so that results compare none and give no verdict"


def collisions(configs: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return a warning for each config, of (key, body), that is a test of hash_version 1 beside another such test."""
    tests = [
        key
        for key, body in configs
        if body.get("hash_version", 1) == 1
        and sum(1 for variant in variant_list(body["variants"]) if variant["weight"]) > 1
    ]
    if len(tests) < 2:
        return {}
    return {key: _collision([other for other in tests if other != key]) for key in tests}


def _collision(others: Sequence[str]) -> str:
    named = ", ".join(repr(other) for other in others[:NAMED_MAX])
    rest = f" and {len(others) - NAMED_MAX} more" if len(others) > NAMED_MAX else ""
    return (
        f"hash_version: 1 has no salt, so a session's variant here goes with its variant in {named}{rest}; "
        "hash_version: 2 makes tests independent, for clients that know it"
    )


def lost_controls(configs: Mapping[str, dict[str, Any]], experiments: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return a warning for each config, by key, that lacks the control of an experiment which goes on."""
    found = {}
    for experiment in experiments:
        config = configs.get(experiment.get("config", experiment["key"]))
        control = experiment.get("control")
        if config is None or control is None or "prompt_ab_test" in experiment or "ended_at" in experiment:
            continue
        if control not in variant_keys(config["variants"]):
            named = f"control of the experiment {experiment['key']!r}"
            found[config["key"]] = f"variants: {control!r} is not there, the {named}: end that, or name another control"
    return found


def variable_warnings(variables: Sequence[tuple[str, Sequence[str]]]) -> Iterable[str]:
    """Warn where the prompts of a test, each with the variables that it uses, do not all use the same ones."""
    used = list(dict.fromkeys(name for _, names in variables for name in names))
    for index, (key, names) in enumerate(variables):
        missing = [name for name in used if name not in names]
        if missing:
            yield f"variants[{index}].prompt_key: prompt {key!r} does not use {', '.join(missing)}, as others here do"


def _name_warnings(config: Config) -> Iterable[str]:
    if not isinstance(config.variants, dict):
        return
    names = list(config.variants)
    # JavaScript puts an object's whole-number names first, in numeric order: its clients would walk another list.
    numbers = sorted((name for name in names if _is_array_index(name)), key=int)
    if names != numbers + [name for name in names if not _is_array_index(name)]:
        yield "variants: JavaScript clients reorder names that are whole numbers: give the variants other names"


def _is_array_index(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name and int(name) < 2**32 - 1


def _rule_warnings(config: Config) -> Iterable[str]:
    rules = config.targeting.rules if config.targeting else ()
    for index, rule in enumerate(rules):
        if not rule.conditions:
            yield f"targeting.rules[{index}].conditions: without conditions the rule takes every session"


def _key_warnings(key: str) -> Iterable[str]:
    unsafe = [character for character in "?#%" if character in key]
    if unsafe:
        yield f"key: published clients put it into a URL as it is: with {unsafe[0]!r} they cannot pin a version"


def _metric_warnings(experiment: Experiment) -> Iterable[str]:
    for index, metric in enumerate(experiment.metrics):
        nearest = get_close_matches(metric.name, DIRECTIONS, n=1, cutoff=SIMILARITY_MIN)
        if nearest and metric.name not in DIRECTIONS:
            yield f"metrics[{index}].name: {metric.name!r} is taken for a custom metric: was {nearest[0]!r} meant?"


def _path_warnings(resource: Resource) -> Iterable[str]:
    actions = EXPERIMENT_ACTIONS if isinstance(resource, Experiment) else ACTIONS
    # Of before such keys were refused.
    if (part := reserved_part(resource.key, actions)) is not None:
        yield f"key: to the API under /api/ it is {part!r} of another resource: it is reached by apply and export alone"
