"""Segments: the results among the sessions of one customer, tag, model, hour or version; exploratory, no verdict.

Theory of operation. The cohort is read once, and its sums a session once; each segment's are those rows of them. A
session is in the segments that its first exposure tells, or its first call; of several tags in several. Looked at in
enough segments some figure differs by chance, so all comparisons of all segments are corrected together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics.experiments.arms import Experiment
from analytics.experiments.as_of import session_of
from analytics.experiments.cohort_reader import read_sessions
from analytics.experiments.cohorts import Cohort
from analytics.experiments.corrections import conclude
from analytics.experiments.entries import Entries
from analytics.experiments.exploratory import exploratory
from analytics.experiments.measures import Measures, SessionMeasures
from analytics.experiments.settings import Settings
from analytics.experiments.verdicts import Verdicts
from analytics.traces.conditions import metadata_value
from schemas.api.compare import METADATA
from storage import sql
from storage.engines.duckdb import DuckDBEngine, QuerySession

SEGMENTS_MAX = 20
SEGMENTS_S_MAX = 60.0
SEGMENT_METRICS_MAX = 50
"""Custom metrics that are looked at by segment, those of most sessions."""
_NOTE = "exploratory: looked for after the fact, among many; a difference that is found here wants a test of its own"
# Of what a call, or an exposure, tells: a list of values of the one, a value of the other.
_CALLS = {"customer": "[customer_id]", "tag": "tags", "model": "[coalesce(request_model, response_model)]"}
_EXPOSURES = {"customer": "customer_id", "version": "config_version"}
_TOLD = (
    "variant", "vs", "status", "difference", "lift", "p_value", "p_value_adjusted", "p_value_fixed", "enough_data",
    "coverage_comparable", "sessions", "epochs_left_out", "method",
)  # fmt: skip
# Known before the session was assigned: what the assignment did can't have changed it.
_BEFORE = ("customer", "hour", "version")


@dataclass(frozen=True, slots=True)
class _Segment:
    """The place of a segment, its value (None: the rest), and how many values it has."""

    place: int
    value: str | None
    values: int


class SegmentMeasures(SessionMeasures):
    """The measures of one segment, out of those of the whole, which ``keep_segmented`` has kept."""

    def __init__(self, session: QuerySession, whole: SessionMeasures, segment: int) -> None:
        self._segment = segment
        statement = (
            "SELECT * FROM session_sums SEMI JOIN (SELECT number FROM segments WHERE segment = $segment) USING (number)"
        )
        session.keep("segment_sums", statement, {"segment": segment})
        session.show("session_totals", sql.load("session_totals").format(sums="segment_sums"))
        super().__init__(session, len(whole.arms), whole.epochs)

    def keep_calls(self) -> None:
        """Keep the segment's calls."""
        self._keep(self.session, "calls")

    def keep_metrics(self, names_max: int) -> None:  # noqa: ARG002 - those of the whole are no more
        """Keep the segment's custom metrics."""
        self._keep(self.session, "session_metrics")

    def _keep(self, session: QuerySession, name: str) -> None:
        statement = f"SELECT * EXCLUDE (segment) FROM segmented_{name} WHERE segment = $segment"  # noqa: S608 - a name of ours
        session.keep(name, statement, {"segment": self._segment})


def segments(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    settings: Settings,
    by: str,
    *,
    before: datetime | None = None,
) -> dict[str, Any]:
    """Return the section ``segments`` of the results: of now, or as of a moment. Raises QueryTimeoutError."""
    with (
        session_of(engine, project, experiment, before=before, in_turn=True) as session,
        session.deadline(SEGMENTS_S_MAX),
    ):
        cohort, sums = read_sessions(session, experiment, settings)
        whole = Measures(session, experiment, cohort, sums, settings.success)
        _keep_values(session, experiment, cohort, by)
        found = _largest(session)
        _keep_segmented(session, whole)
        known = session.query("SELECT count(DISTINCT number) AS sessions FROM segment_values")["sessions"][0].as_py()
        keys = [arm.key for arm in experiment.arms]
        verdicts = Verdicts(exploratory(settings), allowed=False, control=settings.control_index(keys))
        made = [_made(session, whole, segment, keys, verdicts) for segment in found]
    conclude([entry for segment in made for entry in segment["metrics"]], verdicts)
    return {
        "by": by,
        "exploratory": True,
        "note": _NOTE,
        "before_assignment": by in _BEFORE,
        "sessions_without_value": sum(whole.sessions) - known,
        "segments": [_told(segment) for segment in made],
    }


