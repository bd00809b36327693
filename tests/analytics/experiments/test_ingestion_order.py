"""Whatever the order of rows, however they are split into commits, and sent twice: the results are the same."""

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake_parts import TODAY, Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.results import results
from collector.exporters.lake import LakeExporter
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.registry.resources import ConfigVersion

BEGAN = TODAY - timedelta(days=1)
MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS = 24

Send = Callable[[LakeExporter], None]


def experiment() -> Experiment:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    made = experiment_of("config", [ConfigVersion(1, BEGAN, body)])
    assert made is not None
    return made


def rows() -> list[Send]:
    """Return what sends each row: calls of very unequal cost, exposures, and metrics of which the later one counts."""
    chance = np.random.default_rng(7)
    sends: list[Send] = []
    number = 0
    for place in range(SESSIONS):
        session = f"s{place}"
        model = MODELS[bucket(session) >= 500_000]
        sends.append(exposure(session, model, place))
        for _ in range(int(chance.integers(1, 9))):
            number += 1
            sends.append(
                call(number, session, model, int(chance.lognormal(20, 2)), float(chance.lognormal(-6, 3)), place % 2)
            )
        sends += [metric(session, float(chance.normal(3, 1)), BEGAN + timedelta(minutes=later)) for later in range(2)]
        # Two values of the same moment: neither came first, for anybody who asks.
        sends += [metric(session, value, BEGAN + timedelta(hours=1)) for value in (1.25 + place, 0.5 + place)]
    return sends


def exposure(session: str, model: str, place: int) -> Send:
    row: dict[str, Any] = {
        "project": "p",
        "config_key": "config",
        "config_version": 1,
        "session_id": session,
        "assigned_model": model,
        "event_time": BEGAN + timedelta(minutes=place),
        "received_at": BEGAN,
        "content_hash": place,
    }
    return lambda exporter: exporter.consume("exposures", pa.RecordBatch.from_pylist([row], EXPOSURES.schema))


def call(number: int, session: str, model: str, duration_ns: int, cost: float, day: int) -> Send:
    start = BEGAN + timedelta(days=day)
    made = span_rows(
        number,
        session_id=session,
        response_model=model,
        duration_ns=duration_ns,
        time_to_first_token_ns=duration_ns // 3,
        cost=cost,
        input_tokens=number,
        total_tokens=number,
        status_code="error" if number % 11 == 0 else "ok",
        start_time=start,
        date=start.date(),
    )
    return lambda exporter: exporter.consume("spans", made)


def metric(session: str, value: float, at: Any) -> Send:
    row = {
        "project": "p",
        "config_key": "config",
        "session_id": session,
        "name": "score",
        "value_type": "number",
        "value_double": value,
        "event_time": at,
        "received_at": TODAY,
    }
    return lambda exporter: exporter.consume("metrics", pa.RecordBatch.from_pylist([row], METRICS.schema))


def answer(path: Path, sends: list[Send], commits: set[int]) -> dict[str, Any]:
    """Return the results once all rows are sent, with a commit after those of these places."""
    parts = Parts(path)
    exporter = parts.exporter()
    exporter.start()
    try:
        for place, send in enumerate(sends):
            send(exporter)
            if place in commits:
                exporter.flush()
        return results(parts.engine, "p", experiment())
    finally:
        exporter.stop()
        parts.engine.close()


def compared(value: Any) -> Any:
    """Equal in each number to 1e-9, and exactly in all else."""
    if isinstance(value, dict):
        return {name: compared(part) for name, part in value.items() if name != "as_of"}
    if isinstance(value, list):
        return [compared(part) for part in value]
    return pytest.approx(value, rel=1e-9, abs=1e-15) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of all rows in order, none of them committed."""
    return answer(tmp_path_factory.mktemp("in-order") / "data", rows(), set())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_and_commits_and_repeated_rows_change_nothing(
    tmp_path: Path, wanted: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)
    in_order = rows()
    shuffled = in_order + chance.sample(in_order, len(in_order) // 3)
    chance.shuffle(shuffled)
    commits = set(chance.sample(range(len(shuffled)), 4))

    found = answer(tmp_path / "shuffled", shuffled, commits)

    # A cost of which the largest outweighs the rest a thousandfold, so that the order would show.
    cost = next(each for each in wanted["metrics"] if each["name"] == "cost_usd")
    assert cost["comparisons"][0]["status"] == "ok"
    for section in ("health", "variants", "metrics", "recommendation"):
        assert without_time(found[section]) == compared(wanted[section])


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_time(part) for name, part in value.items() if name != "as_of"}
    return [without_time(part) for part in value] if isinstance(value, list) else value
