"""The sessions behind a figure: each with its label, arm, epoch and exposure, and its own value of a metric."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from analytics.experiments.arms import Experiment
from analytics.experiments.as_of import session_of
from analytics.experiments.cohort_reader import read_sessions
from analytics.experiments.cohorts import LABELS, Cohort
from analytics.experiments.measures import keep_session_totals, metrics_of, rows_of
from analytics.experiments.metrics import METRICS, Direction, RatioMetric
from analytics.experiments.session_sums import CALLS
from analytics.experiments.settings import Settings
from analytics.traces.cursor import CursorError
from schemas.api.experiment_sessions import ExperimentSessionsQuery
from storage import sql
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.json_values import json_value

LIST_S_MAX = 30.0
_NAMES = tuple(dict.fromkeys(metric.name for metric in METRICS))
_DIGEST_CHARACTERS = 16


class UnknownMetricError(Exception):
    """No session of the experiment has the metric; the text says which there are."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A session's value of a metric in SQL, a number or a text, and which way is better."""

    number: str
    text: str = "NULL"
    direction: Direction = "neutral"


@dataclass(frozen=True, slots=True)
class _After:
    """The last row of the page before: the place that it was sorted by, and its session."""

    place: float | None
    session_id: str


def session_page(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    settings: Settings,
    wanted: ExperimentSessionsQuery,
    *,
    before: datetime | None = None,
) -> dict[str, Any]:
    """Return a page of sessions, as of a moment or now. Raises UnknownMetricError, CursorError, QueryTimeoutError."""
    digest = _digest(experiment, wanted)
    after = None if wanted.cursor is None else _decoded(wanted.cursor, digest)
    with (
        session_of(engine, project, experiment, before=before, in_turn=True) as session,
        session.deadline(LIST_S_MAX),
    ):
        _keep_sessions(session, experiment, settings)
        value = _value(session, experiment, settings, wanted.metric)
        _keep_list(session, wanted, value)
        total = session.query("SELECT count(*) AS total FROM listed_sessions")["total"][0].as_py()
        page = _page(session, after, wanted.limit)
    shown = page[: wanted.limit]
    has_more = len(page) > len(shown)
    return {
        "metric": wanted.metric,
        "total": total,
        "sessions": [_told(row) for row in shown],
        "next_cursor": _encoded(_After(shown[-1]["place"], shown[-1]["session_id"]), digest) if has_more else None,
    }


def _keep_sessions(session: QuerySession, experiment: Experiment, settings: Settings) -> None:
    """Keep ``session_totals`` of all sessions, and what is said of each as ``cohort``."""
    cohort, sums = read_sessions(session, experiment, settings, CALLS)
    session.add("exposed_sessions", _exposed(experiment, cohort))
    session.keep("config_totals", *rows_of(experiment, "config_totals"))
    session.keep("cohort", sql.load("experiment_cohort"), {"exposed": len(cohort.labels)})
    keep_session_totals(session, experiment, settings.success, sums.fallbacks)


def _exposed(experiment: Experiment, cohort: Cohort) -> pa.Table:
    arms = pa.array(cohort.arms, mask=cohort.arms < 0)
    epochs = pa.array(cohort.epochs, mask=cohort.epochs < 0)
    return pa.table(
        {
            "session_id": cohort.session_ids,
            "number": np.arange(len(cohort.arms), dtype=np.int32),
            "arm": cohort.arms,
            "epoch": cohort.epochs,
            "label": pa.array(LABELS).take(pa.array(cohort.labels)),
            "is_counted": cohort.is_counted,
            "variant": pa.array([arm.key for arm in experiment.arms], pa.string()).take(arms),
            "epoch_number": pa.array([epoch.number for epoch in experiment.epochs]).take(epochs),
            "exposed_at": cohort.exposed_at,
        }
    )


