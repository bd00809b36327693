"""Forgetting a customer: nothing of theirs is left in any table or file, and nothing of anybody else's is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import span_rows
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from storage.upkeep.compaction import FILES_A_MERGE, compact
from storage.upkeep.forget import forget_customer, resume
from storage.upkeep.upkeep import Upkeep


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def forget(lake: UpkeepLake, customer: str = "ann", project: str = "p") -> dict[str, int]:
    """Return how many rows of each table are gone, of those that lost some."""
    counts = forget_customer(lake.rewriter, project, customer, lambda text: None)
    return {table: count for table, count in counts.items() if count}


def commit(lake: UpkeepLake, table: Table, *rows: dict[str, Any]) -> None:
    given = [{"project": "p", "config_key": "c"} | row for row in rows]
    lake.commit(table, pa.RecordBatch.from_pylist(given, schema=table.schema))


def span(number: int, **columns: Any) -> pa.RecordBatch:
    return span_rows(number, **{"date": TODAY, "start_time": NOW, "cost": 0.1 * number} | columns)


def test_all_rows_of_a_customer_go_and_all_others_stay(lake: UpkeepLake) -> None:
    lake.commit(
        SPANS,
        span(1, customer_id="ann", session_id="a"),
        span(2, customer_id=None, session_id="a"),
        span(3, customer_id=None, session_id=None, trace_id=f"{1:032x}"),
        span(4, customer_id="bob", session_id="b"),
        span(5, customer_id=None, session_id="b"),
        span(6, customer_id=None, session_id=None),
        span(7, customer_id="ann", session_id="a", project="q"),
    )
    lake.commit(SPANS, span(8, customer_id="ann", session_id="old", date=day(3)), span(9, date=day(3)))
    commit(lake, METRICS, {"session_id": "a"}, {"session_id": "b"}, {"session_id": "a", "project": "q"}, {})
    commit(lake, EXPOSURES, {"session_id": "a"}, {"session_id": "x", "customer_id": "ann"}, {"session_id": "b"})
    commit(lake, METRICS, {"session_id": "x"})

    counts = forget(lake)

    assert lake.numbers() == [4, 5, 6, 7, 9]
    assert counts == {"spans": 4, "metrics": 2, "exposures": 2, "session_rollup": 4}
    assert [row["session_id"] for row in lake.rows(METRICS).sort_by("session_id").to_pylist()] == ["a", "b", None]
    assert lake.rows(EXPOSURES)["session_id"].to_pylist() == ["b"]
    assert lake.rollup_is_fresh()
    assert all(row["calls"] for row in lake.rows(SESSION_ROLLUP).to_pylist())
    assert {row["session_id"] for row in lake.rows(SESSION_ROLLUP).to_pylist() if row["project"] == "p"} == {
        "b",
        "session",
    }


def test_of_a_session_that_two_share_each_keeps_their_own(lake: UpkeepLake) -> None:
    lake.commit(SPANS, span(1, customer_id="ann"), span(2, customer_id="bob"), span(3, customer_id="bob"))

    forget(lake)

    assert lake.numbers() == [2, 3]
    assert [row["calls"] for row in lake.rows(SESSION_ROLLUP).to_pylist()] == [2]
    assert lake.rollup_is_fresh()


def test_no_file_on_disk_holds_their_rows_when_it_returns(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, customer_id="ann", session_id="ann's session", input="what ann said")
    lake.commit_spans(100, customer_id="bob")
    # Merged, and the replaced files are still there.
    compact(lake.rewriter, SPANS, NOW)
    compact(lake.rewriter, SESSION_ROLLUP, NOW)

    forget(lake)

    files = [path for path in lake.lake.directory.rglob("*.parquet") if "_delta_log" not in path.parts]
    assert len(files) == lake.file_count(SPANS) + lake.file_count(SESSION_ROLLUP) == 2
    everything = [path for path in lake.lake.directory.rglob("*") if path.is_file()]
    assert [path for path in everything if b"ann's session" in path.read_bytes()] == []
    assert list((lake.lake.directory / "_forgetting").iterdir()) == []


def test_a_customer_that_nobody_knows_changes_nothing(lake: UpkeepLake) -> None:
    lake.commit_spans(1, customer_id="bob")
    version = lake.lake.snapshot(SPANS, "w").version

    assert forget(lake, "nobody") == {}
    assert forget(lake, "bob", project="other") == {}

    assert lake.lake.snapshot(SPANS, "w").version == version


def test_forgetting_twice_finds_nothing_the_second_time(lake: UpkeepLake) -> None:
    lake.commit_spans(1, 2, customer_id="ann")
    assert forget(lake)["spans"] == 2

    assert forget(lake) == {}


def test_a_process_that_dies_in_the_middle_goes_on_at_its_next_start(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the first span says whose the session is; the others' files come after it.
    lake.commit_spans(1, customer_id="ann", session_id="a")
    lake.commit_spans(2, session_id="a", date=day(1))
    commit(lake, METRICS, {"session_id": "a"}, {"session_id": "b"})
    replace = lake.lake.replace
    calls = 0

    def killed(*arguments: Any, **options: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return replace(*arguments, **options)

    monkeypatch.setattr(lake.lake, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(lake)
    assert len(lake.numbers()) == 1
    again = UpkeepLake(lake.lake.directory)

    Upkeep(again.lake).run_once()

    assert again.numbers() == []
    assert again.rows(METRICS)["session_id"].to_pylist() == ["b"]
    assert again.rows(SESSION_ROLLUP).num_rows == 0
    resume(again.rewriter)


def test_progress_is_told(lake: UpkeepLake) -> None:
    lake.commit_spans(1, customer_id="ann")
    told: list[str] = []

    forget_customer(lake.rewriter, "p", "ann", told.append)

    assert "spans: 1 of 1 files searched" in told
    assert "spans: 1 of 1 files looked through" in told


def test_log_records_and_data_points_go_with_those_whom_they_name(lake: UpkeepLake) -> None:
    trace = f"{1:032x}"
    lake.commit(SPANS, span(1, customer_id=None, session_id="of ann's logs"), span(2, session_id="bob's"))
    commit(
        lake,
        LOG_RECORDS,
        {"body": "1", "customer_id": "ann", "session_id": "of ann's logs", "trace_id": trace, "date": TODAY},
        {"body": "2", "session_id": "of ann's logs", "date": TODAY},
        {"body": "3", "trace_id": trace, "date": day(3)},
        {"body": "4", "customer_id": "bob", "trace_id": trace, "date": TODAY},
        {"body": "5", "date": TODAY},
        {"body": "6", "customer_id": "ann", "project": "q", "date": TODAY},
    )
    commit(
        lake,
        METRIC_POINTS,
        {"name": "1", "customer_id": "ann", "date": TODAY},
        {"name": "2", "session_id": "of ann's logs", "date": TODAY},
        {"name": "3", "date": TODAY},
    )

    counts = forget(lake)

    # A span of a session that only a log record says is hers is hers too.
    assert counts == {
        "spans": 1,
        "log_records": 3,
        "metric_points": 2,
        # With the row that took the span away.
        "session_rollup": 2,
    }
    assert sorted(lake.rows(LOG_RECORDS)["body"].to_pylist()) == ["4", "5", "6"]
    assert lake.rows(METRIC_POINTS)["name"].to_pylist() == ["3"]
    assert lake.numbers() == [2]
    assert lake.rollup_is_fresh()
