"""The lake: a segment is committed once, whoever asks again; its files are where the snapshot says."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from lake_parts import exposure_rows, span_rows

from schemas.exposures import EXPOSURES
from schemas.spans import SPANS
from schemas.tables import TABLES
from storage.errors import LakeError
from storage.lake import COMPACT_EVERY_FILES, Lake


def table(*batches: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches(batches)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    for found in TABLES:
        lake.create(found)
    return lake


def row_count(lake: Lake) -> int:
    return sum(pq.read_metadata(path).num_rows for path in lake.snapshot(SPANS, "w").files)


def test_a_new_table_is_empty_and_making_it_again_changes_nothing(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    for found in TABLES:
        lake.create(found)

    assert lake.snapshot(EXPOSURES, "w").files == ()
    assert lake.committed_segment(EXPOSURES, "w") == 0
    assert row_count(lake) == 1


def test_a_segment_that_is_committed_twice_adds_nothing(lake: Lake) -> None:
    first = lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)
    again = lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)
    elsewhere = Lake(lake.directory).commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)

    assert (first, again, elsewhere) == (True, False, False)
    assert row_count(lake) == 2


def test_an_earlier_segment_than_the_last_is_committed_already(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=5)

    assert not lake.commit(SPANS, table(span_rows(2)), writer_id="w", segment=4)
    assert lake.committed_segment(SPANS, "w") == 5


def test_writers_have_numbers_of_their_own(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="a", segment=5)
    lake.commit(SPANS, table(span_rows(2)), writer_id="b", segment=1)

    assert (lake.committed_segment(SPANS, "a"), lake.committed_segment(SPANS, "b")) == (5, 1)
    assert row_count(lake) == 2


def test_a_segment_without_rows_makes_no_commit(lake: Lake) -> None:
    version = lake.snapshot(SPANS, "w").version

    assert lake.commit(SPANS, SPANS.schema.empty_table(), writer_id="w", segment=1)

    assert lake.snapshot(SPANS, "w").version == version


def test_one_commit_wins_where_many_threads_make_the_same(lake: Lake) -> None:
    rows = table(span_rows(*range(10)))
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(lake.commit(SPANS, rows, writer_id="w", segment=1)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [False, False, False, True]
    assert row_count(lake) == 10


def test_a_reader_of_its_own_sees_each_commit(lake: Lake) -> None:
    reader = Lake(lake.directory)
    before = reader.snapshot(EXPOSURES, "w")
    lake.commit(EXPOSURES, table(exposure_rows(1)), writer_id="w", segment=3)

    after = reader.snapshot(EXPOSURES, "w")

    assert (before.files, before.committed_segment) == ((), 0)
    assert (len(after.files), after.committed_segment) == (1, 3)
    assert after.version == before.version + 1


def test_the_rows_of_a_file_are_sorted_and_its_columns_are_the_schema_s(lake: Lake) -> None:
    rows = [span_rows(1, session_id="b"), span_rows(2, session_id="a"), span_rows(3, project="a", session_id="z")]
    lake.commit(SPANS, table(*rows), writer_id="w", segment=1)

    (file,) = lake.snapshot(SPANS, "w").files

    found = pq.read_table(file, partitioning=None)
    assert found["session_id"].to_pylist() == ["z", "a", "b"]
    assert set(found.schema.names) == set(SPANS.schema.names) - {"date"}


def test_anyone_may_read_the_table_with_delta_s_own_reader(lake: Lake) -> None:
    rows = table(span_rows(1, tags=["a", "日"], cost=0.5))
    lake.commit(SPANS, rows, writer_id="w", segment=1)

    found = DeltaTable(lake.directory / "spans").to_pyarrow_table()

    assert found.select(SPANS.schema.names).to_pylist() == rows.to_pylist()


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="table spans can't be read from"):
        Lake(tmp_path).snapshot(SPANS, "w")


def test_a_table_can_be_read_again_once_it_is_back(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(LakeError):
        lake.snapshot(SPANS, "w")

    lake.create(SPANS)

    assert lake.snapshot(SPANS, "w").files == ()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """What has been synced, by a disk that forgets the rest."""
    found: set[Path] = set()
    for name in ("sync_file", "sync_directory"):
        monkeypatch.setattr(f"storage.lake.{name}", found.add)
    return found


def files_of(lake: Lake, name: str) -> set[Path]:
    return {path for path in (lake.directory / name).rglob("*") if path.is_file()}


def folders_of(files: set[Path]) -> set[Path]:
    return {path.parent for path in files}


def test_what_a_commit_wrote_is_synced_when_it_returns(lake: Lake, synced: set[Path]) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    lake.commit(SPANS, table(span_rows(2)), writer_id="w", segment=2)

    written = files_of(lake, "spans")
    assert written <= synced
    assert folders_of(written) | {lake.directory / "spans", lake.directory} <= synced


def test_a_replay_syncs_what_the_process_that_died_did_not(lake: Lake, synced: set[Path]) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    synced.clear()

    assert not Lake(lake.directory).commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    assert files_of(lake, "spans") <= synced


def test_a_commit_syncs_nothing_twice(lake: Lake, synced: set[Path]) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    first = files_of(lake, "spans")
    synced.clear()

    lake.commit(SPANS, table(span_rows(2)), writer_id="w", segment=2)

    assert first.isdisjoint(synced)


def test_checkpoints_are_synced_too(lake: Lake, synced: set[Path]) -> None:
    for segment in range(1, 105):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)

    written = files_of(lake, "exposures")
    assert any("checkpoint" in path.name for path in written)
    assert written <= synced


def test_many_small_files_become_few_and_no_row_changes(lake: Lake, synced: set[Path]) -> None:
    for segment in range(1, COMPACT_EVERY_FILES + 3):
        lake.commit(SPANS, table(span_rows(segment)), writer_id="w", segment=segment)
    before = lake.snapshot(SPANS, "w")

    lake.compact(SPANS)

    after = lake.snapshot(SPANS, "w")
    assert (len(before.files), len(after.files)) == (COMPACT_EVERY_FILES + 2, 1)
    assert row_count(lake) == COMPACT_EVERY_FILES + 2
    assert after.committed_segment == before.committed_segment
    # A query that began before still reads its files.
    assert all(Path(path).exists() for path in before.files)
    assert {Path(path) for path in after.files} <= synced
    assert pq.ParquetFile(after.files[0]).metadata.row_group(0).column(0).compression == "ZSTD"


def test_few_files_are_left_as_they_are(lake: Lake) -> None:
    for segment in (1, 2, 3):
        lake.commit(SPANS, table(span_rows(segment)), writer_id="w", segment=segment)

    lake.compact(SPANS)

    assert len(lake.snapshot(SPANS, "w").files) == 3
