"""The log on a disk that fails: what is refused leaves nothing, what was acknowledged stays, and it mends by itself."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import encoded, read_rows
from tmpfs import Disk, mounted

import collector.log
import collector.quarantine
from collector.accounting import RowCounts
from collector.component import LogFullError
from collector.log import SegmentLog
from collector.log_budget import LogBudget
from storage.segments import SegmentEncoder, SegmentReader, segment_numbers, segment_path

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])
MIB = 1 << 20


def rows(*numbers: int, text_bytes: int = 10) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": numbers, "text": ["x" * text_bytes] * len(numbers)}, schema=SCHEMA)


def opened(folder: Path, **options: Any) -> SegmentLog:
    folder.parent.mkdir(parents=True, exist_ok=True)
    budget = LogBudget(
        folder.parent,
        bytes_max=options.pop("bytes_max", 1 << 30),
        disk_free_bytes_min=options.pop("disk_free_bytes_min", 0),
    )
    log = SegmentLog(folder, SCHEMA, budget=budget, **{"segment_bytes_max": MIB} | options)
    log.recover(committed=0)
    return log


def numbers(folder: Path) -> list[int]:
    """Return what another process finds, that knows nothing of what was refused."""
    batches = [found for number in segment_numbers(folder) for found in read_rows(segment_path(folder, number), SCHEMA)]
    return [number for batch in batches for number in batch["n"].to_pylist()]


def committed(log: SegmentLog) -> list[int]:
    """Take what is sealed out of the log, as the committer does."""
    found: list[int] = []
    log.seal()
    for number in log.sealed():
        table = log.rows(number)
        found += table["n"].to_pylist()
        log.remove(number, committed_rows=table.num_rows)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log" / "numbers"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 2 * MIB) as disk:
        yield disk


class Broken:
    """A system call that fails while it is broken, as a disk does; ``skip`` calls go well before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int = errno.EIO, *, skip: int = 0) -> None:
        self.is_broken = True
        self.failures = 0
        self._real: Callable[..., Any] = getattr(os, name)
        self._number = number
        self._skip = skip
        monkeypatch.setattr(os, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.is_broken and self._skip == 0:
            self.failures += 1
            raise OSError(self._number, os.strerror(self._number))
        self._skip = max(self._skip - 1, 0)
        return self._real(*arguments, **options)


@pytest.mark.parametrize("call", ["writev", "fdatasync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS], ids=os.strerror)
def test_a_failed_call_refuses_with_its_reason_and_a_hint_and_the_next_append_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    log = opened(folder)
    log.append(rows(1))
    broken = Broken(monkeypatch, call, number)

    with pytest.raises(LogFullError, match=f"{os.strerror(number)}: send again") as refusal:
        log.append(rows(2))
    broken.is_broken = False
    log.append(rows(2, 3))

    assert refusal.value.retry_after_s > 0
    assert str(folder) not in str(refusal.value)
    assert numbers(folder) == [1, 2, 3]
    assert committed(log) == [1, 2, 3]
    assert log.accounting() == RowCounts(accepted=3, committed=3)


def test_where_not_even_the_tail_can_be_cut_nothing_is_taken_until_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    log.append(rows(1))
    no_sync = Broken(monkeypatch, "fdatasync")
    no_cut = Broken(monkeypatch, "truncate")
    with pytest.raises(LogFullError):
        log.append(rows(2))
    no_sync.is_broken = False

    with pytest.raises(LogFullError, match="Input/output error"):
        log.append(rows(3))
    no_cut.is_broken = False
    log.append(rows(4))

    assert no_cut.failures == 2
    assert numbers(folder) == [1, 4]


def test_a_segment_with_a_tail_that_was_refused_is_committed_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    log.append(rows(1))
    no_sync = Broken(monkeypatch, "fdatasync")
    Broken(monkeypatch, "truncate")
    with pytest.raises(LogFullError):
        log.append(rows(2))
    no_sync.is_broken = False
    assert numbers(folder) == [1, 2]

    assert committed(log) == [1]
    log.append(rows(3))

    assert numbers(folder) == [3]
    assert log.accounting() == RowCounts(accepted=2, committed=1, in_log=1)


def test_a_descriptor_that_fails_to_close_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(folder)
    log.append(rows(1))
    real = os.close

    def failing(descriptor: int) -> None:
        real(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", failing)
        log.seal()
    log.append(rows(2))

    assert log.sealed() == [1]
    assert numbers(folder) == [1, 2]


@pytest.mark.parametrize("call", ["open", "writev", "fsync"])
def test_a_segment_that_can_t_be_begun_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    log = opened(folder)
    broken = Broken(monkeypatch, call, errno.ENOSPC)

    for _ in range(3):
        with pytest.raises(LogFullError, match="No space left"):
            log.append(rows(1))

    assert list(folder.iterdir()) == []
    broken.is_broken = False
    log.append(rows(2))
    assert numbers(folder) == [2]


def test_a_begun_file_that_can_t_be_removed_is_not_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(folder)
    broken = [Broken(monkeypatch, "fsync"), Broken(monkeypatch, "unlink")]
    with pytest.raises(LogFullError):
        log.append(rows(1))
    for call in broken:
        call.is_broken = False

    log.append(rows(2))

    assert committed(log) == [2]
    assert list(folder.iterdir()) == []
    assert log.accounting() == RowCounts(accepted=1, committed=1)


def test_a_disk_that_fails_and_mends_is_told_once_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(folder)
    broken = Broken(monkeypatch, "fdatasync")
    for _ in range(5):
        with pytest.raises(LogFullError):
            log.append(rows(1))
    broken.is_broken = False
    log.append(rows(1))
    log.append(rows(2))

    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "5 batches were refused" in caplog.text


def test_a_log_that_refuses_says_why_and_finds_out_itself_when_it_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    assert log.obstacle() == ""
    broken = [Broken(monkeypatch, name) for name in ("fdatasync", "fsync")]
    with pytest.raises(LogFullError):
        log.append(rows(1))

    assert log.obstacle() == "the log can't be written: Input/output error"
    for call in broken:
        call.is_broken = False
    assert log.obstacle() == ""
    assert list(folder.glob("*")) == []
    log.append(rows(2))
    assert numbers(folder) == [2]


def test_a_log_whose_disk_hangs_says_so_while_it_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(folder)
    answers = threading.Event()
    sync = os.fdatasync

    def hanging(descriptor: int) -> None:
        answers.wait(20)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", hanging)
    monkeypatch.setattr(collector.log, "APPEND_S_MAX", 0.05)
    appending = threading.Thread(target=log.append, args=(rows(1),))
    appending.start()
    time.sleep(0.2)

    assert log.obstacle() == "the log's disk has not answered for 0 s"
    answers.set()
    appending.join()
    assert log.obstacle() == ""


def test_a_budget_says_that_it_is_spent_until_something_is_given_back(tmp_path: Path) -> None:
    budget = LogBudget(tmp_path, bytes_max=100)
    budget.reserve(80)
    assert budget.obstacle() == ""
    with pytest.raises(LogFullError):
        budget.reserve(30)

    assert budget.obstacle() == "the log holds 80 bytes not yet committed, its limit is 100"
    budget.release(80)
    assert budget.obstacle() == ""


def test_refusals_give_their_share_of_the_budget_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(folder, bytes_max=3000)
    for call in ("open", "writev", "fsync", "fdatasync"):
        with monkeypatch.context() as patched:
            Broken(patched, call)
            for _ in range(20):
                with pytest.raises(LogFullError, match="Input/output error"):
                    log.append(rows(1))

    log.append(rows(2))

    assert log.status().log_bytes == sum(path.stat().st_size for path in folder.iterdir())
    committed(log)
    assert log._budget.bytes == 0


def test_logs_share_one_budget_and_get_back_what_another_frees(tmp_path: Path) -> None:
    budget = LogBudget(tmp_path, bytes_max=20_000)
    one, other = (SegmentLog(tmp_path / name, SCHEMA, segment_bytes_max=MIB, budget=budget) for name in "ab")
    one.append(rows(1, text_bytes=15_000))

    with pytest.raises(LogFullError, match="its limit is 20000"):
        other.append(rows(2, text_bytes=10_000))
    committed(one)
    other.append(rows(2, text_bytes=10_000))

    assert numbers(tmp_path / "b") == [2]


def test_a_disk_with_too_little_left_for_commits_refuses_before_it_is_full(disk: Disk) -> None:
    log = opened(disk.path / "log" / "numbers", disk_free_bytes_min=MIB)
    log.append(rows(1, text_bytes=MIB // 2))

    with pytest.raises(LogFullError, match="kept free for commits"):
        log.append(rows(2, text_bytes=MIB))
    assert committed(log) == [1]
    log.append(rows(3))

    assert committed(log) == [3]


def test_on_a_full_disk_nothing_is_lost_or_kept_of_what_is_refused_until_space_returns(disk: Disk) -> None:
    folder = disk.path / "log" / "numbers"
    log = opened(folder)
    acknowledged, refusals = [], []
    for number in range(40):
        if number == 20:
            disk.fill(left_bytes=100_000)
        try:
            log.append(rows(number, text_bytes=20_000))
            acknowledged.append(number)
        except LogFullError as error:
            refusals.append(str(error))
    assert all("No space left on device" in refusal for refusal in refusals)
    assert 20 <= len(acknowledged) < 40
    assert numbers(folder) == acknowledged

    disk.empty()
    log.append(rows(100, text_bytes=100_000))

    assert numbers(folder) == [*acknowledged, 100]
    assert log.accounting().accepted == len(acknowledged) + 1
    assert committed(opened(folder)) == [*acknowledged, 100]


def test_a_read_only_disk_refuses_until_it_can_be_written_again(disk: Disk) -> None:
    folder = disk.path / "log" / "numbers"
    log = opened(folder)
    log.append(rows(1))
    log.seal()
    disk.remount("ro")

    for _ in range(2):
        with pytest.raises(LogFullError, match="Read-only file system"):
            log.append(rows(2))
    with pytest.raises(OSError, match="Read-only"):
        log.remove(1, committed_rows=1)
    assert log.rows(1)["n"].to_pylist() == [1]
    disk.remount("rw")
    log.append(rows(3))

    assert numbers(folder) == [1, 3]
    assert log.accounting() == RowCounts(accepted=2, in_log=2)


def test_a_segment_that_the_disk_can_t_read_is_moved_away_and_the_others_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(folder)
    for number in (1, 2, 3):
        log.append(rows(number))
        log.seal()
    unreadable = segment_path(folder, 2)
    content = unreadable.read_bytes()

    class Reader(SegmentReader):
        def read(self, **options: Any) -> Iterator[Any]:
            if self._path == unreadable:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(**options)

    monkeypatch.setattr(collector.log, "SegmentReader", Reader)
    again = opened(folder)

    assert committed(again) == [1, 3]
    assert (folder.parent / "quarantine" / f"numbers-{unreadable.name}").read_bytes() == content
    assert again.status().quarantined_bytes == len(content)
    assert "can't be read (" in caplog.text


def test_a_segment_truncated_at_any_byte_keeps_every_whole_frame_and_sets_the_rest_aside(folder: Path) -> None:
    folder.mkdir(parents=True)
    encoder = SegmentEncoder(SCHEMA)
    frames = [encoded(encoder, rows(number)) for number in range(3)]
    data = encoder.header + b"".join(frames)
    path = segment_path(folder, 1)
    # A step that is no divisor of eight meets every kind of place.
    for size in range(0, len(data) + 1, 7):
        path.write_bytes(data[:size])

        log = opened(folder)

        whole = max((size - len(encoder.header)) // len(frames[0]), 0)
        kept = len(encoder.header) + whole * len(frames[0]) if size > len(encoder.header) else size
        assert log.accounting() == RowCounts(recovered=whole, in_log=whole)
        assert log.status().quarantined_bytes == size - kept
        assert committed(log) == list(range(whole))
        assert log.accounting() == RowCounts(recovered=whole, committed=whole)


def test_a_clock_that_is_set_back_or_ahead_does_not_seal_early_or_late(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    log.append(rows(1))

    for wrong_s in (0.0, time.time() + 10**6):
        monkeypatch.setattr(time, "time", lambda wrong_s=wrong_s: wrong_s)
        monkeypatch.setattr(time, "time_ns", lambda wrong_s=wrong_s: int(wrong_s * 1e9))
        log.seal(older_than_s=60)
        assert log.sealed() == []
        assert 0 <= log.status().oldest_age_s < 60
    time.sleep(0.02)
    log.seal(older_than_s=0.01)
    assert log.sealed() == [1]


def test_a_segment_that_can_be_read_again_comes_back_under_a_new_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    for number in (1, 2):
        log.append(rows(number))
        log.seal()
    unreadable = (segment_path(folder, 1), folder.parent / "quarantine" / f"numbers-{segment_path(folder, 1).name}")

    class Reader(SegmentReader):
        def read(self, **options: Any) -> Iterator[Any]:
            if self._path in unreadable:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(**options)

    with monkeypatch.context() as patched:
        for module in (collector.log, collector.quarantine):
            patched.setattr(module, "SegmentReader", Reader)
        assert committed(opened(folder)) == [2]
        assert committed(opened(folder)) == []
    # By now the lake has the second, and would take the first for one that it has too.
    mended = SegmentLog(folder, SCHEMA, segment_bytes_max=MIB, budget=LogBudget(folder.parent, bytes_max=MIB))
    mended.recover(committed=2)

    assert mended.sealed() == [3]
    assert committed(mended) == [1]
    assert list((folder.parent / "quarantine").iterdir()) == []


def test_a_committed_segment_that_can_t_be_read_does_not_come_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    log.append(rows(1))
    log.seal()

    class Reader(SegmentReader):
        def read(self, **options: Any) -> Iterator[Any]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(collector.log, "SegmentReader", Reader)
        again = SegmentLog(folder, SCHEMA, segment_bytes_max=MIB, budget=LogBudget(folder.parent, bytes_max=MIB))
        again.recover(committed=1)

    assert committed(opened(folder)) == []
    assert [path.name for path in (folder.parent / "quarantine").iterdir()] == ["numbers-000000000001.committed"]


def test_what_a_killed_process_wrote_is_synced_before_it_is_vouched_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(folder).append(rows(1))
    inode = segment_path(folder, 1).stat().st_ino
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    assert opened(folder).accounting() == RowCounts(recovered=1, in_log=1)

    assert inode in synced


def test_a_torn_tail_keeps_no_server_from_starting_on_a_full_disk(disk: Disk) -> None:
    folder = disk.path / "log" / "numbers"
    opened(folder).append(rows(1))
    path = segment_path(folder, 1)
    with path.open("ab") as file:
        file.write(b"torn")
    disk.fill()

    log = opened(folder)
    assert log.accounting() == RowCounts(recovered=1, in_log=1)
    with pytest.raises(OSError, match="No space left"):
        log.rows(1)
    disk.empty()

    assert committed(log) == [1]
    assert log.accounting() == RowCounts(recovered=1, committed=1)
    assert [kept.read_bytes() for kept in (folder.parent / "quarantine").iterdir()] == [b"torn"]
    assert log._budget.bytes == 0


def test_where_memory_ends_in_the_middle_of_a_write_nothing_of_it_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder)
    log.append(rows(1))

    def torn(descriptor: int, parts: list[Any]) -> int:
        os.write(descriptor, b"".join(parts)[:-101])
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", torn)
        with pytest.raises(MemoryError):
            log.append(rows(2))
    log.append(rows(3))

    assert numbers(folder) == [1, 3]
    assert log._budget.bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert committed(opened(folder)) == [1, 3]


def test_without_memory_for_the_next_segment_what_is_on_disk_is_acknowledged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(folder, segment_bytes_max=1)
    encoder = SegmentEncoder

    def out_of_memory(_: pa.Schema) -> SegmentEncoder:
        raise MemoryError

    made = iter([encoder, out_of_memory, encoder])
    monkeypatch.setattr(collector.log, "SegmentEncoder", lambda schema: next(made)(schema))
    log.append(rows(1))
    with pytest.raises(MemoryError):
        log.append(rows(2))
    log.append(rows(2))

    assert numbers(folder) == [1, 2]
    assert log.sealed() == [1, 2]


def test_a_refused_first_frame_is_cut_before_its_file_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(folder)
    Broken(monkeypatch, "fdatasync")
    removed: list[bytes] = []
    unlink = os.unlink

    def noted(path: Path, **options: Any) -> None:
        removed.append(Path(path).read_bytes())
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", noted)
    with pytest.raises(LogFullError):
        log.append(rows(1))

    # A power cut may bring the file back as it was.
    (content,) = removed
    back = segment_path(folder, 7)
    back.write_bytes(content)
    assert committed(opened(folder)) == []
