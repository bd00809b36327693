"""The results of one experiment: cohort, health, and every metric by variant, as docs/results.md describes them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.experiments.adjusted_entries import unused_covariates
from analytics.experiments.arms import Experiment
from analytics.experiments.as_of import session_of
from analytics.experiments.beside import dependent_tests
from analytics.experiments.cohort_reader import read_sessions
from analytics.experiments.covariates import Covariates
from analytics.experiments.entries import Entries
from analytics.experiments.figure_sql import FigureSql
from analytics.experiments.health import Health, health_of
from analytics.experiments.health.traffic import read_traffic
from analytics.experiments.measures import Measures
from analytics.experiments.recommendation import recommend
from analytics.experiments.settings import Settings, declared_section, settings_section
from analytics.experiments.statistics import arm_weights
from analytics.experiments.traffic import traffic_of
from analytics.experiments.verdicts import Pasts, Verdicts
from storage.engines.config_rows import ConfigRows
from storage.engines.duckdb import DuckDBEngine

_DEFAULTS = Settings()
_NO_PAST: Pasts = {}


def results(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    settings: Settings = _DEFAULTS,
    *,
    rows: ConfigRows | None = None,
    before: datetime | None = None,
    past: Pasts = _NO_PAST,
) -> dict[str, Any]:
    """Return the results as they are now, or were with ``rows``; of what had happened ``before`` a moment.

    ``past`` is what the looks before this one saw. All metrics are there, since how many comparisons are made is part
    of what each of them says.
    """
    with session_of(engine, project, experiment, rows=rows, before=before, in_turn=True) as session:
        cohort, sums = read_sessions(session, experiment, settings)
        measures = Measures(session, experiment, cohort, sums, settings.success)
        unexposed, traffic = sums.unexposed, read_traffic(session, sums.models.days())
        dependent = dependent_tests(engine, project, experiment, cohort, before=before)
        health = health_of(experiment, cohort, unexposed, measures.dominance(), traffic, dependent)
        keys, calls = [arm.key for arm in experiment.arms], measures.calls()
        control = settings.control_index(keys)
        at = before or datetime.now(UTC)
        traffic_now = traffic_of(cohort, calls)
        # What is planned may still be changed in all that its sequences would rest on.
        allowed = health.allows_verdict and settings.status != "planned"
        verdicts = Verdicts(settings, allowed, control=control, traffic=traffic_now, past=past, at=at)
        made = Entries(measures, keys, calls, verdicts, covariates=Covariates(measures))
        entries, weights = made.all(), arm_weights(measures.by_epoch, control)
        statements = FigureSql(experiment, settings, weights, made.custom_weights())
        # Of a past moment there is no table to ask.
        entries = [{**entry, "sql": statements.of(entry) if before is None else None} for entry in entries]
        warnings = [
            *_control_warnings(settings, keys),
            *_response_warnings(entries),
            *unused_covariates(settings, entries),
        ]
        section = _with_warnings(health, warnings)
        return {
            "experiment": _experiment(experiment, settings, keys[control], cohort.first_exposure, at),
            "settings": settings_section(settings),
            "health": section,
            "variants": _variants(experiment, measures.sessions, calls),
            "metrics": entries,
            "recommendation": recommend(entries, section, verdicts),
            "links": {"timeseries": None, "sessions": None},
        }


def _experiment(
    experiment: Experiment, settings: Settings, control: str, first_exposure: datetime | None, at: datetime
) -> dict[str, Any]:
    return {
        "key": experiment.key,
        **declared_section(settings),
        "unit": "session_id",
        "control": control,
        "started_at": (settings.start or first_exposure or experiment.started_at).isoformat(),
        "as_of": at.isoformat(),
        "config_version": experiment.version,
        "config_versions": sorted(experiment.versions),
    }


def _variants(experiment: Experiment, sessions: Sequence[int], calls: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"key": arm.key, "model": arm.model, "weight": arm.share, "sessions": session_count, "calls": call_count}
        for arm, session_count, call_count in zip(experiment.arms, sessions, calls, strict=True)
    ]


def _with_warnings(health: Health, warnings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the health section with what the figures themselves warn of."""
    status = "warning" if warnings and health.section["status"] == "ok" else health.section["status"]
    return {**health.section, "status": status, "warnings": [*health.section["warnings"], *warnings]}


def _control_warnings(settings: Settings, keys: Sequence[str]) -> list[dict[str, Any]]:
    if settings.control is None or settings.control in keys:
        return []
    message = (
        f"the control {settings.control!r} is no variant of this version, which has {', '.join(keys)}: "
        f"compared with {keys[0]}"
    )
    return [{"code": "unknown_control", "message": message}]


def _response_warnings(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a warning for each custom metric that more sessions of one arm give than of another."""
    found = {
        (entry["name"], comparison["variant"]): comparison
        for entry in entries
        for comparison in entry.get("response_rate", {}).get("comparisons", ())
        if comparison["differs"]
    }
    return [
        {
            "code": "response_rate_differs",
            "metric": name,
            "variant": variant,
            "message": (
                f"{name}: the share of sessions that have it differs by {comparison['difference']['estimate']:+.1%} "
                f"between {variant} and {comparison['vs']}, so that those compared are not alike"
            ),
        }
        for (name, variant), comparison in found.items()
    ]