def _value(session: QuerySession, experiment: Experiment, settings: Settings, name: str | None) -> _Value:
    """Return what is told of the metric; a custom one is kept as ``listed_metric``, by session."""
    is_custom = name is not None and name not in _NAMES
    named = {**metrics_of(experiment), "name": name if is_custom else None}
    session.keep("listed_metric", sql.load("experiment_session_metric"), named)
    if name is None:
        return _Value("NULL")
    if not is_custom:
        return _of_measured(name, settings)
    if not session.query("SELECT count(*) AS sessions FROM listed_metric")["sessions"][0].as_py():
        raise UnknownMetricError(f"no session has a metric {name!r}; besides custom ones there are {', '.join(_NAMES)}")
    declared = settings.of(name, "mean", "per_session").direction
    return _Value("metric_number", "metric_text", declared or "higher_is_better")


def _of_measured(name: str, settings: Settings) -> _Value:
    ratios = [metric for metric in METRICS if isinstance(metric, RatioMetric) and metric.name == name]
    metric = next((each for each in ratios if each.estimand == "per_session"), ratios[0])
    direction = settings.of(name, metric.statistic, metric.estimand).direction or metric.direction
    if name == "error_rate":
        return _Value("errors / nullif(totals.calls, 0)", direction=direction)
    known = "true" if metric.known is None else f"{metric.known} = 1"
    return _Value(f"CASE WHEN {known} THEN {metric.numerator} END", direction=direction)


def _keep_list(session: QuerySession, wanted: ExperimentSessionsQuery, value: _Value) -> None:
    # What is not finite has no place in an order, nor in JSON.
    number = f"(CASE WHEN isfinite(({value.number})::DOUBLE) THEN ({value.number})::DOUBLE END)"
    by = wanted.sort or ("time" if wanted.metric is None else "worst")
    if by == "time":
        order = "-epoch_us(cohort.exposed_at)::DOUBLE"
    else:
        # Of what has no better way, the most comes first.
        is_descending = (by == "worst") != (value.direction == "higher_is_better")
        order = f"-{number}" if is_descending else number
    statement = sql.load("experiment_session_list").format(value=number, text=value.text, order=order)
    session.keep("listed_sessions", statement, {"variant": wanted.variant, "label": wanted.label})


def _page(session: QuerySession, after: _After | None, limit: int) -> list[dict[str, Any]]:
    parameters = {
        "has_cursor": after is not None,
        "after": None if after is None else after.place,
        "session_id": "" if after is None else after.session_id,
        "rows_max": limit + 1,
    }
    rows: list[dict[str, Any]] = session.query(sql.load("experiment_session_page"), parameters).to_pylist()
    return rows


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "session_id": row["session_id"],
        "label": row["label"],
        "is_counted": row["is_counted"],
        "variant": row["variant"],
        "epoch": row["epoch_number"],
        "exposed_at": json_value(row["exposed_at"]),
        "calls": int(row["calls"]),
        "errors": int(row["errors"]),
        "value": row["text"] if row["value"] is None else row["value"],
    }


def _digest(experiment: Experiment, wanted: ExperimentSessionsQuery) -> str:
    asked = wanted.model_dump(mode="json", exclude={"cursor", "limit"})
    body = orjson.dumps([experiment.column, experiment.key, asked], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]


def _encoded(after: _After, digest: str) -> str:
    body = orjson.dumps([1, after.place, after.session_id, digest])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _decoded(text: str, digest: str) -> _After:
    """Return where the page before ended: whatever is in it is checked, and only ever compared with."""
    try:
        body = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise CursorError("next_cursor of the page before expected") from error
    match body:
        case [1, None | int() | float() as place, str(session_id), str(of_list)] if "\0" not in session_id:
            if of_list != digest:
                raise CursorError("it is of a list with another filter or order: ask as for the page before")
            if place is None or math.isfinite(place):
                return _After(None if place is None else float(place), session_id)
    raise CursorError("next_cursor of the page before expected")
