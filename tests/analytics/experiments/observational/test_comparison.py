"""Comparisons of groups that chance did not make: the figures of the results, never a verdict, never another's data."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lake_parts import TODAY
from traffic_rows import BEGAN, Rows, arm_of, close_to, engine_over

from analytics.experiments.arms import experiment_of
from analytics.experiments.observational.comparison import UnknownValueError, comparison, values
from analytics.experiments.observational.dimension import dimension_of
from analytics.experiments.observational.measures import Scope
from analytics.experiments.results import results
from storage.engines.duckdb import DuckDBEngine
from storage.registry.resources import ConfigVersion

MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS = 60
ALL = Scope(BEGAN - timedelta(days=2), TODAY + timedelta(days=1))


def traffic() -> Rows:
    """Sessions of an experiment, each with calls to its own model; and sessions of no config at all."""
    chance = np.random.default_rng(3)
    rows = Rows()
    for place in range(SESSIONS):
        session = f"s{place}"
        model = arm_of(session, MODELS)
        rows.expose(session, model)
        for _ in range(int(chance.integers(1, 6))):
            duration_ns = int(chance.lognormal(20, 1))
            rows.call(
                session,
                model,
                duration_ns=duration_ns,
                time_to_first_token_ns=duration_ns // 3,
                cost=float(chance.lognormal(-6, 1)),
                input_tokens=int(chance.integers(1, 900)),
                total_tokens=1000,
                status_code="error" if chance.random() < 0.1 else "ok",
                customer_id=f"customer-{place % 5}",
                tags=["beta"] if place % 3 else ["beta", "night"],
                metadata='{"tier": "pro", "a/b": "x"}' if place % 2 else '{"tier": "free"}',
                prompt_key="greeting",
                prompt_version=1 + place % 2,
            )
        rows.measure(session, "score", float(chance.normal(3, 1)))
    for place in range(10):
        rows.call(f"bare{place}", "claude", config_key=None, input_tokens=5000 + place, at=BEGAN + timedelta(hours=1))
    return rows


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    other = Rows(project="other")
    for place in range(30):
        other.call(f"s{place}", "secret-model", duration_ns=10**12, tags=["secret"])
        other.measure(f"s{place}", "score", 1e6)
    with engine_over(tmp_path_factory.mktemp("compare") / "data", traffic(), other) as made:
        yield made


def compared(engine: DuckDBEngine, by: str, a: str, b: str, scope: Scope = ALL) -> dict[str, Any]:
    with engine.session("p") as session:
        return comparison(session, dimension_of(by), scope, a, b)


def listed(engine: DuckDBEngine, by: str, project: str = "p", scope: Scope = ALL) -> dict[str, int]:
    with engine.session(project) as session:
        return {row["value"]: row["sessions"] for row in values(session, dimension_of(by), scope)["values"]}


def figure_of(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["name"], entry["statistic"], entry["estimand"]


def test_two_models_that_are_arms_have_the_figures_of_the_experiment(engine: DuckDBEngine) -> None:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    experiment = experiment_of("config", [ConfigVersion(1, BEGAN, body)])
    assert experiment is not None
    wanted = {figure_of(entry): entry for entry in results(engine, "p", experiment)["metrics"]}

    found = compared(engine, "model", *MODELS, Scope(ALL.start, ALL.end, "config"))

    entries = {figure_of(entry): entry for entry in found["metrics"]}
    assert entries.keys() == {figure for figure in wanted if figure[0] != "fallback_rate"}
    for figure, entry in entries.items():
        assert entry["variants"] == close_to(wanted[figure]["variants"])
        (ours,), (theirs,) = entry["comparisons"], wanted[figure]["comparisons"]
        for name in ("difference", "lift", "p_value", "p_value_fixed", "status", "bayes", "sessions", "method"):
            assert ours[name] == close_to(theirs[name]), (figure, name)


def test_it_is_observational_and_gives_no_verdict(engine: DuckDBEngine) -> None:
    found = compared(engine, "model", *MODELS)

    assert found["observational"] is True
    assert found["health"]["srm"] is None
    assert found["recommendation"]["action"] is None
    assert "chance did not" in found["recommendation"]["reasons"][0]
    assert found["health"]["warnings"][0]["code"] == "observational"
    assert {entry["role"] for entry in found["metrics"]} == {"secondary"}
    assert not any(comparison["significant"] for entry in found["metrics"] for comparison in entry["comparisons"])
    assert not any(comparison["non_inferiority"] for entry in found["metrics"] for comparison in entry["comparisons"])


def test_calls_without_a_config_are_compared_too(engine: DuckDBEngine) -> None:
    found = compared(engine, "model", "gpt-4o", "claude")

    assert [variant["sessions"] for variant in found["variants"]][1] == 10
    entry = next(entry for entry in found["metrics"] if figure_of(entry) == ("input_tokens", "mean", "per_call"))
    # None of these calls tells its total.
    assert entry["variants"][1]["estimate"] is None


def test_a_session_with_both_values_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = Rows()
    for place in range(6):
        rows.call(f"s{place}", "a" if place % 2 else "b")
    rows.call("s0", "a", status_code="error")

    with engine_over(tmp_path / "data", rows) as engine:
        found = compared(engine, "model", "a", "b")

    assert found["health"]["excluded"] == {"both_values": 1}
    assert [variant["sessions"] for variant in found["variants"]] == [3, 2]
    assert "both_values" in [warning["code"] for warning in found["health"]["warnings"]]


def test_a_model_has_its_own_calls_alone_and_a_tag_all_calls_of_its_sessions(tmp_path: Path) -> None:
    rows = Rows()
    for place in range(4):
        session = f"s{place}"
        rows.call(session, ("a", "b")[place % 2], duration_ns=1_000_000, tags=[("x", "y")[place % 2]])
        rows.call(session, "c", duration_ns=9_000_000)

    with engine_over(tmp_path / "data", rows) as engine:
        by_model, by_tag = compared(engine, "model", "a", "b"), compared(engine, "tag", "x", "y")

    latency = ("latency_ms", "mean", "per_call")
    for found, wanted in ((by_model, 1.0), (by_tag, 5.0)):
        (entry,) = [entry for entry in found["metrics"] if figure_of(entry) == latency]
        assert [variant["estimate"] for variant in entry["variants"]] == [wanted, wanted]


def test_time_bounds_which_calls_are_looked_at(tmp_path: Path) -> None:
    rows = Rows()
    for place in range(4):
        rows.call(f"s{place}", ("a", "b")[place % 2])
        rows.call(f"s{place}", ("a", "b")[place % 2], at=BEGAN + timedelta(hours=2))

    with engine_over(tmp_path / "data", rows) as engine:
        found = compared(engine, "model", "a", "b", Scope(BEGAN, BEGAN + timedelta(hours=2)))
        later = listed(engine, "model", scope=Scope(BEGAN + timedelta(hours=3), TODAY))

    # What begins at the end is beyond it.
    assert [variant["calls"] for variant in found["variants"]] == [2, 2]
    assert later == {}


def test_what_was_known_before_is_shown_and_warned_of(tmp_path: Path) -> None:
    rows = Rows()
    for place in range(200):
        is_b = place % 2
        rows.call(
            f"s{place}",
            "b" if is_b else "a",
            customer_id="big" if is_b else f"customer-{place % 8}",
            input_tokens=(2000 if is_b else 1000) + place % 7,
            at=BEGAN,
        )
    with engine_over(tmp_path / "data", rows) as engine:
        found = compared(engine, "model", "a", "b")

    differences = {row["name"]: row for row in found["differences_before"]}
    assert differences["customers"]["difference"] == pytest.approx(1.0)
    assert differences["customers"]["groups"][1]["values"][0] == {"value": "big", "sessions": 100}
    assert differences["hours"]["difference"] == 0.0
    assert differences["hours"]["differs"] is False
    assert differences["input_tokens"]["groups"][0]["mean"] == pytest.approx(
        sum(1000 + place % 7 for place in range(0, 200, 2)) / 100
    )
    assert differences["input_tokens"]["differs"] is True
    warned = [warning["name"] for warning in found["health"]["warnings"] if warning["code"] == "groups_differ"]
    assert warned == ["customers", "input_tokens"]


def test_groups_that_are_alike_are_not_warned_of(engine: DuckDBEngine) -> None:
    found = compared(engine, "model", *MODELS)

    assert "groups_differ" not in [warning["code"] for warning in found["health"]["warnings"]]


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("tag", {"beta": 60, "night": 20}),
        ("customer", {f"customer-{place}": 12 for place in range(5)}),
        ("metadata.tier", {"free": 30, "pro": 30}),
        ("metadata.a/b", {"x": 30}),
        ("prompt", {"greeting": 60, "greeting@1": 30, "greeting@2": 30}),
    ],
)
def test_values_are_listed_with_their_sessions(engine: DuckDBEngine, by: str, wanted: dict[str, int]) -> None:
    assert listed(engine, by) == wanted


@pytest.mark.parametrize(
    ("by", "a", "b"),
    [
        ("customer", "customer-1", "customer-2"),
        ("metadata.tier", "free", "pro"),
        ("prompt", "greeting@1", "greeting@2"),
    ],
)
def test_any_two_values_that_are_listed_can_be_compared(engine: DuckDBEngine, by: str, a: str, b: str) -> None:
    sessions = listed(engine, by)

    found = compared(engine, by, a, b)

    assert [variant["sessions"] for variant in found["variants"]] == [sessions[a], sessions[b]]


def test_of_another_project_nothing_is_seen(engine: DuckDBEngine) -> None:
    assert listed(engine, "tag", "other") == {"secret": 30}
    assert "secret-model" not in listed(engine, "model")
    with pytest.raises(UnknownValueError):
        compared(engine, "model", "gpt-4o", "secret-model")
    # Sessions of the same names have no value of the other's.
    entries = {figure_of(entry): entry for entry in compared(engine, "model", *MODELS)["metrics"]}
    assert max(arm["estimate"] for arm in entries["score", "mean", "per_session"]["variants"]) < 10


@pytest.mark.parametrize("value", ["'; DROP TABLE spans; --", "$a", "{0}", "%", "\U0001f600", '"', "/", "a" * 1000])
def test_hostile_values_are_values(engine: DuckDBEngine, value: str) -> None:
    for by in ("model", "tag", "customer", "prompt", f"metadata.{value}"):
        with pytest.raises(UnknownValueError):
            compared(engine, by, value, value + "b")
    assert listed(engine, f"metadata.{value}") == {}
