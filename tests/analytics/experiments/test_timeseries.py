"""The course of a figure is what the results as of each day's end say of it: sums, intervals and p-values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from experiment_days import DAYS, at, compared, events, experiment, send
from lake_parts import Parts

from analytics.experiments.figures import identity_of
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.results import results
from analytics.experiments.settings import MetricSettings, Settings
from analytics.experiments.timeseries import Asked, timeseries

LATENCY = ("latency_ms", "mean", "per_call", None)
SETTINGS = Settings(
    success="solved",
    metrics=(
        MetricSettings("score", role="primary", missing="zero"),
        MetricSettings("channel", direction="higher_is_better"),
    ),
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """All rows, in no order, half of them committed."""
    rows = events(90)
    chance = random.Random(4)
    chance.shuffle(rows)
    parts, exporter = send(tmp_path_factory.mktemp("course") / "data", rows, commits=(60, len(rows) // 2))
    yield parts
    exporter.stop()
    parts.engine.close()


@pytest.fixture(scope="module")
def as_of_days(everything: Parts) -> list[dict[str, Any]]:
    return [results(everything.engine, "p", experiment(), SETTINGS, before=at(day + 1)) for day in range(DAYS + 1)]


@pytest.fixture(scope="module")
def last(as_of_days: list[dict[str, Any]]) -> dict[str, Any]:
    return as_of_days[-1]


def figures() -> list[tuple[str, str, str, str | None]]:
    means = ["latency_ms", "cost_usd", "total_tokens", "input_tokens"]
    return [
        *((name, "mean", estimand, None) for name in means for estimand in ("per_call", "per_session")),
        ("cost_usd", "mean", "per_successful_session", None),
        ("error_rate", "ratio", "per_call", None),
        ("error_rate", "proportion", "per_session", None),
        ("fallback_rate", "proportion", "per_session", None),
        ("calls_per_session", "mean", "per_session", None),
        ("score", "mean", "per_session", None),
        ("solved", "proportion", "per_session", None),
        ("channel", "proportion", "per_session", "chat"),
        ("latency_ms", "p90", "per_call", None),
        ("cost_usd", "capped_mean", "per_session", None),
    ]


@pytest.mark.parametrize("figure", figures(), ids=str)
def test_each_point_is_the_results_as_of_its_moment(
    everything: Parts, as_of_days: list[dict[str, Any]], last: dict[str, Any], figure: Any
) -> None:
    entry = next(each for each in last["metrics"] if identity_of(each) == figure)

    found = timeseries(
        everything.engine,
        "p",
        experiment(),
        SETTINGS,
        Asked(last, entry),
        lambda before: results(everything.engine, "p", experiment(), SETTINGS, before=before),
    )

    assert [point["at"] for point in found["points"]] == [at(day + 1).isoformat() for day in range(DAYS + 1)]
    for point, then in zip(found["points"], as_of_days, strict=True):
        wanted = next(each for each in then["metrics"] if identity_of(each) == figure)
        assert point["variants"] == compared(wanted["variants"])
        for comparison, of_results in zip(point["comparisons"], wanted["comparisons"], strict=True):
            for name in ("variant", "vs", "status", "difference", "lift", "p_value", "enough_data", "sessions"):
                assert comparison[name] == compared(of_results[name]), name


@pytest.mark.parametrize(
    "figure", [LATENCY, ("latency_ms", "p90", "per_call", None), ("solved", "proportion", "per_session", None)]
)
def test_before_a_day_is_over_the_present_is_the_only_point(everything: Parts, figure: Any) -> None:
    now = at(0.9)
    found = results(everything.engine, "p", experiment(now), SETTINGS, before=now)
    entry = next(each for each in found["metrics"] if identity_of(each) == figure)

    course = timeseries(everything.engine, "p", experiment(now), SETTINGS, Asked(found, entry), lambda _: found)

    (point,) = course["points"]
    assert (point["at"], point["variants"]) == (now.isoformat(), entry["variants"])
    assert sum(arm["sessions"] for arm in point["variants"]) > 0


def test_the_least_p_of_all_looks_and_the_first_of_its_level_are_told(tmp_path: Path) -> None:
    parts, exporter = send(tmp_path / "data", events(700, effect=0.6))
    moments = [*(at(day + 1) for day in range(DAYS)), at(DAYS + 0.5)]

    def results_before(before: datetime) -> dict[str, Any]:
        return results(parts.engine, "p", experiment(), before=before)

    looks = [comparison_of(results_before(moment)) for moment in moments]
    kept = KeptResults(parts.engine)
    found = [kept.results("p", experiment(), before=moment) for moment in moments]
    asked = Asked(found[-1], next(each for each in found[-1]["metrics"] if identity_of(each) == LATENCY))
    course = timeseries(parts.engine, "p", experiment(), Settings(), asked, results_before)
    exporter.stop()
    parts.engine.close()

    counted = [(look["p_value"], moment) for look, moment in zip(looks, moments, strict=True) if look["enough_data"]]
    assert len(counted) == 4 < len(looks)
    least = [min(p for p, _ in counted[: place + 1]) for place in range(len(counted))]
    assert [comparison_of(one)["p_value"] for one in found[-4:]] == compared(least)
    assert [point["comparisons"][0]["p_value_min"] for point in course["points"]][-4:] == compared(least)
    # It falls, and rises when there is no effect any more.
    assert comparison_of(found[-1])["p_value"] < looks[-1]["p_value"]
    first = next(moment for p, moment in counted if p <= Settings().alpha)
    assert comparison_of(found[-1])["first_significant_at"] == first.isoformat()
    assert course["first_significant_at"] == {"gpt-4o-mini": first.isoformat()}


def comparison_of(found: dict[str, Any]) -> dict[str, Any]:
    (comparison,) = next(each for each in found["metrics"] if identity_of(each) == LATENCY)["comparisons"]
    assert isinstance(comparison, dict)
    return comparison
