"""The lake: a segment is committed once, whoever asks again; its files are where the snapshot says."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from lake_parts import exposure_rows, file_size_limit, span_rows

from schemas.exposures import EXPOSURES
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.errors import LakeError
from storage.lake import Lake
from storage.parquet import WrittenFile, write_file


def table(*batches: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches(batches)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    for found in TABLES:
        lake.create(found)
    return lake


def written(number: int) -> Callable[[Path], WrittenFile]:
    return lambda path: write_file(path, SPANS, [table(span_rows(number))])


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


def files_of(lake: Lake, name: str) -> set[Path]:
    return {path for path in (lake.directory / name).rglob("*") if path.is_file()}


class Disk:
    """A disk that keeps what was synced, and forgets the rest at a power cut.

    A file whose name was synced and whose content was not is empty after it, a name that was not synced is not there.
    Counted from 1, the sync ``cut_at`` is the one that no longer happens.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.syncs = 0
        self.cut_at = 0
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}

    def fsync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.syncs == self.cut_at:
            raise PowerCut
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self._names[path] = {found.name: found.stat().st_ino for found in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def after_power_cut(self, target: Path) -> Path:
        self._restore(self.root, target)
        return target

    def _restore(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True)
        for name, inode in self._names.get(source, {}).items():
            if (source / name) in self._names or (source / name).is_dir():
                self._restore(source / name, target / name)
            else:
                (target / name).write_bytes(self._contents.get(inode, b""))


class PowerCut(BaseException):
    """Nothing runs on after it."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path / "lake")
    monkeypatch.setattr(os, "fsync", disk.fsync)
    disk.root.mkdir()
    return disk


def made(lake: Lake, *tables: Table) -> Lake:
    for found in tables:
        lake.create(found)
    return lake


@pytest.mark.parametrize("table_of_rows", [(SPANS, span_rows), (EXPOSURES, exposure_rows)], ids=["spans", "exposures"])
def test_a_power_cut_at_any_sync_of_a_commit_loses_nothing_and_doubles_nothing(
    disk: Disk, tmp_path: Path, table_of_rows: tuple[Table, Callable[..., pa.RecordBatch]]
) -> None:
    kind, rows_of = table_of_rows
    lake = made(Lake(disk.root), kind)
    assert lake.commit(kind, table(rows_of(1)), writer_id="w", segment=1)
    syncs_a_commit = 0
    cuts = 0
    for segment in range(2, 40):
        disk.syncs, disk.cut_at = 0, segment - 1
        try:
            lake.commit(kind, table(rows_of(segment)), writer_id="w", segment=segment)
            syncs_a_commit = disk.syncs
        except PowerCut:
            cuts += 1
        disk.cut_at = 0
        after = made(Lake(disk.after_power_cut(tmp_path / f"after{segment}")), kind)

        for replayed in range(1, segment + 1):
            after.commit(kind, table(rows_of(replayed)), writer_id="w", segment=replayed)

        assert rows_in(after, kind) == segment
        if syncs_a_commit:
            break
        # The process that lived through it, too, tries the segment again.
        lake.commit(kind, table(rows_of(segment)), writer_id="w", segment=segment)
    assert cuts == syncs_a_commit >= 4


def rows_in(lake: Lake, kind: Table) -> int:
    found: int = DeltaTable(lake.directory / kind.name).to_pyarrow_dataset().count_rows()
    assert found == sum(pq.read_metadata(path).num_rows for path in lake.snapshot(kind, "w").files)
    return found


def test_a_replay_syncs_the_entry_that_the_process_that_died_did_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    synced: list[Path] = []
    monkeypatch.setattr("storage.transaction_log.sync_file", synced.append)
    monkeypatch.setattr("storage.transaction_log.sync_directory", synced.append)

    assert not Lake(lake.directory).commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    log = lake.directory / "spans" / "_delta_log"
    assert synced == [log / f"{1:020}.json", log]


def test_wherever_a_sync_fails_the_segment_is_committed_once_when_it_is_tried_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync
    calls = 0
    for place in range(1, 10):
        calls = 0

        def failing(descriptor: int, place: int = place) -> None:
            nonlocal calls
            calls += 1
            if calls == place:
                raise OSError(5, "Input/output error")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", failing)
        try:
            lake.commit(SPANS, table(span_rows(place)), writer_id="w", segment=place)
            break
        except LakeError as error:
            assert f"segment {place} can't be committed: " in str(error)  # noqa: PT017 - the last one succeeds
        lake.commit(SPANS, table(span_rows(place)), writer_id="w", segment=place)
        assert rows_in(lake, SPANS) == place
    assert place > 4
    assert rows_in(lake, SPANS) == place


def test_a_commit_that_fails_ten_times_then_works_loses_and_doubles_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Path.hardlink_to
    failures = iter([True] * 10)

    def failing(self: Path, target: Path) -> None:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", failing)
    before = files_of(lake, "spans")
    for _ in range(10):
        with pytest.raises(LakeError, match="No space left on device"):
            lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)
        assert files_of(lake, "spans") == before

    assert lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)
    assert row_count(lake) == 2


def test_a_disk_that_is_full_leaves_no_file_behind_and_the_table_as_it_was(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    before = files_of(lake, "spans")

    with file_size_limit(5_000), pytest.raises(LakeError, match="segment 2 can't be committed"):
        lake.commit(SPANS, table(span_rows(*range(500))), writer_id="w", segment=2)

    assert files_of(lake, "spans") == before
    assert lake.commit(SPANS, table(span_rows(2)), writer_id="w", segment=2)
    assert row_count(lake) == 2


def test_rows_are_divided_by_day(lake: Lake) -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2), None]
    lake.commit(SPANS, table(*(span_rows(n, date=day) for n, day in enumerate(days))), writer_id="w", segment=1)

    assert {file.partition["date"] for file in lake.files(SPANS)} == {"2026-01-01", "2026-01-02", None}
    found = DeltaTable(lake.directory / "spans").to_pyarrow_table()
    assert sorted(zip(found["content_hash"].to_pylist(), found["date"].to_pylist(), strict=True)) == list(
        enumerate(days)
    )


def test_a_span_that_is_twice_in_a_segment_is_stored_once(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1, 2), span_rows(2, 3), span_rows(3, project="q")), writer_id="w", segment=1)

    assert row_count(lake) == 4


def test_after_many_commits_a_table_opens_from_few_files(lake: Lake) -> None:
    for segment in range(1, 205):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)
    log = lake.directory / "exposures" / "_delta_log"
    for path in log.iterdir():
        if path.name[:20] < f"{200:020}":
            path.unlink()

    again = Lake(lake.directory)

    assert again.committed_segment(EXPOSURES, "w") == 204
    assert set(again.snapshot(EXPOSURES, "w").files) == set(lake.snapshot(EXPOSURES, "w").files)
    assert rows_in(again, EXPOSURES) == 204


def test_entries_of_the_log_that_are_old_go_with_the_next_checkpoint(lake: Lake) -> None:
    for segment in range(1, 150):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)
    log = lake.directory / "exposures" / "_delta_log"
    for path in log.iterdir():
        os.utime(path, (path.stat().st_mtime - 7200,) * 2)

    for segment in range(150, 201):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)

    assert len(list(log.glob("*.json"))) < 150
    again = made(Lake(lake.directory), EXPOSURES)
    assert again.committed_segment(EXPOSURES, "w") == 200
    assert rows_in(again, EXPOSURES) == 200


def test_a_reader_that_slept_while_the_log_was_cleaned_reads_on(lake: Lake) -> None:
    reader = Lake(lake.directory)
    lake.commit(EXPOSURES, table(exposure_rows(1)), writer_id="w", segment=1)
    assert reader.committed_segment(EXPOSURES, "w") == 1
    for segment in range(2, 205):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)
    log = lake.directory / "exposures" / "_delta_log"
    for path in log.glob("*.json"):
        if path.name[:20] < f"{200:020}":
            path.unlink()

    assert reader.committed_segment(EXPOSURES, "w") == 204
    assert len(reader.snapshot(EXPOSURES, "w").files) == 204


@pytest.mark.parametrize("content", [b"", b"\n", b'{"commitInfo":{}}\n{"add":{"pa', b"\0" * 100])
def test_a_torn_last_entry_is_set_aside_and_its_segment_is_committed_anew(lake: Lake, content: bytes) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    entry = lake.directory / "spans" / "_delta_log" / f"{2:020}.json"
    entry.write_bytes(content)

    again = made(Lake(lake.directory), SPANS)

    assert again.commit(SPANS, table(span_rows(2)), writer_id="w", segment=2)
    assert rows_in(again, SPANS) == 2
    (aside,) = (lake.directory / "spans" / "_torn").iterdir()
    assert aside.read_bytes() == content


def test_a_torn_checkpoint_is_set_aside(lake: Lake) -> None:
    for segment in range(1, 103):
        lake.commit(EXPOSURES, table(exposure_rows(segment)), writer_id="w", segment=segment)
    (checkpoint,) = (lake.directory / "exposures" / "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"")

    again = made(Lake(lake.directory), EXPOSURES)

    assert again.committed_segment(EXPOSURES, "w") == 102
    assert rows_in(again, EXPOSURES) == 102


def test_a_torn_entry_in_the_middle_is_an_error_that_names_it(lake: Lake) -> None:
    for segment in (1, 2):
        lake.commit(SPANS, table(span_rows(segment)), writer_id="w", segment=segment)
    entry = lake.directory / "spans" / "_delta_log" / f"{1:020}.json"
    entry.write_bytes(entry.read_bytes()[:50])

    with pytest.raises(LakeError, match=f"{entry} is not an entry of a Delta log"):
        Lake(lake.directory).create(SPANS)


def test_a_table_that_another_program_has_raised_beyond_this_one_is_not_misread(lake: Lake) -> None:
    entry = lake.directory / "spans" / "_delta_log" / f"{1:020}.json"
    entry.write_text('{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"]}}\n')

    with pytest.raises(LakeError, match="raised the table's protocol to reader 3, writer 7"):
        lake.snapshot(SPANS, "w")


def test_commits_of_other_programs_are_seen_and_do_not_stop_ours(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    other = DeltaTable(lake.directory / "spans")
    write_deltalake(other, table(span_rows(2)), mode="append")
    lake.commit(SPANS, table(span_rows(3)), writer_id="w", segment=2)
    DeltaTable(lake.directory / "spans").optimize.compact()

    assert lake.commit(SPANS, table(span_rows(4)), writer_id="w", segment=3)

    assert rows_in(lake, SPANS) == 4
    assert len(lake.snapshot(SPANS, "w").files) == 2


def test_a_file_that_was_replaced_meanwhile_is_not_replaced_again(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    (old,) = lake.files(SPANS)
    with lake.writing(SPANS, old.partition, written(1)) as new:
        assert lake.replace(SPANS, [old], [new], operation="OPTIMIZE", data_change=False)

    with lake.writing(SPANS, old.partition, written(1)) as late:
        replaced = lake.replace(SPANS, [old], [late], operation="OPTIMIZE", data_change=False)

    assert not replaced
    assert lake.files(SPANS) == (new,)
    assert not lake.path(SPANS, late).exists()
    assert rows_in(lake, SPANS) == 1


def test_files_of_no_commit_are_removed_in_time_but_not_one_that_is_being_written(lake: Lake) -> None:
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    (live,) = lake.files(SPANS)
    orphan = lake.path(SPANS, live).with_name("part-of-a-crash.parquet")
    orphan.write_bytes(b"torn")
    with lake.writing(SPANS, live.partition, written(2)) as new:
        assert lake.remove_unreferenced(SPANS, kept_s=3600) == 0
        assert orphan.exists()
        assert lake.remove_unreferenced(SPANS, kept_s=0) == 1
        assert not orphan.exists()
        assert lake.path(SPANS, new).exists()

    assert not lake.path(SPANS, new).exists()
    assert row_count(lake) == 1


def test_the_log_says_between_what_the_values_of_a_file_lie(lake: Lake) -> None:
    rows = [span_rows(1, project="b", config_key=None), span_rows(2, project="é", name="x" * 500)]
    lake.commit(SPANS, table(*rows), writer_id="w", segment=1)

    found = pa.table(DeltaTable(lake.directory / "spans").get_add_actions(flatten=True)).to_pylist()[0]

    assert (found["num_records"], found["null_count.config_key"]) == (2, 1)
    assert (found["min.project"], found["max.project"]) == ("b", "é")
    assert (found["min.config_key"], found["max.config_key"]) == ("config", "config")
    assert found["min.start_time"] == found["max.start_time"] == rows[0]["start_time"][0].as_py()


def test_an_error_after_the_entry_was_made_costs_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    link = Path.hardlink_to
    failures = iter([True])

    def made_and_failed(self: Path, target: Path) -> None:
        link(self, target)
        if next(failures, False):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "hardlink_to", made_and_failed)
    with pytest.raises(LakeError, match="Input/output error"):
        lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)

    assert not lake.commit(SPANS, table(span_rows(1, 2)), writer_id="w", segment=1)
    assert rows_in(lake, SPANS) == 2


def test_a_file_that_can_t_be_removed_is_left_to_upkeep_and_hides_no_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(what: str) -> Callable[..., None]:
        def fail(path: Path, *_: object, **__: object) -> None:
            if path.suffix in {".parquet", ".json"}:
                raise OSError(30, f"no {what}")

        return fail

    with monkeypatch.context() as patched:
        patched.setattr(Path, "hardlink_to", failing("link"))
        patched.setattr(Path, "unlink", failing("removal"))
        with pytest.raises(LakeError, match="no link"):
            lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    assert lake.remove_unreferenced(SPANS, kept_s=0) == 1


def test_a_folder_made_by_a_write_that_failed_is_synced_by_the_next(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync
    failures = iter([True])
    synced: list[Path] = []

    def failing(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.suffix == ".parquet" and next(failures, False):
            raise OSError(5, "Input/output error")
        fsync(descriptor)
        synced.append(path)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(LakeError):
        lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    assert lake.directory / "spans" in synced


@pytest.mark.parametrize("cut_at", range(1, 5))
def test_a_power_cut_after_a_table_that_a_killed_process_made_loses_nothing(
    disk: Disk, tmp_path: Path, cut_at: int
) -> None:
    disk.cut_at = cut_at
    with pytest.raises(PowerCut):
        made(Lake(disk.root), SPANS)
    disk.cut_at = 0
    # Killed, that is: all it wrote is still there, though it was not synced.
    lake = made(Lake(disk.root), SPANS)
    assert lake.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)

    after = made(Lake(disk.after_power_cut(tmp_path / "after")), SPANS)

    assert rows_in(after, SPANS) == 1


def test_a_table_whose_first_entry_is_torn_is_made_anew(lake: Lake) -> None:
    (lake.directory / "spans" / "_delta_log" / f"{0:020}.json").write_bytes(b"")

    again = made(Lake(lake.directory), SPANS)

    assert again.commit(SPANS, table(span_rows(1)), writer_id="w", segment=1)
    assert rows_in(again, SPANS) == 1
