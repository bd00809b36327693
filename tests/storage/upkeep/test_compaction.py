"""Compaction: fewer files, the same rows, each once, for every reader at every moment."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_parts import exposure_rows, span_rows
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage import transaction_log
from storage.data_file import DataFile
from storage.errors import LakeError
from storage.rollup import session_rollup
from storage.upkeep import compaction
from storage.upkeep.compaction import FILES_A_MERGE, FULL_BYTES, MERGED_BYTES_MAX, compact, merge, next_merge
from storage.upkeep.corrections import complete


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def test_small_files_become_one_and_no_row_changes(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, session_id=f"s{-number}", tags=["a", "日"], cost=0.5)
    before = lake.rows().sort_by("content_hash").to_pylist()

    assert compact(lake.rewriter, SPANS, NOW) == FILES_A_MERGE

    assert lake.rows().sort_by("content_hash").to_pylist() == before
    (file,) = lake.lake.snapshot(SPANS, "w").files
    sessions = pq.read_table(file, partitioning=None)["session_id"].to_pylist()
    assert sessions == sorted(sessions)
    assert lake.lake.committed_segment(SPANS, "w") == FILES_A_MERGE


def test_fewer_files_are_left_as_they_are(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE - 1):
        lake.commit_spans(number)

    assert compact(lake.rewriter, SPANS, NOW) == 0


def test_days_are_not_merged_with_each_other(lake: UpkeepLake) -> None:
    for number in range(2 * FILES_A_MERGE):
        lake.commit_spans(number, date=day(number % 2))

    compact(lake.rewriter, SPANS, NOW)

    assert sorted(str(file.partition["date"]) for file in lake.lake.files(SPANS)) == [str(day(1)), str(day(0))]


def test_a_day_that_is_over_and_at_rest_is_merged_however_few_its_files(lake: UpkeepLake) -> None:
    for number in range(3):
        lake.commit_spans(number, date=day(1))

    assert next_merge(SPANS, lake.lake.files(SPANS), NOW) == []
    late = max(file.modified_ms for file in lake.lake.files(SPANS)) / 1000 - NOW.timestamp() + 3601
    assert compact(lake.rewriter, SPANS, NOW + timedelta(seconds=late)) == 3
    assert compact(lake.rewriter, SPANS, NOW + timedelta(seconds=late + 7200)) == 0


def test_replaced_files_are_still_there_for_who_reads_them(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number)
    before = lake.lake.snapshot(SPANS, "w").files

    compact(lake.rewriter, SPANS, NOW)

    count = duckdb.connect().execute("SELECT count(*) FROM read_parquet($files)", {"files": list(before)}).fetchone()
    assert count == (FILES_A_MERGE,)


def test_a_table_without_partitions_is_merged_too(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit(EXPOSURES, exposure_rows(number, number))

    compact(lake.rewriter, EXPOSURES, NOW)

    # Exposures have no identity: what was reported twice stays twice.
    assert (lake.file_count(EXPOSURES), lake.rows(EXPOSURES).num_rows) == (1, 2 * FILES_A_MERGE)


def test_the_parts_of_the_rollup_become_sums(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, number + 100, session_id=f"s{number % 2}", cost=0.1)

    compact(lake.rewriter, SESSION_ROLLUP, NOW)

    rows = lake.rows(SESSION_ROLLUP).sort_by("session_id").to_pylist()
    assert [(row["session_id"], row["calls"]) for row in rows] == [("s0", FILES_A_MERGE), ("s1", FILES_A_MERGE)]
    assert lake.rollup_is_fresh()


def test_large_parts_of_the_rollup_are_added_up_when_their_day_is_at_rest(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "LARGE_ROLLUP_BYTES", 1)
    for number in range(FILES_A_MERGE):
        lake.commit_spans(number, session_id="s")
    lake.commit_spans(100, session_id="s", date=day(1))

    compact(lake.rewriter, SESSION_ROLLUP, NOW)
    calls = [row["calls"] for row in lake.rows(SESSION_ROLLUP).to_pylist() if row["date"] == TODAY]
    assert calls == [1] * FILES_A_MERGE
    assert lake.rollup_is_fresh()
    lake.commit_spans(number + 1, session_id="s")
    compact(lake.rewriter, SESSION_ROLLUP, NOW + timedelta(days=2))

    calls = [row["calls"] for row in lake.rows(SESSION_ROLLUP).to_pylist() if row["date"] == TODAY]
    assert calls == [FILES_A_MERGE + 1]
    assert lake.rollup_is_fresh()


def test_spans_sent_twice_become_one_and_the_rollup_counts_them_once(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, 2, number + 10, cost=0.3, duration_ns=2_000_000)
    lake.commit_spans(1, session_id="other day", date=day(1))
    assert lake.rows(SESSION_ROLLUP)["calls"].to_pylist() == [1] + [3] * FILES_A_MERGE

    compact(lake.rewriter, SPANS, NOW)

    assert lake.numbers() == [1, 1, 2, *range(10, 10 + FILES_A_MERGE)]
    assert lake.rollup_is_fresh()
    compact(lake.rewriter, SESSION_ROLLUP, NOW)
    assert lake.rollup_is_fresh()


def test_large_files_are_merged_as_they_are(lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "LARGE_BYTES", 1)
    for number in range(FILES_A_MERGE):
        lake.commit_spans(2 * number, 2 * number + 1, session_id=f"s{-number}")
    before = lake.rows().sort_by("content_hash").to_pylist()

    compact(lake.rewriter, SPANS, NOW)

    assert lake.rows().sort_by("content_hash").to_pylist() == before
    (file,) = lake.lake.snapshot(SPANS, "w").files
    assert pq.read_metadata(file).num_row_groups == FILES_A_MERGE
    assert lake.lake.files(SPANS)[0].rows == 2 * FILES_A_MERGE


def test_large_files_with_spans_sent_twice_are_merged_by_their_rows(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "LARGE_BYTES", 1)
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, 10 + number)

    compact(lake.rewriter, SPANS, NOW)

    assert lake.numbers() == [1, *range(10, 10 + FILES_A_MERGE)]
    assert lake.rollup_is_fresh()


def test_files_of_an_older_schema_are_merged_with_those_of_today(lake: UpkeepLake, tmp_path: Path) -> None:
    lake.commit_spans(1)
    (old,) = lake.lake.files(SPANS)
    path = lake.lake.path(SPANS, old)
    pq.write_table(pq.read_table(path, partitioning=None).drop(["promoted", "tags"]), path)
    for number in range(2, FILES_A_MERGE + 1):
        lake.commit_spans(number, tags=["a"])

    compact(lake.rewriter, SPANS, NOW)

    assert lake.rows().sort_by("content_hash")["tags"].to_pylist() == [None] + [["a"]] * (FILES_A_MERGE - 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 5)), max_size=5), min_size=2, max_size=6))
def test_whatever_comes_twice_the_rows_and_the_rollup_are_those_of_the_distinct_spans(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[tuple[str, int]]]
) -> None:
    lake = UpkeepLake(tmp_path_factory.mktemp("lake"))
    for spans in segments:
        rows = [span_rows(n, project=project, date=TODAY, start_time=NOW, cost=n / 3) for project, n in spans]
        lake.commit(SPANS, *rows, span_rows(9, content_hash=None, date=TODAY, start_time=NOW))

    merge(lake.rewriter, SPANS, lake.lake.files(SPANS), NOW)

    found = sorted(
        (row["project"], row["content_hash"]) for row in lake.rows().to_pylist() if row["content_hash"] is not None
    )
    assert found == sorted({span for spans in segments for span in spans})
    # Of a span without a hash nobody knows whether it was sent twice.
    assert lake.rows()["content_hash"].null_count == len(segments)
    assert lake.rollup_is_fresh()


def rows_of(*numbers: int) -> pa.Table:
    return pa.Table.from_batches([span_rows(*numbers, date=TODAY, start_time=NOW)])


def file(number: int, size_bytes: int, date: str | None = str(TODAY), age_s: float = 0) -> DataFile:
    return DataFile(f"part-{number}.parquet", {"date": date}, size_bytes, int((NOW.timestamp() - age_s) * 1000), "{}")


def test_large_files_are_not_touched_again() -> None:
    files = [file(number, FULL_BYTES, str(day(5)), 1e6) for number in range(50)]

    assert next_merge(SPANS, files, NOW) == []


def test_a_merge_takes_no_more_than_its_bytes() -> None:
    files = [file(number, FULL_BYTES - 1) for number in range(50)]

    found = next_merge(SPANS, files, NOW)

    assert sum(each.size_bytes for each in found) <= MERGED_BYTES_MAX
    assert len(found) == 4


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([20_000, 25_000, 300_000, 30_000_000]), min_size=200, max_size=400))
def test_under_a_steady_stream_files_stay_few_and_no_byte_is_rewritten_often(sizes: list[int]) -> None:
    files: list[DataFile] = []
    rewritten = most = 0
    for number, size_bytes in enumerate(sizes):
        files.append(file(number, size_bytes, age_s=1e5 - number))
        while found := next_merge(SPANS, files, NOW):
            assert len(found) > 1
            total = sum(each.size_bytes for each in found)
            rewritten += total
            files = [each for each in files if each not in found]
            files.append(replace(found[0], path=f"part-m{number}-{rewritten}.parquet", size_bytes=total))
        most = max(most, sum(each.size_bytes < FULL_BYTES for each in files))
    assert most < 6 * FILES_A_MERGE
    assert rewritten < 6 * sum(sizes)


def test_a_correction_that_a_crash_interrupts_is_ended_at_the_next_run(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, number + 10)
    commit = lake.lake.commit

    def killed(*arguments: object, **options: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.lake, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        compact(lake.rewriter, SPANS, NOW)
    assert lake.numbers() == [1, *range(10, 10 + FILES_A_MERGE)]
    assert not lake.rollup_is_fresh()
    monkeypatch.setattr(lake.lake, "commit", commit)

    again = UpkeepLake(lake.lake.directory)
    for number in range(20, 20 + FILES_A_MERGE):
        again.lake.commit(SPANS, table := rows_of(1, number), writer_id="x", segment=number)
        again.lake.commit(SESSION_ROLLUP, session_rollup(table), writer_id="x", segment=number)
    compact(again.rewriter, SPANS, NOW)

    assert again.rollup_is_fresh()
    assert list((lake.lake.directory / "session_rollup" / "_corrections").iterdir()) == []


def test_a_correction_written_down_for_a_commit_that_never_came_changes_nothing(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, number + 10)
    replace_files = lake.lake.replace

    def killed(*arguments: object, **options: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.lake, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        compact(lake.rewriter, SPANS, NOW)
    assert lake.file_count() == FILES_A_MERGE
    monkeypatch.setattr(lake.lake, "replace", replace_files)
    lake.commit_spans(1, 50)

    compact(lake.rewriter, SPANS, NOW)

    assert lake.numbers() == [1, *range(10, 10 + FILES_A_MERGE), 50]
    assert lake.rollup_is_fresh()


def test_a_merge_of_files_that_are_gone_meanwhile_changes_nothing(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, number + 10)
    stale = lake.lake.files(SPANS)
    assert merge(lake.rewriter, SPANS, stale[:3], NOW)

    assert not merge(lake.rewriter, SPANS, stale, NOW)

    assert lake.numbers() == sorted([1] * (FILES_A_MERGE - 2) + list(range(10, 10 + FILES_A_MERGE)))
    assert lake.rollup_is_fresh()


def test_while_files_are_merged_and_committed_every_reader_sees_every_row_once(lake: UpkeepLake) -> None:
    committed = 0
    stopping = threading.Event()
    problems: list[str] = []
    seen = 0
    # Made before anything is written, as a server does: it takes drafts for what a crash left.
    reader = UpkeepLake(lake.lake.directory).lake

    def read() -> None:
        nonlocal seen
        while not stopping.is_set():
            low = committed
            files = list(reader.snapshot(SPANS, "w").files)
            if not files:
                continue
            statement = "SELECT count(*), count(DISTINCT content_hash) FROM read_parquet($files)"
            with duckdb.connect() as connection:
                (count, distinct) = connection.execute(statement, {"files": files}).fetchone() or (0, 0)
            seen += 1
            if not low <= count == distinct:
                problems.append(f"{low} committed, {count} seen, {distinct} of them different")

    def keep_up() -> None:
        while not stopping.is_set():
            compact(lake.rewriter, SPANS, NOW)
            compact(lake.rewriter, SESSION_ROLLUP, NOW)

    threads = [threading.Thread(target=read), threading.Thread(target=keep_up)]
    for thread in threads:
        thread.start()
    for number in range(80):
        lake.commit_spans(number)
        committed = number + 1
    stopping.set()
    for thread in threads:
        thread.join()

    assert problems == []
    assert seen > 5
    assert lake.numbers() == list(range(80))
    assert lake.rollup_is_fresh()
    assert lake.file_count() < 40


def test_spans_are_gone_for_good_before_the_rollup_is_corrected_for_them(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(FILES_A_MERGE):
        lake.commit_spans(1, number + 10)

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transaction_log, "sync_directory", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(lake.rewriter, SPANS, NOW)
    again = UpkeepLake(lake.lake.directory)
    synced: list[Path] = []
    monkeypatch.setattr(transaction_log, "sync_directory", synced.append)

    complete(again.lake)

    assert synced == [again.lake.directory / name / "_delta_log" for name in ("spans", "session_rollup")]
    assert again.rollup_is_fresh()


def test_a_damaged_file_that_is_not_read_by_rows_is_left_out_too(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "LARGE_BYTES", 1)
    for number in range(FILES_A_MERGE + 1):
        lake.commit(EXPOSURES, exposure_rows(number))
    path = lake.lake.path(EXPOSURES, lake.lake.files(EXPOSURES)[0])
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(LakeError, match="can't be read"):
        compact(lake.rewriter, EXPOSURES, NOW)

    assert compact(lake.rewriter, EXPOSURES, NOW) == FILES_A_MERGE
    assert lake.file_count(EXPOSURES) == 2


def test_log_records_that_were_sent_twice_are_one_when_their_files_are_merged(lake: UpkeepLake) -> None:
    for number in range(FILES_A_MERGE):
        row = {"project": "p", "date": TODAY, "content_hash": number // 2}
        lake.commit(LOG_RECORDS, pa.RecordBatch.from_pylist([row], schema=LOG_RECORDS.schema))

    compact(lake.rewriter, LOG_RECORDS, NOW)

    assert lake.file_count(LOG_RECORDS) == 1
    assert sorted(lake.rows(LOG_RECORDS)["content_hash"].to_pylist()) == [0, 1, 2, 3]
