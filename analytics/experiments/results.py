"""The results of one experiment: cohort, health, and every metric by variant, as docs/results.md describes them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.beside import dependent_tests
from analytics.experiments.cohort_reader import read_cohort
from analytics.experiments.comparisons import Verdicts
from analytics.experiments.estimates import category_entry, number_entry, quantile_entries, ratio_entry
from analytics.experiments.health import Health, health_of
from analytics.experiments.health.traffic import read_traffic
from analytics.experiments.measures import Measures
from analytics.experiments.metrics import METRICS, QuantileMetric, RatioMetric
from storage.engines.config_rows import ConfigRows
from storage.engines.duckdb import DuckDBEngine

ALPHA = 0.05


def results(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    *,
    only: frozenset[str] | None = None,
    rows: ConfigRows | None = None,
) -> dict[str, Any]:
    """Return the results as they are now, or were with ``rows``; ``only`` limits the metrics to those names."""
    with engine.session(project, rows or engine.config_rows(project, experiment.key, experiment.column)) as session:
        cohort = read_cohort(session, experiment)
        measures = Measures(session, experiment.key, cohort, len(experiment.arms))
        unexposed, traffic = measures.unexposed_sessions(), read_traffic(session)
        dependent = dependent_tests(engine, project, experiment, cohort)
        health = health_of(experiment, cohort, unexposed, measures.dominance(), traffic, dependent)
        sessions = [cohort.sessions(arm) for arm in range(len(experiment.arms))]
        calls = measures.calls()
        entries = _metrics(experiment, measures, sessions, calls, Verdicts(ALPHA, health.allows_verdict), only)
        return {
            "experiment": _experiment(experiment, cohort.first_exposure),
            "settings": _settings(),
            "health": health.section,
            "variants": _variants(experiment, sessions, calls),
            "metrics": list(entries),
            "recommendation": _recommendation(health),
            "links": {"timeseries": None, "sessions": None},
        }


def _metrics(
    experiment: Experiment,
    measures: Measures,
    sessions: Sequence[int],
    calls: Sequence[int],
    verdicts: Verdicts,
    only: frozenset[str] | None,
) -> Iterator[dict[str, Any]]:
    keys = [arm.key for arm in experiment.arms]

    def wanted(name: str) -> bool:
        return only is None or name in only

    chosen = [metric for metric in METRICS if wanted(metric.name)]
    sums = iter(measures.ratios([metric for metric in chosen if isinstance(metric, RatioMetric)]))
    for metric in chosen:
        if isinstance(metric, QuantileMetric):
            yield from quantile_entries(metric, measures, calls, keys, verdicts)
        else:
            yield ratio_entry(metric, next(sums), calls, keys, verdicts)
    measures.keep_custom()
    for number in measures.number_metrics():
        if wanted(number.name):
            yield number_entry(number, sessions, keys, verdicts)
    for category in measures.category_metrics():
        if wanted(category.name):
            yield category_entry(category, sessions, keys, verdicts)


def _experiment(experiment: Experiment, first_exposure: datetime | None) -> dict[str, Any]:
    return {
        "key": experiment.key,
        "status": "running",
        "unit": "session_id",
        "control": experiment.arms[0].key,
        "started_at": (first_exposure or experiment.started_at).isoformat(),
        "as_of": datetime.now(UTC).isoformat(),
        "config_version": experiment.version,
        "config_versions": sorted(experiment.versions),
    }


def _settings() -> dict[str, Any]:
    return {
        "alpha": ALPHA,
        "inference": "fixed_horizon",
        "n_star": None,
        "correction": {"primary": None, "secondary": None},
        "power": None,
    }


def _variants(experiment: Experiment, sessions: Sequence[int], calls: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"key": arm.key, "model": arm.model, "weight": arm.share, "sessions": session_count, "calls": call_count}
        for arm, session_count, call_count in zip(experiment.arms, sessions, calls, strict=True)
    ]


def _recommendation(health: Health) -> dict[str, Any]:
    if health.section["status"] == "invalid":
        reasons = [warning["message"] for warning in health.section["warnings"]]
        return {"action": "invalid", "variant": None, "reasons": reasons}
    reason = "fixed-horizon intervals hold for one look at a planned end: this version gives no verdict before it"
    return {"action": "keep_running", "variant": None, "reasons": [reason]}
