"""Runs of evaluations, read back: which there are, what a model's scores come to, the items."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from analytics.experiments.statistics import Estimate, RatioSums, critical_value, estimate_interval, estimate_ratio
from analytics.rows import json_value
from storage import sql
from storage.engines.duckdb import DuckDBEngine

CONFIDENCE = 0.95
_JSON_COLUMNS = ("context", "metadata")


def stored_in(engine: DuckDBEngine, project: str, run_id: str) -> list[str]:
    """Return the names of the tables that the run is in."""
    rows = engine.query(sql.load("evaluation_stored"), {"run_id": run_id}, project=project)
    return [str(name) for name in rows["name"].to_pylist()]


def runs(engine: DuckDBEngine, project: str, *, limit: int, before: datetime | None = None) -> list[dict[str, Any]]:
    """Return the runs that were received before a moment, newest first."""
    parameters = {"run_id": None, "before": before, "limit": limit}
    return _rows(engine, "evaluation_runs", parameters, project)


def run(engine: DuckDBEngine, project: str, run_id: str) -> dict[str, Any] | None:
    """Return one run with the scores of its models; None where the project has none of this id."""
    found = _rows(engine, "evaluation_runs", {"run_id": run_id, "before": None, "limit": 1}, project)
    if not found:
        return None
    sums = engine.query(sql.load("evaluation_sums"), {"run_id": run_id}, project=project)
    return {**found[0], "confidence": CONFIDENCE, "scores": [_score(row) for row in sums.to_pylist()]}


def items(engine: DuckDBEngine, project: str, run_id: str, *, first: int, limit: int) -> list[dict[str, Any]]:
    """Return a run's items from place ``first`` on, each with its scores."""
    rows = _rows(engine, "evaluation_items", {"run_id": run_id, "first": first, "limit": limit}, project)
    for row in rows:
        row["scores"] = row["scores"] or []
        for name in _JSON_COLUMNS:
            row[name] = _json(row[name])
    return rows


def _rows(engine: DuckDBEngine, statement: str, parameters: Mapping[str, object], project: str) -> list[dict[str, Any]]:
    found = engine.query(sql.load(statement), parameters, project=project)
    return [{name: json_value(value) for name, value in row.items()} for row in found.to_pylist()]


def _json(text: str | None) -> Any:
    """Return the value of a JSON column; of one that is masked or hashed, its text."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    estimate = _estimate(row)
    interval = estimate_interval(estimate, critical_value(1 - CONFIDENCE, max(estimate.degrees_of_freedom, 1)))
    return {
        "model": row["model"],
        "metric": row["metric"],
        "status": estimate.status,
        "n": row["n"],
        "units": row["units"],
        "failed": row["failed"],
        "not_sent": row["not_sent"],
        "mean": estimate.value,
        "interval": None if interval is None else [interval.lower, interval.upper],
        "min": row["least"],
        "max": row["greatest"],
    }


def _estimate(row: Mapping[str, Any]) -> Estimate:
    if not row["units"]:
        return Estimate.of(None, None)
    n = float(row["n"])
    return estimate_ratio(RatioSums(row["units"], row["sum_x"], row["sum_xx"], n, row["sum_nn"], row["sum_xn"]))
