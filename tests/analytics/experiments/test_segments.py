"""Segments of an experiment: each has the figures of an experiment of its sessions alone, corrected with all others."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from traffic_rows import BEGAN, Rows, arm_of, close_to, engine_over

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.results import results
from analytics.experiments.segments import SEGMENTS_MAX, segments
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import benjamini_hochberg
from storage.engines.duckdb import DuckDBEngine
from storage.registry.resources import ConfigVersion

MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS = 80
TIERS = ("free", "pro")


def experiment() -> Experiment:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    made = experiment_of("config", [ConfigVersion(1, BEGAN - timedelta(days=1), body)])
    assert made is not None
    return made


def traffic(*, tier: str | None = None, project: str = "p") -> Rows:
    """Sessions of two tiers, or of one of them alone."""
    chance = np.random.default_rng(5)
    rows = Rows(project)
    for place in range(SESSIONS):
        session, own_tier = f"s{place}", TIERS[place % 2]
        model = arm_of(session, MODELS)
        is_sent = tier in (None, own_tier)
        if is_sent:
            rows.expose(session, model, at=BEGAN + timedelta(hours=place % 3))
        for number in range(int(chance.integers(1, 5))):
            latency_ns, cost = int(chance.lognormal(20, 1)), float(chance.lognormal(-6, 1))
            if is_sent:
                rows.call(
                    session,
                    model,
                    at=BEGAN + timedelta(hours=place % 3, minutes=number),
                    duration_ns=latency_ns,
                    cost=cost,
                    metadata=f'{{"tier": "{own_tier if number == 0 else "changed"}"}}',
                    customer_id=f"customer-{place % 40}",
                    tags=["all", own_tier],
                )
        score = float(chance.normal(3, 1))
        if is_sent:
            rows.measure(session, "score", score)
    return rows


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    with engine_over(tmp_path_factory.mktemp("segments") / "data", traffic(), traffic(project="other")) as made:
        yield made


def by(engine: DuckDBEngine, name: str) -> dict[str, Any]:
    return segments(engine, "p", experiment(), Settings(), name)


def sessions_by_value(section: dict[str, Any]) -> dict[str | None, int]:
    return {
        segment["value"]: sum(variant["sessions"] for variant in segment["variants"]) for segment in section["segments"]
    }


def figures(entries: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(entry["name"], entry["statistic"], entry["estimand"]): entry for entry in entries}


@pytest.mark.parametrize("tier", TIERS)
def test_a_segment_has_the_figures_of_its_sessions_alone(engine: DuckDBEngine, tmp_path: Path, tier: str) -> None:
    with engine_over(tmp_path / "data", traffic(tier=tier)) as alone:
        wanted = figures(results(alone, "p", experiment())["metrics"])

    section = by(engine, "metadata.tier")

    (segment,) = [segment for segment in section["segments"] if segment["value"] == tier]
    found = figures(segment["metrics"])
    assert found.keys() == wanted.keys()
    for figure, entry in found.items():
        for arm, as_arm in zip(entry["variants"], wanted[figure]["variants"], strict=True):
            assert arm == close_to(as_arm), figure
        for name in ("difference", "lift", "p_value", "p_value_fixed", "sessions"):
            assert entry["comparisons"][0][name] == close_to(wanted[figure]["comparisons"][0][name]), (figure, name)


def test_p_values_are_corrected_over_all_segments_and_metrics_and_nothing_is_called_significant(
    engine: DuckDBEngine,
) -> None:
    section = by(engine, "metadata.tier")

    made = [
        comparison
        for segment in section["segments"]
        for entry in segment["metrics"]
        for comparison in entry["comparisons"]
        # Of what has no better way nothing is concluded.
        if entry["direction"] != "neutral"
    ]
    adjusted = benjamini_hochberg([comparison["p_value"] for comparison in made])
    assert [comparison["p_value_adjusted"] for comparison in made] == close_to(list(adjusted))
    assert section["exploratory"] is True
    assert not any("significant" in comparison for comparison in made)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("metadata.tier", {"free": 40, "pro": 40}),
        ("tag", {"all": 80, "free": 40, "pro": 40}),
        ("version", {"1": 80}),
        ("metadata.nothing", {}),
    ],
)
def test_sessions_are_in_the_segments_of_their_first_call_or_exposure(
    engine: DuckDBEngine, name: str, wanted: dict[str, int]
) -> None:
    section = by(engine, name)

    assert sessions_by_value(section) == wanted
    assert section["sessions_without_value"] == (0 if wanted else SESSIONS)


def test_hours_are_those_of_the_first_exposure(engine: DuckDBEngine) -> None:
    section = by(engine, "hour")

    hours = [(BEGAN + timedelta(hours=later)).hour for later in range(3)]
    assert sessions_by_value(section) == {str(hours[0]): 27, str(hours[1]): 27, str(hours[2]): 26}
    assert section["before_assignment"] is True


def test_a_model_is_no_property_from_before_the_assignment(engine: DuckDBEngine) -> None:
    section = by(engine, "model")

    assert set(sessions_by_value(section)) == set(MODELS)
    assert section["before_assignment"] is False


def test_beyond_the_largest_values_the_rest_stand_together(engine: DuckDBEngine) -> None:
    section = by(engine, "customer")

    found = section["segments"]
    assert [segment["is_rest"] for segment in found] == [False] * SEGMENTS_MAX + [True]
    assert (found[-1]["value"], found[-1]["values"]) == (None, 20)
    assert sum(sessions_by_value(section).values()) == SESSIONS


def test_hostile_keys_of_metadata_are_keys(engine: DuckDBEngine) -> None:
    for key in ("'; DROP TABLE spans; --", "{0}", "a/b~c", '"', "$key"):
        assert by(engine, f"metadata.{key}")["segments"] == []
