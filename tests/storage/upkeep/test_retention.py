"""Retention: what is too old is gone from every table, what is not stays, and nothing is rewritten for it twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.upkeep.retention import drop_old_days


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def received(table: object, *days_ago: int | None) -> pa.RecordBatch:
    rows = [
        {"session_id": str(days), "received_at": None if days is None else NOW - timedelta(days)} for days in days_ago
    ]
    return pa.RecordBatch.from_pylist(rows, schema=table.schema)  # type: ignore[attr-defined]


def test_spans_and_rollup_lose_whole_days(lake: UpkeepLake) -> None:
    for days_ago in (0, 6, 7, 8, 30):
        lake.commit_spans(days_ago, date=day(days_ago))

    drop_old_days(lake.rewriter, days=7, today=TODAY)

    assert lake.numbers() == [0, 6, 7]
    assert sorted(lake.rows(SESSION_ROLLUP)["date"].to_pylist()) == [day(7), day(6), day(0)]


@pytest.mark.parametrize("table", [METRICS, EXPOSURES], ids=lambda table: table.name)
def test_of_tables_without_days_rows_go_by_their_receipt(lake: UpkeepLake, table: pa.Table) -> None:
    lake.commit(table, received(table, 30, 20))
    lake.commit(table, received(table, 10, 8, 7, 0))
    lake.commit(table, received(table, 1))

    drop_old_days(lake.rewriter, days=7, today=TODAY)
    kept = lake.lake.files(table)
    drop_old_days(lake.rewriter, days=7, today=TODAY)

    assert sorted(lake.rows(table)["session_id"].to_pylist()) == ["0", "1", "7"]
    assert lake.lake.files(table) == kept
    assert len(kept) == 2


def test_a_row_of_unknown_age_stays(lake: UpkeepLake) -> None:
    lake.commit(METRICS, received(METRICS, None, 30))

    drop_old_days(lake.rewriter, days=7, today=TODAY)

    assert lake.rows(METRICS)["session_id"].to_pylist() == ["None"]


def test_nothing_is_committed_where_nothing_is_old(lake: UpkeepLake) -> None:
    lake.commit_spans(1)
    lake.commit(METRICS, received(METRICS, 1))
    versions = [lake.lake.snapshot(table, "w").version for table in (SPANS, METRICS)]

    drop_old_days(lake.rewriter, days=7, today=TODAY)

    assert [lake.lake.snapshot(table, "w").version for table in (SPANS, METRICS)] == versions


@pytest.mark.parametrize("table", [LOG_RECORDS, METRIC_POINTS], ids=lambda table: table.name)
def test_log_records_and_data_points_lose_whole_days(lake: UpkeepLake, table: pa.Table) -> None:
    days = [day(days_ago) for days_ago in (0, 6, 7, 8, 30)]
    lake.commit(table, pa.RecordBatch.from_pylist([{"date": each} for each in days], schema=table.schema))

    drop_old_days(lake.rewriter, days=7, today=TODAY)

    assert sorted(lake.rows(table)["date"].to_pylist()) == [day(7), day(6), day(0)]
