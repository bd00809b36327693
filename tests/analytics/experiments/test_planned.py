"""A planned experiment shows its figures, and concludes nothing: what they rest on may still be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiment_days import events, experiment, send

from analytics.experiments.results import results
from analytics.experiments.settings import Settings
from analytics.reports.comparisons import compared
from analytics.reports.summary import summary_of


def significant(found: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in found["metrics"] for each in entry["comparisons"] if each["significant"]]


def test_figures_are_shown_and_nothing_is_concluded_until_it_begins(tmp_path: Path) -> None:
    parts, exporter = send(tmp_path / "data", events(700, effect=0.6))
    running = results(parts.engine, "p", experiment(), Settings())
    planned = results(parts.engine, "p", experiment(), Settings(status="planned"))
    exporter.stop()
    parts.engine.close()

    assert "latency_ms" in significant(running)
    assert significant(planned) == []
    assert [entry["variants"] for entry in planned["metrics"]] == [entry["variants"] for entry in running["metrics"]]
    assert planned["recommendation"] == {
        "action": "keep_running",
        "variant": None,
        "reasons": ["the experiment is planned and has not begun: what came before it decides nothing"],
        "monthly_cost_impact_usd": [],
    }
    latency = next(row for row in compared(planned) if row.name == "latency_ms")
    assert str(latency.verdict) == "· no verdict"
    assert summary_of(planned).facts[0].startswith("planned; as of ")
