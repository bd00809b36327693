"""Experiments: taken as they are meant, or refused with what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.api.experiment import DIRECTIONS, Experiment
from storage.registry.bodies import resource_of, stored
from storage.registry.document import from_yaml, parse, to_yaml
from storage.registry.errors import DocumentError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
START, LATER = "2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"


def metrics(*declared: dict[str, Any]) -> dict[str, Any]:
    return {"metrics": list(declared)}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"alpha": 0}, "alpha: must be > 0, got 0"),
    ({"alpha": 0.5}, "alpha: must be < 0.5, got 0.5"),
    ({"alpha": "5%"}, "alpha: must be a number, got '5%'"),
    ({"n_star": 1}, "n_star: must be >= 2, got 1"),
    ({"n_star": 500.5}, "n_star: must be a whole number, got 500.5"),
    ({"power": 1}, "power: must be < 1, got 1"),
    ({"inference": "bayes"}, "inference: must be one of 'sequential', 'fixed_horizon' or 'bayesian', got 'bayes'"),
    ({"hypotesis": "a"}, "hypotesis: unknown key, did you mean 'hypothesis'?"),
    ({"config": "a", "prompt_ab_test": "b"}, "prompt_ab_test: an experiment looks at one of them"),
    ({"start": "soon"}, "start: must be a time such as 2026-11-21T09:00:00Z, got 'soon'"),
    ({"start": LATER, "planned_end": START}, "planned_end: must be later than start (2026-11-22T09:00:00Z), got 2026"),
    ({"start": LATER, "ended_at": START}, "ended_at: must be later than start"),
    ({"status": "ended"}, "status: ended needs ended_at"),
    ({"status": "running", "ended_at": LATER}, "status: must be ended, or left out, where there is ended_at"),
    ({"decision": {"action": "no_difference"}}, "decision: needs ended_at"),
    ({"ended_at": LATER, "decision": {"action": "ship"}}, "decision.variant: is required to ship"),
    ({"ended_at": LATER, "decision": {"action": "win"}}, "decision.action: must be one of 'ship', "),
    (
        metrics({"name": "a", "margin": 5, "role": "guardrail"}),
        "metrics[0].margin: must be <= 1, relative to the control",
    ),
    (metrics({"name": "a", "margin": -0.1, "role": "guardrail"}), "metrics[0].margin: must be >= 0, got -0.1"),
    (metrics({"name": "a", "margin": 0.1}), "metrics[0].margin: is for guardrails: give the role guardrail, too"),
    (
        metrics({"name": "cost_usd", "margin": 0.1, "role": "primary"}),
        "metrics[0].margin: is for guardrails, and the role is primary",
    ),
    (
        metrics({"name": "a", "role": "guardrail", "direction": "neutral"}),
        "metrics[0].role: a guardrail needs a better and a worse, and a is neutral: give it the direction",
    ),
    (
        metrics({"name": "output_tokens", "role": "primary"}),
        "metrics[0].role: a primary needs a better and a worse, and output_tokens is neutral",
    ),
    (metrics({"name": "latency_ms", "type": "number"}), "metrics[0].type: is for custom metrics, and latency_ms is"),
    (metrics({"name": "a", "type": "number", "category": "x"}), "metrics[0].category: is a value of a text"),
    (metrics({"name": "a", "type": "category", "statistic": "mean"}), "metrics[0].statistic: must be proportion"),
    (metrics({"name": "a", "cap": 1}), "metrics[0].cap: must be < 1, got 1"),
    (metrics({"name": "a", "statistic": "p95", "cap": 0.99}), "metrics[0].cap: is for means, and the statistic is p95"),
    (metrics({"name": "a", "statistic": "p94"}), "metrics[0].statistic: must be one of 'mean', "),
    (
        metrics({"name": "a", "covariate": "output_tokens"}),
        "metrics[0].covariate: must be customer_history, hour_of_day, first_message_length, metadata.KEY or metric.",
    ),
    (metrics({"name": "a", "covariate": "calls_per_session"}), "metrics[0].covariate: must be customer_history, hour_"),
    (metrics({"name": "a", "covariate": "metadata."}), "metrics[0].covariate: must be customer_history, hour_of_day"),
    (
        metrics({"name": "latency_ms", "statistic": "p95", "covariate": "hour_of_day"}),
        "metrics[0].covariate: is for means and shares, and the statistic is p95",
    ),
    (
        metrics({"name": "a", "type": "category", "covariate": "hour_of_day"}),
        "metrics[0].covariate: is for numbers and shares, and this is a text",
    ),
    (
        {"prompt_ab_test": "a", **metrics({"name": "a", "covariate": "first_message_length"})},
        "metrics[0].covariate: a prompt's template is in the message",
    ),
    (metrics({"name": "a", "role": "primary"}, {"name": "a"}), "metrics[1]: metrics[0] means the same figures already"),
    (
        metrics({"name": "latency_ms"}, {"name": "latency_ms", "statistic": "p95"}),
        "metrics[1]: metrics[0] means the same figures already, and the first holds: put the narrower one first",
    ),
]


@pytest.mark.parametrize(("fields", "problem"), REFUSED, ids=[problem for _, problem in REFUSED])
def test_what_can_t_be_meant_so_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse({"experiments": [{"key": "e", **fields}]})

    assert str(refused.value).startswith(f"experiments[0].{problem}")
    assert "\n" not in str(refused.value)


def test_what_is_measured_after_the_assignment_is_no_covariate() -> None:
    with pytest.raises(DocumentError, match="got 'output_tokens': what is measured after the assignment may be the"):
        parse({"experiments": [{"key": "e", **metrics({"name": "a", "covariate": "output_tokens"})}]})


@pytest.mark.parametrize(
    "covariate",
    ["customer_history", "hour_of_day", "first_message_length", "metadata.plan size", "metric.output_tokens"],
)
def test_what_is_known_before_the_assignment_is_a_covariate(covariate: str) -> None:
    found = resource_of("experiment", "e", metrics({"name": "latency_ms", "covariate": covariate}))

    assert isinstance(found, Experiment)
    assert found.metrics[0].covariate == covariate


def test_defaults_that_are_spelled_out_are_the_same_body() -> None:
    spelled = {
        "alpha": 0.05,
        "inference": "sequential",
        "n_star": 5000,
        "power": 0.8,
        "metrics": [],
        "notes": "",
        "start": "2026-11-21T10:00:00+01:00",
    }

    assert stored(resource_of("experiment", "e", spelled)) == stored(resource_of("experiment", "e", {"start": START}))


def test_a_file_s_times_may_be_quoted_or_not() -> None:
    found = [from_yaml(f"experiments: [{{key: e, start: {quoted}}}]".encode()) for quoted in (START, f'"{START}"')]

    assert found[0] == found[1]
    assert found[0].experiments[0].start == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert from_yaml(to_yaml(found[0]).encode()) == found[0]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"experiments\[0\].start: "):
        from_yaml(b"experiments: [{key: e, start: 2026-11-21T09:00:00}]")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "running"),
        ({"status": "planned"}, "planned"),
        ({"status": "planned", "start": START}, "running"),
        ({"start": LATER}, "planned"),
        ({"status": "running", "start": LATER}, "planned"),
        ({"ended_at": START}, "ended"),
    ],
)
def test_the_status_follows_from_the_times(fields: dict[str, Any], status: str) -> None:
    found = resource_of("experiment", "e", fields)

    assert isinstance(found, Experiment)
    assert found.status_at(NOON) == status


def test_the_directions_are_those_of_the_metrics() -> None:
    from analytics.experiments.metrics import METRICS

    measured = {metric.name: metric.direction for metric in METRICS if metric.name in DIRECTIONS}

    assert measured
    assert {name: DIRECTIONS[name] for name in measured} == measured
