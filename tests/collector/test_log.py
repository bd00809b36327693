"""The log: what was appended is there after any crash, what was refused is not, what is damaged is set aside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import encoded, file_size_limit, read_rows

from collector.component import LogFullError, RetryableError
from collector.log import SegmentLog
from collector.log_budget import LogBudget
from storage.errors import SegmentError
from storage.segments import SegmentEncoder, segment_numbers, segment_path

SCHEMA = pa.schema([("n", pa.int64())])
ENCODER = SegmentEncoder(SCHEMA)
HEADER_BYTES = len(ENCODER.header)
MIB = 1 << 20


def rows(*numbers: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": numbers}, schema=SCHEMA)


FRAME_BYTES = len(encoded(ENCODER, rows(1)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log" / "numbers"


@pytest.fixture
def log(folder: Path) -> SegmentLog:
    return opened(folder)


def opened(folder: Path, *, committed: int = 0, segment_bytes_max: int = MIB, log_bytes_max: int = MIB) -> SegmentLog:
    folder.parent.mkdir(parents=True, exist_ok=True)
    budget = LogBudget(folder.parent, bytes_max=log_bytes_max)
    log = SegmentLog(folder, SCHEMA, segment_bytes_max=segment_bytes_max, budget=budget)
    log.recover(committed=committed)
    return log


def all_numbers(log: SegmentLog) -> list[int]:
    folder = log._directory
    batches = [rows for number in segment_numbers(folder) for rows in read_rows(segment_path(folder, number), SCHEMA)]
    return [number for batch in batches for number in batch["n"].to_pylist()]


def quarantined(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder.parent / "quarantine").glob("*")}


def test_rows_are_on_disk_when_append_returns(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1, 2))
    log.append(rows(3))

    assert all_numbers(log) == [1, 2, 3]
    assert all_numbers(opened(folder)) == [1, 2, 3]


def test_a_log_that_is_opened_again_has_sealed_all_that_it_found(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1))
    log.seal()
    log.append(rows(2))

    found = opened(folder)

    assert found.sealed() == [1, 2]
    assert [found.rows(number)["n"].to_pylist() for number in found.sealed()] == [[1], [2]]


def test_an_empty_log_seals_and_recovers_nothing(log: SegmentLog, folder: Path) -> None:
    log.seal()

    assert log.sealed() == opened(folder).sealed() == []


def test_a_segment_is_sealed_when_it_is_large_enough(folder: Path) -> None:
    log = opened(folder, segment_bytes_max=HEADER_BYTES + 2 * FRAME_BYTES)
    for number in range(5):
        log.append(rows(number))

    assert log.sealed() == [1, 2]
    assert all_numbers(log) == [0, 1, 2, 3, 4]


def test_a_segment_is_sealed_when_it_is_old_enough(log: SegmentLog) -> None:
    log.append(rows(1))

    log.seal(older_than_s=60)
    assert log.sealed() == []
    log.seal(older_than_s=0)
    assert log.sealed() == [1]


def test_a_torn_frame_is_cut_at_every_byte_of_it_and_set_aside(folder: Path) -> None:
    folder.mkdir(parents=True)
    kept = ENCODER.header + encoded(ENCODER, rows(1, 2))
    last = encoded(ENCODER, rows(3))
    path = segment_path(folder, 1)
    for size in range(len(last)):
        path.write_bytes(kept + last[:size])

        log = opened(folder)

        assert all_numbers(log) == [1, 2]
        assert path.read_bytes() == kept
        assert quarantined(folder) == ({f"numbers-000000000001-{len(kept)}.bytes": last[:size]} if size else {})


def test_a_header_torn_anywhere_leaves_an_empty_segment(folder: Path) -> None:
    folder.mkdir(parents=True)
    header = ENCODER.header
    for size in range(len(header) + 1):
        segment_path(folder, 1).write_bytes(header[:size])

        log = opened(folder)

        assert log.rows(1).num_rows == 0
        assert all_numbers(log) == []


def test_rows_are_appended_after_a_torn_tail_was_cut(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1))
    with segment_path(folder, 1).open("ab") as file:
        file.write(encoded(ENCODER, rows(2))[:-1])
    again = opened(folder)

    again.append(rows(3))

    assert all_numbers(again) == [1, 3]


def test_no_flipped_bit_is_returned_or_lost_in_silence(log: SegmentLog, folder: Path) -> None:
    for number in (1, 2, 3):
        log.append(rows(number))
    log.seal()
    path = segment_path(folder, 1)
    data = bytearray(path.read_bytes())
    begin, end = HEADER_BYTES + FRAME_BYTES, HEADER_BYTES + 2 * FRAME_BYTES
    for bit in range(begin * 8, end * 8, 5):
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)

        found = log.rows(1)["n"].to_pylist()

        # Also where its length was hit: the next frame is found by its salt.
        assert found == [1, 3]
        assert list(quarantined(folder).values()) == [data[begin:end]]
        for name in quarantined(folder):
            (folder.parent / "quarantine" / name).unlink()
        data[bit // 8] ^= 1 << bit % 8


def test_a_file_that_is_no_segment_is_set_aside_whole_when_the_log_is_opened(folder: Path) -> None:
    folder.mkdir(parents=True)
    garbage = os.urandom(HEADER_BYTES) + b"\xff" * 4096
    segment_path(folder, 7).write_bytes(b"\x00" * 4 + garbage)

    log = opened(folder)

    kept = segment_path(folder, 7).read_bytes()
    assert log.rows(7).num_rows == 0
    assert kept + b"".join(quarantined(folder).values()) == b"\x00" * 4 + garbage


def test_a_segment_of_another_schema_is_not_touched(folder: Path) -> None:
    folder.mkdir(parents=True)
    other = pa.schema([("other", pa.string())])
    encoder = SegmentEncoder(other)
    data = encoder.header + encoded(encoder, pa.RecordBatch.from_pydict({"other": ["x"]}, schema=other))
    segment_path(folder, 1).write_bytes(data)

    with pytest.raises(SegmentError, match="expected"):
        opened(folder)

    assert segment_path(folder, 1).read_bytes() == data


def test_numbers_are_never_used_again(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1))
    log.seal()
    log.remove(1, committed_rows=1)
    again = opened(folder, committed=1)
    again.append(rows(2))
    again.seal()
    again.append(rows(3))
    again.seal()
    again.remove(2, committed_rows=1)

    last = opened(folder, committed=1)
    last.append(rows(4))
    last.seal()

    assert last.sealed() == [3, 4]


def test_a_removed_segment_is_gone_and_removing_it_again_is_no_error(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1))
    log.seal()

    log.remove(1, committed_rows=1)
    log.remove(1, committed_rows=1)

    assert log.sealed() == []
    assert list(folder.iterdir()) == []


def test_a_spent_budget_refuses_until_a_segment_is_removed(folder: Path) -> None:
    log = opened(folder, log_bytes_max=HEADER_BYTES + FRAME_BYTES)
    log.append(rows(1))

    with pytest.raises(LogFullError, match="its limit is") as refusal:
        log.append(rows(2))

    assert isinstance(refusal.value, RetryableError)
    assert refusal.value.retry_after_s > 0
    assert all_numbers(log) == [1]
    log.seal()
    log.remove(1, committed_rows=1)
    log.append(rows(2))
    assert all_numbers(log) == [2]


def test_the_budget_counts_what_an_earlier_process_left(log: SegmentLog, folder: Path) -> None:
    log.append(rows(1))
    again = opened(folder, log_bytes_max=HEADER_BYTES + FRAME_BYTES)

    with pytest.raises(LogFullError):
        again.append(rows(2))


@pytest.mark.parametrize("written_bytes", [0, 1, 8, FRAME_BYTES // 2, FRAME_BYTES - 1])
def test_after_a_disk_was_full_the_refused_rows_are_not_there_and_new_ones_are(
    log: SegmentLog, folder: Path, written_bytes: int
) -> None:
    log.append(rows(1))
    with file_size_limit(HEADER_BYTES + FRAME_BYTES + written_bytes), pytest.raises(LogFullError, match="large"):
        log.append(rows(2))

    log.append(rows(3))

    assert all_numbers(log) == [1, 3]
    assert all_numbers(opened(folder)) == [1, 3]
    assert quarantined(folder) == {}
    assert segment_path(folder, 1).stat().st_size == HEADER_BYTES + FRAME_BYTES


@pytest.mark.parametrize("written_bytes", [0, 1, HEADER_BYTES - 1])
def test_a_disk_too_full_for_a_new_segment_leaves_no_file(log: SegmentLog, folder: Path, written_bytes: int) -> None:
    with file_size_limit(written_bytes), pytest.raises(LogFullError):
        log.append(rows(1))

    assert list(folder.iterdir()) == []
    log.append(rows(2))
    assert all_numbers(log) == [2]


def test_a_folder_that_is_gone_refuses_until_it_is_back(log: SegmentLog, folder: Path) -> None:
    folder.rmdir()

    with pytest.raises(LogFullError, match="No such file"):
        log.append(rows(1))

    folder.mkdir()
    log.append(rows(2))
    assert all_numbers(log) == [2]


def fail_once(function: Callable[[int], None]) -> Callable[[int], None]:
    """Return the function as it is on a disk that fails once."""
    failures = iter([OSError(errno.EIO, os.strerror(errno.EIO))])

    def failing(descriptor: int) -> None:
        for failure in failures:
            raise failure
        function(descriptor)

    return failing


def test_rows_whose_sync_failed_are_refused_and_cut(
    log: SegmentLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(rows(1))
    monkeypatch.setattr(os, "fdatasync", fail_once(os.fdatasync))

    with pytest.raises(LogFullError, match="Input/output error"):
        log.append(rows(2))
    log.append(rows(3))

    assert all_numbers(log) == all_numbers(opened(folder)) == [1, 3]
    assert log.sealed() == [1]


WRITER = """
import sys, pyarrow as pa
from pathlib import Path
from collector.log import SegmentLog
from collector.log_budget import LogBudget
schema = pa.schema([("n", pa.int64())])
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
budget = LogBudget(folder, bytes_max=1 << 30)
log = SegmentLog(folder, schema, segment_bytes_max=5000, budget=budget)
log.recover(committed=0)
for number in range(10_000):
    log.append(pa.RecordBatch.from_pydict({"n": [number]}, schema=schema))
    print(number, flush=True)
"""


def test_after_a_kill_every_acknowledged_row_is_there_once_and_in_order(folder: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = -1
    while acknowledged < 200:
        acknowledged = int(writer.stdout.readline())
    writer.kill()
    acknowledged = int([str(acknowledged), *writer.stdout.read().split("\n")[:-1]][-1])
    writer.wait()

    found = all_numbers(opened(folder))

    assert found == list(range(len(found)))
    assert len(found) - 1 in (acknowledged, acknowledged + 1)
