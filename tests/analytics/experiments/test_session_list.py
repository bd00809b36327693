"""The sessions behind a figure: those that count make it, the others say why they don't; page by page, worst first."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from traffic_rows import BEGAN, Rows, arm_of, engine_over

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.results import results
from analytics.experiments.session_list import UnknownMetricError, session_page
from analytics.experiments.settings import Settings
from analytics.traces.cursor import CursorError
from schemas.api.experiment_sessions import ExperimentSessionsQuery
from storage.engines.duckdb import DuckDBEngine
from storage.registry.resources import ConfigVersion

MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS = 30


def experiment() -> Experiment:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    made = experiment_of("config", [ConfigVersion(1, BEGAN - timedelta(days=1), body)])
    assert made is not None
    return made


def traffic(project: str) -> Rows:
    rows = Rows(project)
    for place in range(SESSIONS):
        session = f"s{place}"
        model = arm_of(session, MODELS)
        rows.expose(session, model, at=BEGAN + timedelta(minutes=place))
        for number in range(1 + place % 3):
            is_error = place % 7 == 0 and number == 0
            cost = None if place == 5 else 0.001 * (place % 4)
            rows.call(
                session,
                model,
                duration_ns=(place + number) * 1_000_000,
                cost=cost,
                status_code="error" if is_error else "ok",
            )
        if place % 2:
            rows.measure(session, "score", place / 10)
    rows.expose("crossed", MODELS[0])
    rows.expose("crossed", MODELS[1])
    rows.call("crossed", MODELS[0], duration_ns=10**12)
    rows.call("never-exposed", MODELS[0])
    return rows


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    other = traffic("other")
    other.call("of-the-other", MODELS[0])
    other.expose("of-the-other", arm_of("of-the-other", MODELS))
    with engine_over(tmp_path_factory.mktemp("sessions") / "data", traffic("p"), other) as made:
        yield made


def page(engine: DuckDBEngine, **query: Any) -> dict[str, Any]:
    return session_page(engine, "p", experiment(), Settings(), ExperimentSessionsQuery(**query))


def every(engine: DuckDBEngine, **query: Any) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    found, cursor = [], None
    while True:
        one = page(engine, **query, cursor=cursor)
        found += one["sessions"]
        cursor = one["next_cursor"]
        if cursor is None:
            assert len(found) == one["total"]
            return found


@pytest.mark.parametrize(
    ("metric", "statistic", "estimand"),
    [
        ("latency_ms", "mean", "per_session"),
        ("cost_usd", "mean", "per_session"),
        ("calls_per_session", "mean", "per_session"),
        ("fallback_rate", "proportion", "per_session"),
        ("score", "mean", "per_session"),
    ],
)
def test_the_values_of_the_sessions_make_the_figure(
    engine: DuckDBEngine, metric: str, statistic: str, estimand: str
) -> None:
    (entry,) = [
        entry
        for entry in results(engine, "p", experiment())["metrics"]
        if (entry["name"], entry["statistic"], entry["estimand"]) == (metric, statistic, estimand)
    ]

    for arm in entry["variants"]:
        rows = every(engine, metric=metric, variant=arm["key"], limit=4)
        known = [row["value"] for row in rows if row["value"] is not None]
        assert sum(known) / len(known) == pytest.approx(arm["estimate"], rel=1e-9)
        assert len(known) == arm["observations"]
        assert {row["variant"] for row in rows} == {arm["key"]}


@pytest.mark.parametrize(
    ("query", "is_descending"),
    [
        ({"metric": "latency_ms"}, True),
        ({"metric": "latency_ms", "sort": "best"}, False),
        ({"metric": "cost_usd"}, True),
        ({"metric": "score"}, False),
        ({"metric": "score", "sort": "best"}, True),
    ],
)
def test_the_worst_come_first_and_the_unknown_last_over_all_pages(
    engine: DuckDBEngine, query: dict[str, Any], is_descending: bool
) -> None:
    rows = every(engine, **query, limit=4)

    values = [row["value"] for row in rows]
    known = [value for value in values if value is not None]
    assert values == [*sorted(known, reverse=is_descending), *[None] * (len(values) - len(known))]
    assert len({row["session_id"] for row in rows}) == len(rows) == SESSIONS


def test_without_a_metric_the_latest_come_first(engine: DuckDBEngine) -> None:
    rows = every(engine, limit=7)

    assert [row["session_id"] for row in rows] == [f"s{place}" for place in reversed(range(SESSIONS))]
    assert rows[0] == {
        "session_id": "s29",
        "label": "randomised",
        "is_counted": True,
        "variant": arm_of("s29", MODELS),
        "epoch": 1,
        "exposed_at": (BEGAN + timedelta(minutes=29)).isoformat(),
        "calls": 3,
        "errors": 0,
        "value": None,
    }


@pytest.mark.parametrize(("label", "session"), [("crossover", "crossed"), ("missing_exposure", "never-exposed")])
def test_sessions_that_do_not_count_are_found_by_their_label(engine: DuckDBEngine, label: str, session: str) -> None:
    (row,) = every(engine, label=label, metric="latency_ms")

    assert (row["session_id"], row["label"], row["is_counted"], row["variant"]) == (session, label, False, None)
    assert row["value"] == (1e6 if session == "crossed" else 1.0)


def test_the_share_of_failed_calls_is_a_session_s_error_rate(engine: DuckDBEngine) -> None:
    rows = every(engine, metric="error_rate")

    assert {row["session_id"]: row["value"] for row in rows if row["value"]} == {
        "s0": 1.0,
        "s7": 0.5,
        "s14": pytest.approx(1 / 3),
        "s21": 1.0,
        "s28": 0.5,
    }
    assert rows[0]["value"] == 1.0


def test_what_is_no_metric_and_no_cursor_is_refused(engine: DuckDBEngine) -> None:
    with pytest.raises(UnknownMetricError, match="no session has a metric \"'; DROP"):
        page(engine, metric="'; DROP TABLE spans")
    cursor = page(engine, metric="latency_ms", limit=3)["next_cursor"]
    for wrong in ("x", cursor[:-3], "W10", cursor):
        with pytest.raises(CursorError):
            page(engine, metric="cost_usd", cursor=wrong)
