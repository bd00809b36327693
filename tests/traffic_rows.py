"""Rows of sessions for the tests of analytics: calls, exposures and custom metrics, as the lake has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import TODAY, Parts, span_rows

from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.engines.duckdb import DuckDBEngine

BEGAN = TODAY - timedelta(days=1)


@dataclass(slots=True)
class Rows:
    """What clients of a project sent, in order; ``engine`` answers over it."""

    project: str = "p"
    spans: list[pa.RecordBatch] = field(default_factory=list)
    exposures: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)

    def call(self, session: str, model: str, *, at: datetime = BEGAN, **columns: Any) -> None:
        number = len(self.spans) + 1
        own = {"project": self.project, "session_id": session, "request_model": model, "response_model": model}
        self.spans.append(span_rows(number, **own, start_time=at, date=at.date(), **columns))

    def expose(self, session: str, model: str, *, at: datetime = BEGAN, version: int = 1, key: str = "config") -> None:
        self.exposures.append(
            {
                "project": self.project,
                "config_key": key,
                "config_version": version,
                "session_id": session,
                "assigned_model": model,
                "event_time": at,
                "received_at": at,
                "content_hash": len(self.exposures),
            }
        )

    def measure(self, session: str, name: str, value: float | str, *, key: str = "config") -> None:
        is_text = isinstance(value, str)
        self.metrics.append(
            {
                "project": self.project,
                "config_key": key,
                "session_id": session,
                "name": name,
                "value_type": "string" if is_text else "number",
                "value_double": None if is_text else value,
                "value_string": value if is_text else None,
                "event_time": BEGAN,
                "received_at": BEGAN,
            }
        )


@contextmanager
def engine_over(path: Path, *sent: Rows) -> Iterator[DuckDBEngine]:
    """Give an engine over the rows of some projects, the first half of the calls committed."""
    parts = Parts(path)
    exporter = parts.exporter()
    exporter.start()
    try:
        for rows in sent:
            for place, batch in enumerate(rows.spans):
                exporter.consume("spans", batch)
                if place == len(rows.spans) // 2:
                    exporter.flush()
            if rows.exposures:
                exporter.consume("exposures", pa.RecordBatch.from_pylist(rows.exposures, EXPOSURES.schema))
            if rows.metrics:
                exporter.consume("metrics", pa.RecordBatch.from_pylist(rows.metrics, METRICS.schema))
        yield parts.engine
    finally:
        exporter.stop()
        parts.engine.close()


def arm_of(session: str, models: Sequence[str]) -> str:
    """Return which of two models the hash of a config of equal weights gives the session."""
    return models[bucket(session) >= 500_000]


def close_to(value: Any) -> Any:
    """Equal in each number to 1e-9, and exactly in all else."""
    if isinstance(value, dict):
        return {name: close_to(part) for name, part in value.items()}
    if isinstance(value, list):
        return [close_to(part) for part in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
