"""An experiment of some days, row by row: each row sent by itself, with the moment at which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake_parts import Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of
from collector.exporters.lake import LakeExporter
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.registry.resources import ConfigVersion

DAYS = 4
FIRST_DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS + 2)
MODELS = ("gpt-4o", "gpt-4o-mini")
WEIGHTS = ((50, 50), (30, 70))

Event = tuple[datetime, str, pa.RecordBatch]
"""When it happened, and a row of a table."""


def experiment(until: datetime | None = None) -> Experiment:
    """Return the experiment by its versions, of which the second comes on the third day."""
    made = experiment_of("config", versions(until))
    assert made is not None
    return made


def versions(until: datetime | None = None) -> list[ConfigVersion]:
    found = [
        ConfigVersion(
            place + 1,
            FIRST_DAY + timedelta(days=2 * place),
            {"variants": [{"model": model, "weight": weight} for model, weight in zip(MODELS, weights, strict=True)]},
        )
        for place, weights in enumerate(WEIGHTS)
    ]
    return [version for version in found if until is None or version.created_at < until]


def events(sessions: int = 60, *, seed: int = 5, effect: float = 0.0) -> list[Event]:
    """Return what happens: sessions over several days, calls before their exposure, crossovers, errors, metrics.

    The calls of the second model take e**effect as long, of sessions that begin on the first two days.
    """
    chance = np.random.default_rng(seed)
    found: list[Event] = []
    number = 0
    for place in range(sessions):
        session, began = f"s{place}", at(chance.uniform(0, DAYS))
        version = 1 + (began >= FIRST_DAY + timedelta(days=2))
        arm = int(bucket(session) >= WEIGHTS[version - 1][0] * 10_000)
        found.append(exposure(session, MODELS[arm], began, version, place))
        if place % 9 == 0:
            # Seen in the other arm: out from then on.
            found.append(exposure(session, MODELS[1 - arm], later(chance, began), version, sessions + place))
        for _ in range(int(chance.integers(0, 7))):
            number += 1
            when = (
                later(chance, began) if chance.random() < 0.9 else began - timedelta(hours=float(chance.uniform(0, 30)))
            )
            model = MODELS[arm if chance.random() < 0.9 else 1 - arm]
            found.append(call(number, session, model, when, chance, 20 + effect * arm * (version == 1)))
        for name in ("score", "solved", "channel"):
            found += [metric(session, name, later(chance, began), chance) for _ in range(int(chance.integers(0, 3)))]
    return found


def send(path: Path, wanted: Iterable[Event], *, commits: Sequence[int] = ()) -> tuple[Parts, LakeExporter]:
    """Return storage with these rows, committed after those of the places."""
    parts = Parts(path)
    exporter = parts.exporter()
    exporter.start()
    waiting: dict[str, list[pa.RecordBatch]] = {}
    for place, (_, table, row) in enumerate(wanted):
        waiting.setdefault(table, []).append(row)
        if place in commits:
            _consume(exporter, waiting)
            exporter.flush()
    _consume(exporter, waiting)
    return parts, exporter


def _consume(exporter: LakeExporter, waiting: dict[str, list[pa.RecordBatch]]) -> None:
    for table, rows in waiting.items():
        exporter.consume(table, pa.concat_batches(rows))
    waiting.clear()


def compared(value: Any) -> Any:
    """Equal in each number to 1e-9, and exactly in all else."""
    if isinstance(value, dict):
        return {name: compared(part) for name, part in value.items()}
    if isinstance(value, list):
        return [compared(part) for part in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


def at(day: float) -> datetime:
    return FIRST_DAY + timedelta(microseconds=round(day * 86_400e6))


def later(chance: np.random.Generator, moment: datetime) -> datetime:
    return moment + timedelta(hours=float(chance.exponential(15)))


def exposure(session: str, model: str, when: datetime, version: int, place: int) -> Event:
    row: dict[str, Any] = {
        "project": "p",
        "config_key": "config",
        "config_version": version,
        "session_id": session,
        "assigned_model": model,
        "event_time": when,
        "received_at": when,
        "content_hash": place,
    }
    return when, "exposures", pa.RecordBatch.from_pylist([row], EXPOSURES.schema)


def call(number: int, session: str, model: str, when: datetime, chance: np.random.Generator, log_ns: float) -> Event:
    duration_ns = int(chance.lognormal(log_ns, 1))
    rows = span_rows(
        number,
        session_id=session,
        response_model=model,
        duration_ns=duration_ns,
        time_to_first_token_ns=duration_ns // 3 if chance.random() < 0.7 else None,
        cost=float(chance.lognormal(-6, 2)) if chance.random() < 0.9 else None,
        input_tokens=number,
        total_tokens=2 * number if chance.random() < 0.9 else None,
        status_code="error" if chance.random() < 0.2 else "ok",
        start_time=when,
        date=when.date(),
    )
    return when, "spans", rows


def metric(session: str, name: str, when: datetime, chance: np.random.Generator) -> Event:
    values: dict[str, dict[str, Any]] = {
        "score": {"value_type": "number", "value_double": float(chance.normal(3, 1))},
        "solved": {"value_type": "boolean", "value_double": float(chance.random() < 0.6)},
        "channel": {"value_type": "string", "value_string": str(chance.choice(["chat", "mail"]))},
    }
    row = {"project": "p", "config_key": "config", "session_id": session, "name": name, "event_time": when}
    row |= values[name] | {"received_at": when}
    return when, "metrics", pa.RecordBatch.from_pylist([row], METRICS.schema)
