"""The sessions' table is the same, whether compiled code or SQL has added up: of any rows, in any order."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake_parts import Parts

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohort_reader import read_sessions
from analytics.experiments.measures import Measures, rows_of
from analytics.experiments.session_sums import MEASURES
from analytics.experiments.session_totals import totals_of
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from storage.errors import QueryTooLargeError
from storage.registry.resources import ConfigVersion
from tests.analytics.experiments.test_session_sums import KEYS, MODELS, NOON, exposure, rollup_row, write

SESSIONS = [f"session-{number}" for number in range(60)]
CALLED = (*MODELS, "gpt-4o-2024-08-06", "claude-sonnet-4-5", None)

Row = dict[str, Any]


def experiment() -> Experiment:
    variants = [{"model": model, "weight": 50} for model in MODELS]
    made = experiment_of("config", [ConfigVersion(1, NOON, {"variants": variants})])
    assert made is not None
    return made


def any_rows(seed: int) -> list[Row]:
    """Return rows of sessions with and without an exposure: with NULLs, beyond 32 bits, and less what was corrected."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(600):
        great = 10 ** int(chance.integers(1, 11))
        sums: Row = {name: int(chance.integers(0, great)) for name in MEASURES[2:] if not name.endswith("_sum")}
        sums |= {name: float(chance.lognormal(0, 6)) for name in MEASURES if name.endswith("_sum")}
        sums |= {"calls": int(chance.integers(0, 5)), "unpriced_count": int(chance.integers(-1, 2))}
        sums |= {"errors": int(chance.integers(0, sums["calls"] + 1))}
        sums |= dict.fromkeys(chance.choice(MEASURES[2:], 3).tolist())
        model = CALLED[chance.choice(len(CALLED), p=[0.4, 0.4, 0.1, 0.05, 0.05])]
        rows.append(rollup_row(f"session-{chance.integers(80)}", **sums) | {"model": model})
    corrected = [rows[place] for place in chance.choice(len(rows), 50, replace=False)]
    taken_back = [row | {name: -row[name] for name in MEASURES if row[name] is not None} for row in corrected]
    return [rows[place] for place in chance.permutation(len(rows))] + taken_back


def metric(session: str, value: float) -> Row:
    return KEYS | {"session_id": session, "name": "solved", "value_type": "number", "value_double": value,
                   "event_time": NOON}  # fmt: skip


def fallbacks_of(rows: list[Row], arm_of: dict[str, str]) -> set[str]:
    """Return the sessions in which a call of the assigned model failed, and another was called: one by one."""
    own, other = defaultdict(int), defaultdict(int)
    for row in rows:
        assigned = arm_of.get(row["session_id"])
        if assigned is None or row["model"] is None:
            continue
        if row["model"] == assigned or (assigned == MODELS[0] and row["model"] == "gpt-4o-2024-08-06"):
            own[row["session_id"]] += row["errors"]
        else:
            other[row["session_id"]] += row["calls"]
    return {session for session in arm_of if own[session] > 0 and other[session] > 0}


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    made = Parts(tmp_path)
    yield made
    made.engine.close()


@pytest.mark.parametrize("success", [None, "solved"])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_to_add_up_give_the_same_table(parts: Parts, seed: int, success: str | None) -> None:
    rows = any_rows(seed)
    for part in range(3):
        write(parts, SESSION_ROLLUP, rows[part::3])
    # Some are targeted: of other arms than their hash's, they do not count.
    exposures = [exposure(session) for session in SESSIONS]
    write(parts, EXPOSURES, exposures + [each | {"session_id": "forced", "reason": "rule"} for each in exposures[:1]])
    write(parts, METRICS, [metric(session, place % 2) for place, session in enumerate(SESSIONS[:30])])

    with parts.engine.session("p") as session:
        cohort, sums = read_sessions(session, experiment())
        measures = Measures(session, experiment(), cohort, sums, success)
        compiled = session.query("SELECT * FROM session_totals ORDER BY number").to_pylist()
        session.keep("config_totals", *rows_of(experiment(), "config_totals"))
        measures.keep_totals("in_sql", "cohort")
        in_sql = session.query("SELECT * FROM in_sql ORDER BY number").to_pylist()

    assert len(compiled) == len(in_sql) == len(SESSIONS)
    for one, other in zip(compiled, in_sql, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=1e-9, abs=1e-6 if name.endswith("_sum") else 0), name
    arm_of = {each["session_id"]: each["assigned_model"] for each in exposures}
    ids = cohort.session_ids.to_pylist()
    assert {ids[row["number"]] for row in compiled if row["has_fallback"]} == fallbacks_of(rows, arm_of)
    assert any(row["has_fallback"] for row in compiled)


def test_what_no_row_has_is_zero_in_both(parts: Parts) -> None:
    write(parts, SESSION_ROLLUP, [rollup_row("session-0", input_tokens=7, tokens_count=1)])
    write(parts, EXPOSURES, [exposure(session) for session in SESSIONS[:3]])

    with parts.engine.session("p") as session:
        cohort, sums = read_sessions(session, experiment())
        Measures(session, experiment(), cohort, sums)
        compiled = session.query("SELECT * FROM session_totals ORDER BY number").to_pylist()
        session.keep("config_totals", *rows_of(experiment(), "config_totals"))
        session.add("fallbacks", pa.table({"number": pa.array([], pa.int32())}))
        session.add("successes", pa.table({"session_id": pa.array([], pa.string())}))
        session.keep("in_sql", *totals_of("cohort", success_is_declared=False))
        in_sql = session.query("SELECT * FROM in_sql ORDER BY number").to_pylist()

    assert compiled == in_sql
    assert [row["is_successful"] for row in compiled] == [True, False, False]
    assert [row["cache_read_tokens"] for row in compiled] == [0.0] * 3


def test_more_sessions_than_fit_are_refused_and_told(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.experiments.exposure_rows.EXPOSURES_MAX", 2)
    write(parts, EXPOSURES, [exposure(session) for session in SESSIONS[:3]])

    with parts.engine.session("p") as session, pytest.raises(QueryTooLargeError, match="more than 2 exposures"):
        read_sessions(session, experiment())
