"""The results of one experiment: cohort, health, and every metric by variant, as docs/results.md describes them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.corrections import conclude
from analytics.experiments.estimates import category_entry, number_entry, quantile_entries, ratio_entry
from analytics.experiments.health import health_of
from analytics.experiments.measures import Measures, read_cohort
from analytics.experiments.metrics import METRICS, QuantileMetric, RatioMetric
from analytics.experiments.recommendation import recommend
from analytics.experiments.settings import Settings
from analytics.experiments.verdicts import Verdicts
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
    with engine.session(project, rows or engine.config_rows(project, experiment.key)) as session:
        cohort = read_cohort(session, experiment)
        measures = Measures(session, experiment.key, cohort, len(experiment.arms))
        health = health_of(experiment, cohort, measures.unexposed_sessions(), measures.dominance())
        sessions = [cohort.sessions(arm) for arm in range(len(experiment.arms))]
        calls = measures.calls()
        verdicts = Verdicts(Settings(inference="fixed_horizon"), health.allows_verdict)
        entries = list(_metrics(experiment, measures, sessions, calls, verdicts))
        # Of all metrics, whichever are asked for: who picks one must not escape the correction for how many there are.
        conclude(entries, verdicts)
        return {
            "experiment": _experiment(experiment, cohort.first_exposure),
            "settings": _settings(),
            "health": health.section,
            "variants": _variants(experiment, sessions, calls),
            "metrics": [entry for entry in entries if only is None or entry["name"] in only],
            "recommendation": recommend(entries, health.section, verdicts),
            "links": {"timeseries": None, "sessions": None},
        }


def _metrics(
    experiment: Experiment,
    measures: Measures,
    sessions: Sequence[int],
    calls: Sequence[int],
    verdicts: Verdicts,
) -> Iterator[dict[str, Any]]:
    keys = [arm.key for arm in experiment.arms]

    sums = iter(measures.ratios([metric for metric in METRICS if isinstance(metric, RatioMetric)]))
    for metric in METRICS:
        if isinstance(metric, QuantileMetric):
            yield from quantile_entries(metric, measures, calls, keys, verdicts)
        else:
            yield ratio_entry(metric, next(sums), calls, keys, verdicts)
    measures.keep_custom()
    for number in measures.number_metrics():
        yield number_entry(number, sessions, keys, verdicts)
    for category in measures.category_metrics():
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
        "config_versions": sorted(experiment.epoch),
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
