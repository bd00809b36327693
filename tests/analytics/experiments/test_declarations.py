"""An experiment's settings: the defaults, what is declared, and what held at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from registry_documents import config, prompt, prompt_test

from analytics.experiments.declarations import declared_settings, settings_of
from analytics.experiments.listing import listed
from analytics.experiments.settings import MetricSettings, Settings
from schemas.api.experiment_requests import EndBody
from storage.registry.document import parse
from storage.registry.endings import end
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import UNSIGNED, Authorship

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROJECT = "default"


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    opened = Registry(registry_url)
    yield opened
    opened.close()


def declare(registry: Registry, **fields: Any) -> None:
    document = {"configs": [config()], "experiments": [{"key": "cheaper", "config": "summarizer", **fields}]}
    registry.apply(PROJECT, parse(document))


def metrics(*declared: dict[str, Any]) -> Settings:
    return declared_settings({"key": "e", "version": 1, "metrics": list(declared)}, NOW)[1]


def test_a_key_names_an_experiment_else_a_config_else_a_prompt_test(registry: Registry) -> None:
    declare(registry, control="b", alpha=0.01, hypothesis="Cheaper.", notes="n")
    registry.apply(
        PROJECT, parse({"prompts": [prompt()], "prompt_ab_tests": [prompt_test(prompt_key="welcome", weight=1)]})
    )

    key, found = settings_of(registry, PROJECT, "cheaper")

    assert key == "summarizer"
    assert (found.control, found.alpha, found.hypothesis, found.version) == ("b", 0.01, "Cheaper.", 1)
    assert settings_of(registry, PROJECT, "summarizer") == ("summarizer", Settings())
    assert settings_of(registry, PROJECT, "welcome-test") == ("welcome-test", Settings(looks_at="prompt_ab_test"))
    assert settings_of(registry, PROJECT, "unknown") == ("unknown", Settings())
    assert settings_of(registry, "other", "cheaper") == ("cheaper", Settings())


def test_one_that_is_archived_declares_nothing(registry: Registry) -> None:
    declare(registry)
    Management(registry, "experiment").archive(PROJECT, "cheaper", UNSIGNED)

    assert settings_of(registry, PROJECT, "cheaper") == ("cheaper", Settings())


def test_the_settings_of_a_time_are_those_in_force_then(registry: Registry) -> None:
    declare(registry, control="a")
    time.sleep(0.01)
    first = datetime.now(UTC)
    time.sleep(0.01)
    end(Management(registry, "experiment"), PROJECT, "cheaper", EndBody(action="ship", variant="b"), Authorship("Ann"))

    _, now = settings_of(registry, PROJECT, "cheaper")
    _, then = settings_of(registry, PROJECT, "cheaper", at=first)
    _, before = settings_of(registry, PROJECT, "cheaper", at=first - timedelta(days=1))

    assert (now.status, now.version, now.decision["by"]) == ("ended", 2, "Ann")
    assert (then.status, then.version, dict(then.decision)) == ("running", 1, {})
    assert before.version == 1


def test_a_role_of_a_whole_metric_goes_to_its_leading_figure() -> None:
    settings = metrics({"name": "cost_usd", "role": "primary", "cap": 0.99}, {"name": "resolved", "role": "guardrail"})

    assert settings.of("cost_usd", "mean", "per_call").role == "primary"
    assert settings.of("cost_usd", "mean", "per_session") == MetricSettings("cost_usd", cap=0.99)
    assert settings.of("resolved", "mean", "per_session").role == "guardrail"
    assert settings.of("resolved", "proportion", "per_session").role == "guardrail"
    assert settings.of("resolved", "capped_mean", "per_session").role is None


def test_a_role_of_one_figure_is_that_one_s() -> None:
    settings = metrics(
        {"name": "latency_ms", "statistic": "p95", "role": "guardrail", "margin": 0.2},
        {"name": "cost_usd", "estimand": "per_successful_session", "role": "primary"},
        {"name": "error_rate", "role": "guardrail", "margin": 0.05},
    )

    assert settings.of("latency_ms", "p95", "per_call").margin == 0.2
    assert settings.of("latency_ms", "p99", "per_call").role is None
    assert settings.of("cost_usd", "mean", "per_successful_session").role == "primary"
    assert settings.of("cost_usd", "mean", "per_call").role is None
    assert settings.of("error_rate", "ratio", "per_call").margin == 0.05


def test_another_primary_makes_the_default_one_secondary() -> None:
    declared = metrics({"name": "cost_usd", "role": "primary"})
    with_direction = metrics({"name": "cost_usd", "role": "primary"}, {"name": "latency_ms", "cap": 0.9})
    both = metrics({"name": "cost_usd", "role": "primary"}, {"name": "latency_ms", "role": "primary"})

    assert declared.of("latency_ms", "mean", "per_call").role == "secondary"
    assert declared.of("latency_ms", "p95", "per_call").role is None
    assert (
        with_direction.of("latency_ms", "mean", "per_call").cap,
        with_direction.of("latency_ms", "p50", "per_call").cap,
    ) == (0.9, 0.9)
    assert both.of("latency_ms", "mean", "per_call").role == "primary"
    assert metrics().of("latency_ms", "mean", "per_call").role is None


def test_the_control_is_the_first_arm_unless_it_is_named_and_there() -> None:
    arms = ["a", "b"]

    assert [Settings(control=name).control_index(arms) for name in (None, "b", "gone")] == [0, 1, 0]


def test_the_list_has_experiments_and_configs_that_none_looks_at() -> None:
    experiments = [
        {"key": "cheaper", "version": 3, "config": "one", "control": "b", "owner": "Ann"},
        {"key": "later", "version": 1, "config": "one", "start": "2026-11-22T00:00:00Z"},
        {"key": "texts", "version": 1, "prompt_ab_test": "welcome-test"},
        {"key": "unseen", "version": 1, "config": "two", "ended_at": "2026-11-20T00:00:00Z"},
    ]
    configs = [config(key) | {"version": 1} for key in ("one", "two", "three", "four")]
    seen = {"sessions": 5, "calls": None, "first_exposure": NOW, "last_exposure": NOW, "last_call": None}

    found = {
        entry["key"]: entry
        for entry in listed(experiments, configs, [prompt_test(prompt_key="w")], {"one": seen, "three": seen}, NOW)
    }

    assert {key: (entry["status"], entry["control"], entry["sessions"]) for key, entry in found.items()} == {
        "cheaper": ("running", "b", 5),
        "later": ("planned", "a", 5),
        "three": ("running", "a", 5),
        "four": ("waiting", "a", 0),
        "texts": ("running", "w", None),
        "unseen": ("ended", "a", 0),
    }
    assert (found["cheaper"]["owner"], found["cheaper"]["config"], found["cheaper"]["settings_version"]) == (
        "Ann",
        "one",
        3,
    )
    assert found["texts"]["prompt_ab_test"] == "welcome-test"


def test_one_that_this_version_refuses_keeps_no_other_out_of_the_list() -> None:
    experiments = [
        {"key": "of-later", "version": 1, "design": "crossover"},
        {"key": "e", "version": 1, "config": "one"},
    ]

    found = listed(experiments, [config("one") | {"version": 1}], [], {}, NOW)

    assert [entry["key"] for entry in found] == ["e"]


def test_a_custom_primary_is_one_figure_whatever_its_values_will_be() -> None:
    assert metrics({"name": "quality", "role": "primary"}).primaries_declared == 1
    two = metrics({"name": "quality", "role": "primary"}, {"name": "cost_usd", "role": "primary"})
    assert two.primaries_declared == 2
    capped = metrics({"name": "quality", "statistic": "capped_mean", "role": "primary"}, {"name": "quality"})
    assert capped.primaries_declared == 1


def test_the_errors_by_call_are_the_primary_of_the_error_rate() -> None:
    found = metrics({"name": "error_rate", "role": "primary"})

    assert found.of("error_rate", "ratio", "per_call").role == "primary"
    assert found.of("error_rate", "proportion", "per_session").role is None
    assert found.primaries_declared == 1
    guarded = metrics({"name": "error_rate", "role": "guardrail", "margin": 0.02})
    assert [
        guarded.of("error_rate", *figure).margin for figure in (("ratio", "per_call"), ("proportion", "per_session"))
    ] == [
        0.02,
        0.02,
    ]
