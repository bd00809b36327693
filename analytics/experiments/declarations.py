"""The settings of an experiment as the registry declares them; of a config or prompt test without any, the defaults.

A role that is declared of a whole metric goes to its leading figure alone, the mean (of a proportion, the share): with
all of its figures as primaries each would be held to a fraction of the level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from analytics.experiments.settings import MetricSettings, Settings
from schemas.api.experiment import DIRECTIONS, Experiment, MetricDeclaration
from storage.registry.bodies import resource_of
from storage.registry.management import Management
from storage.registry.registry import Registry

# Of these there is one figure; of the other measured ones, several.
_OF_ONE_FIGURE = frozenset({"fallback_rate", "calls_per_session"})
_DEFAULT_PRIMARY = ("latency_ms", "mean", "per_call")


def settings_of(registry: Registry, project: str, key: str, *, at: datetime | None = None) -> tuple[str, Settings]:
    """Return the key of the config or prompt test that is looked at, and the settings in force: now, or at a time.

    A key names an experiment; where there is none, a config; where there is none, a prompt test. Before its first
    version an experiment is what that one says. Raises RegistryError for a time, of which the database is asked.
    """
    body = registry.experiment(project, key)
    if body is None:
        return key, Settings(looks_at=_kind(registry, project, key))
    if at is None:
        return declared_settings(body, datetime.now(UTC))
    history = Management(registry, "experiment").history(project, key)
    found = next((one for one in reversed(history) if one.created_at <= at), history[0])
    return declared_settings({"key": key, "version": found.version, **found.body}, at)


def declared_settings(body: dict[str, Any], now: datetime) -> tuple[str, Settings]:
    """Return the key of what an experiment looks at, and its settings as they are at a time."""
    experiment = resource_of("experiment", body["key"], body)
    if not isinstance(experiment, Experiment):
        raise TypeError(f"an experiment expected, got {type(experiment).__name__}")
    kind, key = experiment.looks_at
    settings = Settings(
        control=experiment.control,
        alpha=experiment.alpha,
        inference=experiment.inference,
        n_star=experiment.n_star,
        power=experiment.power,
        metrics=tuple(metric for declared in experiment.metrics for metric in _figures(declared)),
        success=experiment.success,
        status=experiment.status_at(now),
        hypothesis=experiment.hypothesis or None,
        start=experiment.start,
        planned_end=experiment.planned_end,
        ended_at=experiment.ended_at,
        decision=body.get("decision", {}),
        notes=experiment.notes or None,
        owner=experiment.owner,
        looks_at=kind,
        version=experiment.version,
    )
    return key, replace(settings, metrics=_with_one_default_less(settings))


def _kind(registry: Registry, project: str, key: str) -> Literal["config", "prompt_ab_test"]:
    if registry.knows_config(project, key):
        return "config"
    return "prompt_ab_test" if any(test["key"] == key for test in registry.prompt_ab_tests(project)) else "config"


def _figures(declared: MetricDeclaration) -> Iterator[MetricSettings]:
    """Yield what is declared, the narrower first: the first that means a figure holds."""
    whole = MetricSettings(**declared.model_dump())
    leading = _leading(whole) if whole.role in ("primary", "guardrail") else ()
    if not leading:
        yield whole
        return
    yield from leading
    yield replace(whole, role=None, margin=None)


def _leading(whole: MetricSettings) -> Sequence[MetricSettings]:
    if whole.name in _OF_ONE_FIGURE or whole.category is not None or whole.type == "category":
        return ()
    if whole.name == "error_rate":
        # Errors by call lead; as a guardrail it is one by call and by session anyhow, and the margin is of both.
        is_whole = whole.role == "primary" and whole.statistic is None and whole.estimand is None
        return [replace(whole, statistic="ratio", estimand="per_call")] if is_whole else ()
    if whole.name in DIRECTIONS:
        if whole.statistic is not None and whole.estimand is not None:
            return ()
        return [replace(whole, statistic=whole.statistic or "mean", estimand=whole.estimand or "per_call")]
    # Which of them a custom metric has, is known when its values are.
    return [] if whole.statistic else [replace(whole, statistic=statistic) for statistic in ("mean", "proportion")]


def _with_one_default_less(settings: Settings) -> tuple[MetricSettings, ...]:
    """Return the metrics, the default primary among them as secondary where another primary is declared."""
    if not any(metric.role == "primary" for metric in settings.metrics):
        return settings.metrics
    name, statistic, estimand = _DEFAULT_PRIMARY
    found = settings.of(name, statistic, estimand)
    if found.role is not None:
        return settings.metrics
    return (replace(found, statistic=statistic, estimand="per_call", role="secondary"), *settings.metrics)
