"""The comparison of two groups of sessions, in the shape of an experiment's results, and without a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.experiments.comparisons import SESSIONS_MIN
from analytics.experiments.entries import Entries
from analytics.experiments.exploratory import exploratory
from analytics.experiments.health.warning import warning
from analytics.experiments.metrics import METRICS
from analytics.experiments.observational.dimension import Dimension
from analytics.experiments.observational.groups import group_differences, group_warnings
from analytics.experiments.observational.measures import GroupMeasures, Scope
from analytics.experiments.settings import Inference, Settings, settings_section
from analytics.experiments.verdicts import Verdicts
from schemas.spans import SPANS
from storage import sql
from storage.engines.duckdb import QuerySession

VALUES_MAX = 200
BOTH_SHARE_MAX = 0.01
REASON = (
    "the sessions chose, chance did not: what differs between the groups may be behind any difference of their figures"
)
# Nobody was assigned a model, so none stood in for another.
_METRICS = tuple(metric for metric in METRICS if metric.name != "fallback_rate")


class UnknownValueError(Exception):
    """No session has a call of the value."""

    def __init__(self, value: str, field: str) -> None:
        super().__init__(value)
        self.value = value
        self.field = field


def comparison(
    session: QuerySession, dimension: Dimension, scope: Scope, a: str, b: str, inference: Inference = "sequential"
) -> dict[str, Any]:
    """Return the comparison of the sessions with calls of ``b`` with those of ``a``. Raises UnknownValueError."""
    settings = exploratory(Settings(inference=inference))
    measures = GroupMeasures(session, dimension, scope, a, b)
    keys, calls, both = [a, b], measures.calls(), measures.sessions_with_both()
    for value, field, sessions in zip(keys, ("a", "b"), measures.sessions, strict=True):
        if not sessions and not both:
            raise UnknownValueError(value, field)
    differences = group_differences(session, keys, _left_out(dimension, scope))
    warnings = [
        warning("observational", f"{REASON}; an experiment tells"),
        *_of_sessions(keys, measures.sessions, both),
        *group_warnings(differences),
    ]
    dominance = measures.dominance()
    return {
        "observational": True,
        "by": dimension.name,
        "config": scope.config,
        "from": scope.start.isoformat(),
        "to": scope.end.isoformat(),
        "as_of": datetime.now(UTC).isoformat(),
        "unit": "session_id",
        "control": a,
        "settings": settings_section(settings),
        "health": {
            "status": "warning",
            "srm": None,
            "excluded": {"both_values": both},
            "dominant_session": {
                "max_call_share": dominance.max_call_share,
                "effective_sessions": dominance.effective_sessions,
            },
            "warnings": warnings,
        },
        "variants": [
            {"key": key, "sessions": count, "calls": called}
            for key, count, called in zip(keys, measures.sessions, calls, strict=True)
        ],
        "differences_before": differences,
        "metrics": Entries(measures, keys, calls, Verdicts(settings, allowed=False), metrics=_METRICS).all(),
        "recommendation": {"action": None, "variant": None, "reasons": [REASON]},
    }


def values(session: QuerySession, dimension: Dimension, scope: Scope, values_max: int = VALUES_MAX) -> dict[str, Any]:
    """Return the values that calls have, the most frequent first."""
    session.narrow(SPANS, "start_time", scope.start, scope.end)
    statement = sql.load("compared_values").format(values=dimension.values)
    named = {**scope.parameters, **dimension.parameters, "values_max": values_max + 1}
    rows = session.query(statement, named).to_pylist()
    return {
        "by": dimension.name,
        "config": scope.config,
        "from": scope.start.isoformat(),
        "to": scope.end.isoformat(),
        "values": rows[:values_max],
        "truncated": len(rows) > values_max,
    }


def _left_out(dimension: Dimension, scope: Scope) -> list[str]:
    """Return what differs, or does not, by what was asked for."""
    return [*(["customers"] if dimension.name == "customer" else []), *(["configs"] if scope.config else [])]


def _of_sessions(keys: Sequence[str], sessions: Sequence[int], both: int) -> Iterator[dict[str, Any]]:
    if both > BOTH_SHARE_MAX * (sum(sessions) + both):
        yield warning(
            "both_values",
            f"{both} of {sum(sessions) + both} sessions have calls of both and are left out: where one steps in for "
            "the other, it is the failures that are missing",
            count=both,
        )
    few = {key: count for key, count in zip(keys, sessions, strict=True) if count < SESSIONS_MIN}
    if few:
        counts = ", ".join(f"{key}: {count}" for key, count in few.items())
        yield warning("low_sample", f"fewer than {SESSIONS_MIN} sessions in {counts}", sessions=few)
