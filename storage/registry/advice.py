"""Warnings about resources that are valid, yet may not do what was meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.api.registry import Config, Prompt, PromptTest

PERCENT = 100.0
NAMES_SHOWN_MAX = 3


def warnings(resource: Config | Prompt | PromptTest, version: int) -> tuple[str, ...]:
    """Return what an author should know about ``resource``, served as ``version``: each a path, a fact, its effect."""
    found: list[str] = []
    if resource.version not in (None, version):
        found.append(f"version: the server counts versions itself: this is version {version}, not {resource.version}")
    if isinstance(resource, Config | PromptTest):
        found += _weight_warnings(resource.weights())
    if isinstance(resource, Config):
        found += [*_name_warnings(resource), *_rule_warnings(resource), *_key_warnings(resource.key)]
    return tuple(found)


def collisions(configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return a warning by the key of each served config that shares its unsalted hash with another live test."""
    live = [config["key"] for config in configs if _is_unsalted_test(config)]
    return {key: _collision([other for other in live if other != key]) for key in live if len(live) > 1}


def _is_unsalted_test(config: Mapping[str, Any]) -> bool:
    variants = config["variants"].values() if isinstance(config["variants"], Mapping) else config["variants"]
    return bool(config.get("hash_version", 1) == 1 and sum(variant["weight"] > 0 for variant in variants) > 1)


def _collision(others: Sequence[str]) -> str:
    names = ", ".join(repr(key) for key in others[:NAMES_SHOWN_MAX])
    more = f" and {len(others) - NAMES_SHOWN_MAX} more" if len(others) > NAMES_SHOWN_MAX else ""
    return (
        f"hash_version: 1 puts a session at the same place in every test, so that its variant here goes together with "
        f"that in {names}{more}: where sessions are in both, use hash_version 2, if all clients know it"
    )


def _weight_warnings(weights: Sequence[float]) -> Iterable[str]:
    total = math.fsum(weights)
    # The published clients walk the weights as they are, in percent of all sessions.
    if total < PERCENT and not math.isclose(total, PERCENT, abs_tol=1e-6):
        yield f"variants: weights sum to {total:.10g}, not 100: the last variant takes the rest"
    elif total > PERCENT and not math.isclose(total, PERCENT, abs_tol=1e-6):
        yield f"variants: weights sum to {total:.10g}, not 100: what goes beyond 100 gets no sessions"


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
