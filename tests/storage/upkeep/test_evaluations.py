"""Upkeep of evaluations: old content goes, the scores stay; old rows go; a customer's items go, with their scores."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import span_rows
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.evaluations import CONTENT_COLUMNS, EVALUATION_ITEMS, EVALUATION_SCORES, EVALUATION_TABLES
from schemas.spans import SPANS
from schemas.table import Table
from storage.upkeep.compaction import FILES_A_MERGE, compact
from storage.upkeep.content import remove_old_content
from storage.upkeep.forget import forget_customer
from storage.upkeep.retention import drop_old_days

each_table = pytest.mark.parametrize("table", EVALUATION_TABLES, ids=lambda table: table.name)


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def commit(lake: UpkeepLake, table: Table, *rows: dict[str, Any], days_ago: int = 0) -> None:
    content = dict.fromkeys(CONTENT_COLUMNS[table.name], "said")
    shared = {"project": "p", "date": day(days_ago), "run_id": "r", "received_at": NOW - timedelta(days_ago)}
    whole = [content | shared | {"item": item} | row for item, row in enumerate(rows)]
    lake.commit(table, pa.RecordBatch.from_pylist(whole, schema=table.schema))


@each_table
def test_old_content_goes_and_all_else_stays(lake: UpkeepLake, table: Table) -> None:
    for days_ago in (2, 3):
        commit(lake, table, {"session_id": "s"}, days_ago=days_ago)

    rewritten = remove_old_content(lake.rewriter, days=2, today=TODAY)
    again = remove_old_content(lake.rewriter, days=2, today=TODAY)

    assert (rewritten, again) == (1, 0)
    new, old = lake.rows(table).sort_by([("date", "descending")]).to_pylist()
    columns = CONTENT_COLUMNS[table.name]
    assert {new[column] for column in columns} == {"said"}
    kept = {name: value for name, value in new.items() if name not in (*columns, "date", "received_at")}
    assert old == kept | dict.fromkeys(columns) | {"date": day(3), "received_at": NOW - timedelta(3)}


@each_table
def test_old_rows_go(lake: UpkeepLake, table: Table) -> None:
    for days_ago in (2, 3):
        commit(lake, table, {}, days_ago=days_ago)

    drop_old_days(lake.rewriter, days=2, today=TODAY)

    assert lake.rows(table)["date"].to_pylist() == [day(2)]


@each_table
def test_runs_of_a_day_are_merged(lake: UpkeepLake, table: Table) -> None:
    for number in range(FILES_A_MERGE):
        commit(lake, table, {"run_id": f"r{number}"})

    compact(lake.rewriter, table, NOW)

    assert lake.file_count(table) == 1
    assert len(lake.rows(table)) == FILES_A_MERGE


def test_a_customer_s_items_go_with_their_scores_and_others_stay(lake: UpkeepLake) -> None:
    lake.commit_spans(1, customer_id="ann", session_id="a")
    lake.commit(SPANS, span_rows(2, customer_id="bob", session_id="b"))
    rows: list[dict[str, Any]] = [
        {"customer_id": "ann"},
        {"session_id": "a"},
        {"trace_id": f"{1:032x}"},
        {"customer_id": "bob", "session_id": "a"},
        {"session_id": "b"},
        {"customer_id": "ann", "project": "q"},
        {},
    ]
    for table in EVALUATION_TABLES:
        commit(lake, table, *rows)

    counts = forget_customer(lake.rewriter, "p", "ann", lambda _: None)

    assert [counts[table.name] for table in EVALUATION_TABLES] == [3, 3]
    for table in (EVALUATION_ITEMS, EVALUATION_SCORES):
        assert sorted(lake.rows(table)["item"].to_pylist()) == [3, 4, 5, 6]
