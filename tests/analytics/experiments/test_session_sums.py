"""The sums of sessions: all rows of each, exactly, whatever their order, their files, and what was corrected later."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake_parts import Parts

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohort_reader import read_sessions
from analytics.experiments.session_sums import MEASURES, SessionSums
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.table import Table
from storage.parquet import write_file
from storage.registry.resources import ConfigVersion

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MODELS = ("gpt-4o", "gpt-4o-mini")
KEYS = {"project": "p", "config_key": "config"}
WHOLE = [name for name in MEASURES if not name.endswith("_sum")]
ROUNDED = [name for name in MEASURES if name.endswith("_sum")]

Row = dict[str, Any]


def experiment() -> Experiment:
    body = {"variants": [{"model": model, "weight": 50} for model in MODELS]}
    made = experiment_of("config", [ConfigVersion(1, NOON - timedelta(days=9), body)])
    assert made is not None
    return made


def write(parts: Parts, table: Table, rows: list[Row]) -> None:
    """Commit the rows as one file, in this order."""
    chunk = pa.Table.from_pylist(rows, table.schema)
    partition = {"date": NOON.date().isoformat()} if table.partition_by else {}
    with parts.lake.writing(table, partition, partial(write_file, table=table, chunks=[chunk])) as file:
        parts.lake.replace(table, [], [file], operation="WRITE", data_change=True)


def exposure(session: str) -> Row:
    model = MODELS[bucket(session) >= 500_000]
    return KEYS | {"session_id": session, "config_version": 1, "assigned_model": model, "event_time": NOON}


def rollup_row(session: str | None, **sums: Any) -> Row:
    times = {"date": NOON.date(), "first_time": NOON, "last_time": NOON}
    return KEYS | {"session_id": session, "model": MODELS[0], "calls": 1, "errors": 0} | times | sums


def read(parts: Parts) -> tuple[list[str], SessionSums]:
    """Return the sessions that count, in the order of their places, and their sums."""
    with parts.engine.session("p") as session:
        cohort, sums = read_sessions(session, experiment())
    return cohort.session_ids.filter(pa.array(cohort.is_counted)).to_pylist(), sums


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    made = Parts(tmp_path)
    for table in (EXPOSURES, SESSION_ROLLUP):
        made.lake.create(table)
    yield made
    made.engine.close()


@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_all_rows_added_up_without_rounding(parts: Parts, seed: int) -> None:
    chance = np.random.default_rng(seed)
    sessions = [f"session-{number}" for number in range(300)]
    rows = []
    for _ in range(2_000):
        sums: Row = {name: int(chance.integers(0, 10**6)) for name in WHOLE}
        sums |= {name: float(chance.lognormal(0, 6)) for name in ROUNDED}
        unknown = chance.choice(MEASURES[2:], 3)
        # As many again have no exposure; of some rows not all is known.
        row = rollup_row(f"session-{chance.integers(600)}", **sums | dict.fromkeys(unknown.tolist()))
        rows.append(row)
    for part in range(4):
        write(parts, SESSION_ROLLUP, rows[part::4])
        write(parts, EXPOSURES, [exposure(session) for session in chance.permutation(sessions[part::4])])

    places, sums_read = read(parts)

    assert sorted(places) == sorted(sessions)
    for place, session in enumerate(places):
        own = [row for row in rows if row["session_id"] == session]
        for name in MEASURES:
            exact = sum((Fraction(row[name] or 0) for row in own), Fraction())
            found = sums_read.totals[name][place]
            assert found == float(exact) if name in WHOLE else found == pytest.approx(float(exact), rel=1e-15)
    assert sums_read.unexposed == len({row["session_id"] for row in rows} - set(sessions))


def test_what_was_taken_back_leaves_nothing_behind(parts: Parts) -> None:
    # A price that was wrong by far, then right: the rest of a rounded sum would be larger than the cost.
    write(parts, EXPOSURES, [exposure("s")])
    costs = [1e9 / 3, 1e-7, -1e9 / 3, 2e-7]
    write(parts, SESSION_ROLLUP, [rollup_row("s", calls=int(cost > 0), cost_count=0, cost_sum=cost) for cost in costs])

    _, sums = read(parts)

    assert sums.totals["cost_sum"][0] == pytest.approx(3e-7, rel=1e-12)
    assert sums.totals["calls"][0] == 3


def test_rows_without_a_session_are_nobodys(parts: Parts) -> None:
    write(parts, EXPOSURES, [exposure("s")])
    write(parts, SESSION_ROLLUP, [rollup_row(None), rollup_row("s")])

    _, sums = read(parts)

    assert (sums.totals["calls"].tolist(), sums.unexposed) == ([1.0], 0)


def test_without_sessions_there_are_no_sums(parts: Parts) -> None:
    write(parts, SESSION_ROLLUP, [rollup_row("unexposed"), rollup_row("unexposed", date=date(2026, 1, 2))])

    places, sums = read(parts)

    assert (places, sums.began.tolist(), sums.unexposed, list(sums.models.days())) == ([], [], 1, [])
