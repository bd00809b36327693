"""The SELECT of a figure gives it: over several weight epochs, within a window, as declared, whatever the names are."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from traffic_rows import BEGAN, Rows, arm_of, close_to, engine_over

from analytics.experiments.arms import experiment_of, prompt_experiment_of
from analytics.experiments.figure_sql import FigureSql
from analytics.experiments.results import results
from analytics.experiments.session_labels import session_labels
from analytics.experiments.settings import MetricSettings, Settings
from storage.engines.duckdb import DuckDBEngine
from storage.registry.resources import ConfigVersion

KEY = "o'brien's \"config\""
MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS = 60
EVEN = ConfigVersion(1, BEGAN - timedelta(days=1), {"variants": [{"model": model, "weight": 50} for model in MODELS]})
UNEVEN = ConfigVersion(
    2,
    BEGAN + timedelta(hours=2),
    {"variants": [{"model": model, "weight": weight} for model, weight in zip(MODELS, (70, 30), strict=True)]},
)
TEXTS = (MetricSettings("stars", type="category"), MetricSettings("tone", missing="zero"))


class Configs:
    """Of the registry what ``session_labels`` asks: one config with its versions."""

    def __init__(self, *versions: ConfigVersion) -> None:
        self._versions = versions

    def configs(self, project: str) -> list[dict[str, Any]]:
        return [{"key": KEY}] if project == "p" else []

    def config_versions(self, project: str, key: str) -> tuple[ConfigVersion, ...]:
        return self._versions


def traffic() -> Rows:
    chance = np.random.default_rng(9)
    rows = Rows()
    for place in range(SESSIONS):
        session, at = f"s{place}", BEGAN + timedelta(minutes=3 * place)
        model = arm_of(session, MODELS)
        # Both versions give these sessions the same arm, but for those in between.
        rows.expose(session, model, at=at, version=1 + (place > 40), key=KEY)
        for _ in range(int(chance.integers(1, 5))):
            rows.call(
                session,
                model,
                at=at,
                config_key=KEY,
                duration_ns=int(chance.lognormal(20, 1)),
                cost=float(chance.lognormal(-6, 1)) if chance.random() < 0.9 else None,
                input_tokens=int(chance.integers(1, 500)),
                total_tokens=1000,
                reasoning_tokens=int(chance.integers(1, 50)),
                status_code="error" if chance.random() < 0.1 else "ok",
            )
        if place % 3:
            rows.measure(session, "it's", float(chance.normal(3, 1)), key=KEY)
            rows.measure(session, "done", float(chance.random() < 0.7), key=KEY)
        if place % 5:
            rows.measure(session, "tone", ("it's rude", "kind")[int(chance.integers(2))], key=KEY)
            rows.measure(session, "stars", float(chance.integers(1, 4)), key=KEY)
    return rows


def assert_statements(engine: DuckDBEngine, answer: dict[str, Any], without: set[str]) -> None:
    """Assert that each statement gives the figure, and that none is missing but those of these statistics."""
    missing = [entry for entry in answer["metrics"] if entry["sql"] is None]
    assert {entry["statistic"] for entry in missing} == without
    assert {entry["name"] for entry in missing} == {"fallback_rate"}
    told = [entry for entry in answer["metrics"] if entry["sql"] is not None]
    parts = [f"SELECT {place} AS place, * FROM ({entry['sql']})" for place, entry in enumerate(told)]
    rows = engine.query_untrusted(
        " UNION ALL ".join(parts), project="p", timeout_s=60.0, rows_max=10_000, bytes_max=1 << 20
    ).rows.to_pylist()
    found = {(row["place"], row["variant"]): row["estimate"] for row in rows}
    assert len(told) > 20
    for place, entry in enumerate(told):
        for arm in entry["variants"]:
            assert found[place, arm["key"]] == close_to(arm["estimate"]), (
                entry["name"],
                entry["statistic"],
                entry["estimand"],
            )


def test_statements_hold_within_a_window_with_declared_metrics_and_any_names(tmp_path: Path) -> None:
    settings = Settings(
        start=BEGAN + timedelta(minutes=10),
        ended_at=BEGAN + timedelta(minutes=160),
        success="done",
        metrics=(MetricSettings("it's", cap=0.8, missing="zero"), *TEXTS),
    )
    experiment = experiment_of(KEY, [EVEN])
    assert experiment is not None
    with engine_over(tmp_path / "data", traffic()) as engine:
        engine.users.labels_of = lambda project: session_labels(engine, Configs(EVEN), project)  # type: ignore[arg-type]
        answer = results(engine, "p", experiment, settings)

        assert sum(variant["sessions"] for variant in answer["variants"]) == 50
        assert {"cost_usd", "it's", "done"} <= {entry["name"] for entry in answer["metrics"] if entry["sql"]}
        # That of fallbacks.
        assert_statements(engine, answer, {"proportion"})


def test_statements_weigh_several_epochs_as_the_results_do(tmp_path: Path) -> None:
    experiment = experiment_of(KEY, [EVEN, UNEVEN])
    assert experiment is not None
    assert len(experiment.epochs) == 2
    with engine_over(tmp_path / "data", traffic()) as engine:
        engine.users.labels_of = lambda project: session_labels(engine, Configs(EVEN, UNEVEN), project)  # type: ignore[arg-type]

        declared = (MetricSettings("it's", cap=0.8), MetricSettings("done", missing="zero"), *TEXTS)
        for settings in (Settings(), Settings(metrics=declared)):
            answer = results(engine, "p", experiment, settings)
            statistics = {entry["statistic"] for entry in answer["metrics"] if entry.get("custom")}
            assert statistics == {"mean", "proportion"} | ({"capped_mean"} if settings.metrics else set())
            assert_statements(engine, answer, {"proportion"})
        first = experiment_of(KEY, [EVEN, UNEVEN], epoch=1)
        assert first is not None
        assert_statements(engine, results(engine, "p", first), {"proportion"})


def test_what_the_views_do_not_know_has_no_statement() -> None:
    other = {"variants": [{"model": "another", "weight": 50}, {"model": "still-another", "weight": 50}]}
    before = experiment_of(KEY, [EVEN, ConfigVersion(2, BEGAN, other)], 1)
    prompts = {"variants": [{"prompt_key": "a", "weight": 50}, {"prompt_key": "b", "weight": 50}]}
    test = prompt_experiment_of("greeting", [ConfigVersion(1, BEGAN, prompts)])

    for experiment in (before, test):
        assert experiment is not None
        statements = FigureSql(experiment, Settings(), [[1.0], [1.0]])
        entry = {"name": "latency_ms", "statistic": "mean", "estimand": "per_call"}
        assert statements.of(entry) is None
