"""Upkeep as a whole: in its thread, beside commits and readers, and whatever fails in between."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import Parts, file_size_limit, span_rows
from upkeep_lake import NOW, UpkeepLake, day

from schemas.spans import SPANS
from storage.errors import LakeError, QueryInterruptedError
from storage.upkeep import upkeep as upkeep_module
from storage.upkeep.compaction import FILES_A_MERGE
from storage.upkeep.upkeep import Upkeep


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_true()


def test_it_merges_in_the_background_until_it_is_stopped(lake: UpkeepLake) -> None:
    upkeep = Upkeep(lake.lake, interval_s=0.01)
    upkeep.start()
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number)

    assert eventually(lambda: lake.file_count() == 1)
    upkeep.stop()
    upkeep.stop()
    assert lake.numbers() == list(range(FILES_A_MERGE))


def test_stopping_is_safe_without_a_start(lake: UpkeepLake) -> None:
    Upkeep(lake.lake).stop()


def test_a_merge_that_is_stopped_leaves_the_table_as_it_was(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number)
    upkeep = Upkeep(lake.lake)
    upkeep.stop()
    before = set(lake.lake.directory.rglob("*.parquet"))

    with pytest.raises(upkeep_module.StoppedError):
        upkeep.run_once()

    assert set(lake.lake.directory.rglob("*.parquet")) == before
    assert lake.numbers() == list(range(FILES_A_MERGE))


def test_one_run_drops_old_days_and_old_content(lake: UpkeepLake) -> None:
    for days_ago in (0, 5, 20):
        lake.commit_spans(days_ago, date=day(days_ago), input="said")
    upkeep = Upkeep(lake.lake, retention_days=10, content_retention_days=3, now=lambda: NOW)

    upkeep.run_once()

    rows = lake.rows().sort_by("content_hash")
    assert rows.select(["content_hash", "input"]).to_pylist() == [
        {"content_hash": 0, "input": "said"},
        {"content_hash": 5, "input": None},
    ]


def test_by_default_nothing_is_dropped(lake: UpkeepLake) -> None:
    lake.commit_spans(1, date=day(300), input="said")

    Upkeep(lake.lake, now=lambda: NOW + timedelta(3000)).run_once()

    assert lake.rows()["input"].to_pylist() == ["said"]


def test_replaced_files_go_when_nobody_reads_them_any_more(lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number)
    upkeep = Upkeep(lake.lake)
    upkeep.run_once()
    folder = lake.lake.path(SPANS, lake.lake.files(SPANS)[0]).parent
    assert len(list(folder.glob("*.parquet"))) == FILES_A_MERGE + 1

    later = time.monotonic() + upkeep_module.REPLACED_FILES_KEPT_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    upkeep.run_once()

    assert len(list(folder.glob("*.parquet"))) == 1
    assert lake.numbers() == list(range(FILES_A_MERGE))


def test_a_full_disk_fails_a_merge_and_the_next_one_succeeds(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, input="x" * 20_000 + os.urandom(20_000).hex())
    folder = lake.lake.directory / "spans"
    before = set(folder.rglob("*.parquet"))
    upkeep = Upkeep(lake.lake)

    with file_size_limit(30_000), pytest.raises((LakeError, OSError)):
        upkeep.run_once()

    assert set(folder.rglob("*.parquet")) == before
    upkeep.run_once()
    assert lake.file_count() == 1
    assert lake.numbers() == list(range(FILES_A_MERGE))


def test_beside_it_every_acknowledged_span_is_seen_once_by_every_query(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "data")
    exporter = parts.exporter(flush_interval_s=0.02, segment_bytes_max=64 * 1024)
    exporter.start()
    upkeep = Upkeep(parts.lake, interval_s=0.01)
    upkeep.start()
    acknowledged = 0
    stopping = threading.Event()
    problems: list[str] = []
    queries = 0

    def read() -> None:
        nonlocal queries
        try:
            while not stopping.is_set():
                low = acknowledged
                spans, calls = parts.counts()
                queries += 1
                if not (low <= spans and low <= calls):
                    problems.append(f"{low} acknowledged, {spans} spans, {calls} calls seen")
                if parts.count(SPANS, "count(*) - count(DISTINCT span_id)"):
                    problems.append("a span is there twice")
        except Exception as error:
            problems.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 60
    while parts.lake.committed_segment(SPANS, parts.writer_id) < 3 * FILES_A_MERGE and time.monotonic() < deadline:
        exporter.consume("spans", span_rows(*range(acknowledged, acknowledged + 5)))
        acknowledged += 5
        time.sleep(0.005)
    stopping.set()
    reader.join()
    upkeep.stop()
    exporter.stop()

    assert problems == []
    assert queries > 5
    assert parts.counts() == (acknowledged, acknowledged)
    assert len(parts.lake.files(SPANS)) < 3 * FILES_A_MERGE


def test_a_query_whose_file_is_removed_is_told_to_ask_again(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "data")
    for segment in (1, 2):
        rows = span_rows(segment, customer_id=("ann", "bob")[segment - 1])
        parts.lake.commit(SPANS, rows_table(rows), writer_id=parts.writer_id, segment=segment)
    statement = "SELECT count(*) AS n FROM spans WHERE name = 'call'"
    with parts.engine.session("p") as session:
        session._define_tables(statement)
        Upkeep(parts.lake).forget("p", "ann")

        with pytest.raises(QueryInterruptedError, match="ask again"):
            session.query(statement)

    assert parts.engine.query(statement, project="p")["n"].to_pylist() == [1]


def rows_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def damage_oldest(lake: UpkeepLake) -> None:
    oldest = min(lake.lake.files(SPANS), key=lambda file: file.partition["date"] or "")
    path = lake.lake.path(SPANS, oldest)
    path.write_bytes(bytes(path.stat().st_size))


def test_a_damaged_file_keeps_no_other_from_being_merged_or_stripped(lake: UpkeepLake) -> None:
    for days_ago in (40, 31, 30):
        lake.commit_spans(days_ago, date=day(days_ago), input="said")
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, input="said")
    damage_oldest(lake)
    upkeep = Upkeep(lake.lake, content_retention_days=10, now=lambda: NOW)

    for _ in range(2):
        with pytest.raises(LakeError, match="can't be read"):
            upkeep.run_once()

    files = lake.lake.files(SPANS)
    assert sorted(file.prefix for file in files if file.partition["date"] != NOW.date().isoformat()) == [
        "bare",
        "bare",
        "part",
    ]
    assert len(files) == 4


def test_a_step_that_fails_keeps_no_other_from_being_taken(lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.commit_spans(1, date=day(50))
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number)

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(upkeep_module, "resume", failing)
    with pytest.raises(ZeroDivisionError):
        Upkeep(lake.lake, retention_days=30, now=lambda: NOW).run_once()

    assert [file.partition["date"] for file in lake.lake.files(SPANS)] == [NOW.date().isoformat()]
