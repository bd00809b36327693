"""The list of experiments: those that are declared, and the configs and prompt tests that none looks at."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from analytics.experiments.declarations import declared_settings
from analytics.experiments.settings import Settings, declared_section
from analytics.rows import json_value
from fallom.assignment import variant_keys
from storage.registry.errors import DocumentError
from storage.registry.experiments import prompt_variant_keys

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]


def listed(
    experiments: Iterable[dict[str, Any]],
    configs: Iterable[dict[str, Any]],
    prompt_tests: Iterable[dict[str, Any]],
    traffic: Mapping[str, Row],
    now: datetime,
) -> list[dict[str, Any]]:
    """Return what ``GET /experiments`` lists, newest traffic first, then by key.

    The traffic is that of the config, in no window; that of a prompt test is not known.
    """
    by_key = {config["key"]: config for config in configs}
    tests = {test["key"]: test for test in prompt_tests}
    found = list(_declared(experiments, by_key, tests, traffic, now))
    seen = {(entry["config"], entry["prompt_ab_test"]) for entry in found}
    alone = [key for key in by_key if (key, None) not in seen]
    found += [_entry(key, Settings(), by_key[key], traffic.get(key)) for key in alone]
    found += [
        _of_prompt_test(key, Settings(), test, key)
        # By a key that both have the config is meant.
        for key, test in tests.items()
        if (None, key) not in seen and key not in by_key
    ]
    found.sort(key=lambda entry: entry["key"])
    found.sort(key=lambda entry: str(entry["last_seen_at"] or ""), reverse=True)
    return found


def _declared(
    experiments: Iterable[dict[str, Any]],
    configs: Mapping[str, dict[str, Any]],
    prompt_tests: Mapping[str, dict[str, Any]],
    traffic: Mapping[str, Row],
    now: datetime,
) -> Iterator[dict[str, Any]]:
    for body in experiments:
        try:
            key, settings = declared_settings(body, now)
        except DocumentError as error:
            # One that this version refuses must not keep the others out of the list.
            logger.error("the experiment %s is not listed: %s", body["key"], error)  # noqa: TRY400 - the text says all
            continue
        if settings.looks_at == "config":
            yield _entry(body["key"], settings, configs.get(key), traffic.get(key), config_key=key)
        else:
            yield _of_prompt_test(body["key"], settings, prompt_tests.get(key), key)


def _entry(
    key: str, settings: Settings, config: dict[str, Any] | None, traffic: Row | None, *, config_key: str | None = None
) -> dict[str, Any]:
    seen = [] if traffic is None else [traffic[name] for name in ("last_exposure", "last_call") if traffic[name]]
    variants = [] if config is None else variant_keys(config["variants"])
    is_waiting = settings.status == "running" and traffic is None
    return {
        "key": key,
        **declared_section(settings),
        "status": "waiting" if is_waiting else settings.status,
        "control": _control(settings, variants),
        "config": config_key or key,
        "prompt_ab_test": None,
        "config_version": None if config is None else config["version"],
        "variants": variants,
        "sessions": 0 if traffic is None else traffic["sessions"],
        "calls": (0 if traffic is None else traffic["calls"]) or 0,
        "first_exposure_at": None if traffic is None else json_value(traffic["first_exposure"]),
        "last_seen_at": json_value(max(seen)) if seen else None,
    }


def _of_prompt_test(key: str, settings: Settings, test: dict[str, Any] | None, test_key: str) -> dict[str, Any]:
    variants = [] if test is None else prompt_variant_keys(test["variants"])
    unknown = dict.fromkeys(("config_version", "sessions", "calls", "first_exposure_at", "last_seen_at"))
    return {
        "key": key,
        **declared_section(settings),
        "control": _control(settings, variants),
        "config": None,
        "prompt_ab_test": test_key,
        "variants": variants,
        **unknown,
    }


def _control(settings: Settings, variants: list[str]) -> str | None:
    return variants[settings.control_index(variants)] if variants else settings.control