def _made(
    session: QuerySession, whole: SessionMeasures, segment: _Segment, keys: Sequence[str], verdicts: Verdicts
) -> dict[str, Any]:
    measures = SegmentMeasures(session, whole, segment.place)
    calls = measures.calls()
    return {
        "value": segment.value,
        "is_rest": segment.place == SEGMENTS_MAX,
        "values": segment.values,
        "variants": [
            {"key": key, "sessions": sessions, "calls": count}
            for key, sessions, count in zip(keys, measures.sessions, calls, strict=True)
        ],
        "metrics": Entries(measures, keys, calls, verdicts).all(),
    }


def _told(segment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a segment without what a decision would rest on."""
    metrics = []
    for entry in segment["metrics"]:
        comparisons = [{name: comparison[name] for name in _TOLD} for comparison in entry["comparisons"]]
        told = {name: value for name, value in entry.items() if name not in ("role", "response_rate")}
        metrics.append({**told, "comparisons": comparisons})
    return {**segment, "metrics": metrics}


def _keep_values(session: QuerySession, experiment: Experiment, cohort: Cohort, by: str) -> None:
    """Keep the sessions that count, each with its values, as ``segment_values``: (number, value)."""
    if by == "hour":
        session.add("segment_values", _hours(cohort))
        return
    of_calls, parameters = _values_of_calls(by)
    key: dict[str, object] = {"key": experiment.key}
    has_exposures = experiment.column == "config_key" and by in _EXPOSURES
    if has_exposures:
        session.keep("segment_values", sql.load("segments_of_exposures").format(value=_EXPOSURES[by]), key)
    if of_calls is None:
        if not has_exposures:
            session.add("segment_values", _no_values())
        return
    statement = sql.load("segments_of_calls").format(values=of_calls, column=experiment.column)
    if has_exposures:
        # What the first exposure does not tell, the calls may.
        statement = f"FROM segment_values UNION ALL FROM ({statement}) AS told ANTI JOIN segment_values USING (number)"
    session.keep("told_values", statement, {**key, **parameters})
    session.keep("segment_values", "FROM told_values")


def _values_of_calls(by: str) -> tuple[str | None, dict[str, object]]:
    if by.startswith(METADATA):
        test, pointer = metadata_value(by.removeprefix(METADATA), "field")
        return f"[{test}]", {"field": pointer}
    return _CALLS.get(by), {}


def _hours(cohort: Cohort) -> pa.Table:
    numbers = pa.array(range(len(cohort.labels)), pa.int32())
    hours = pc.cast(pc.hour(cohort.exposed_at), pa.string())
    is_known = pc.and_(pa.array(cohort.is_counted), pc.is_valid(hours))
    return pa.table({"number": numbers, "value": hours}).filter(is_known)


def _no_values() -> pa.Table:
    return pa.table({"number": pa.array([], pa.int32()), "value": pa.array([], pa.string())})


def _largest(session: QuerySession) -> list[_Segment]:
    """Keep each value's segment as ``segment_places``, each session's as ``segments``; return the segments."""
    session.keep("segment_places", sql.load("segments_largest"), {"values_max": SEGMENTS_MAX})
    session.keep("segments", "SELECT DISTINCT number, segment FROM segment_values JOIN segment_places USING (value)")
    rows = session.query(
        "SELECT segment, min(value) AS value, count(*) AS n FROM segment_places GROUP BY segment ORDER BY segment"
    ).to_pylist()
    return [
        _Segment(row["segment"], None if row["segment"] == SEGMENTS_MAX else row["value"], row["n"]) for row in rows
    ]


def _keep_segmented(session: QuerySession, whole: SessionMeasures) -> None:
    """Keep the rows of the whole by segment: one that is in several, in each."""
    whole.keep_calls()
    whole.keep_metrics(SEGMENT_METRICS_MAX)
    for name in ("calls", "session_metrics"):
        session.keep(f"segmented_{name}", f"SELECT {name}.*, segment FROM {name} JOIN segments USING (number)")  # noqa: S608 - names of ours
