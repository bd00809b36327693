"""The committer: what fails is tried again for as long as it takes, told, and in nobody's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts, exposure_rows, file_size_limit, span_rows

import collector.committer
from collector.accounting import RowCounts
from collector.component import LogFullError
from collector.exporters.lake import LakeExporter
from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from storage.errors import LakeError
from storage.lake import Lake


class FailingLake(Lake):
    """A lake whose commits to some tables fail, so many times."""

    def __init__(self, directory: Path, failures: dict[str, int], error: Exception | None = None) -> None:
        super().__init__(directory)
        self.failures = failures
        self.tries: list[float] = []
        self._error = error or LakeError("the disk is full")

    def commit(self, table: Table, rows: pa.Table, **options: Any) -> bool:
        if self.failures.get(table.name, 0):
            self.failures[table.name] -= 1
            self.tries.append(time.monotonic())
            raise self._error
        return super().commit(table, rows, **options)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "data")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector.committer, "RETRY_S_MIN", 0.01)
    monkeypatch.setattr(collector.committer, "RETRY_S_MAX", 0.1)


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_true()


def over(parts: Parts, lake: Lake, **options: Any) -> LakeExporter:
    exporter = parts.exporter(flush_interval_s=0.05, **options)
    exporter._lake = lake
    for committer in exporter._committers.values():
        committer._lake = lake
    return exporter


@pytest.mark.parametrize("failing", [SPANS, SESSION_ROLLUP], ids=lambda table: table.name)
@pytest.mark.parametrize(
    "error",
    [LakeError("no"), OSError(28, "No space left on device"), ZeroDivisionError()],
    ids=lambda e: type(e).__name__,
)
def test_a_commit_that_fails_ten_times_is_made_in_the_end_once_and_meanwhile_its_rows_are_seen(
    parts: Parts, caplog: pytest.LogCaptureFixture, failing: Table, error: Exception
) -> None:
    lake = FailingLake(parts.data.lake, {failing.name: 10}, error)
    exporter = over(parts, lake)
    exporter.start()
    exporter.consume("spans", span_rows(1, 2, 3))
    counts = set()
    while lake.failures[failing.name]:
        counts.add(parts.counts())
    assert eventually(lambda: parts.segments() == [])

    assert counts == {(3, 3)}
    assert parts.counts() == (3, 3)
    assert exporter.accounting()["spans"] == RowCounts(accepted=3, committed=3)
    assert len(parts.lake.snapshot(SPANS, parts.writer_id).files) == 1
    told = [record.message for record in caplog.records if "is not committed" in record.message]
    assert len(told) == 10
    assert "Failing for 0 s, 1 times" in told[0]
    assert "10 times; next try in 0.1 s" in told[9]
    exporter.stop()


def test_tries_come_ever_more_seldom_up_to_a_limit(parts: Parts) -> None:
    lake = FailingLake(parts.data.lake, {"spans": 8})
    exporter = over(parts, lake)
    exporter.start()
    exporter.consume("spans", span_rows(1))
    assert eventually(lambda: parts.segments() == [])
    exporter.stop()

    pauses = [later - earlier for earlier, later in zip(lake.tries, lake.tries[1:], strict=False)]
    assert all(pause >= least for pause, least in zip(pauses, [0.01, 0.02, 0.04, 0.08, 0.1, 0.1, 0.1], strict=True))


def test_rows_that_come_meanwhile_do_not_hasten_the_next_try(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector.committer, "RETRY_S_MIN", 60)
    monkeypatch.setattr(collector.committer, "RETRY_S_MAX", 60)
    lake = FailingLake(parts.data.lake, {"spans": 1000})
    exporter = over(parts, lake, segment_bytes_max=1)
    exporter.start()
    for number in range(20):
        exporter.consume("spans", span_rows(number))
        time.sleep(0.01)

    assert len(lake.tries) == 1
    lake.failures.clear()
    exporter.stop()
    assert parts.counts() == (20, 20)


def test_other_tables_are_committed_while_one_fails(parts: Parts) -> None:
    lake = FailingLake(parts.data.lake, {"spans": 10**9})
    exporter = over(parts, lake)
    exporter.start()
    exporter.consume("spans", span_rows(1))
    exporter.consume("exposures", exposure_rows(1))

    # The commit is in the table a moment before it is noted.
    assert eventually(lambda: exporter.status()["tables"]["exposures"]["commits"]["last_lag_s"] > 0)
    assert parts.lake.snapshot(EXPOSURES, "").files != ()
    status = exporter.status()["tables"]
    assert status["spans"]["commits"]["failures"] > 0
    assert status["spans"]["commits"]["last_error"] == "the disk is full"
    assert status["spans"]["commits"]["failing_for_s"] > 0
    assert status["exposures"]["commits"]["failures"] == 0
    lake.failures.clear()
    exporter.stop()
    assert exporter.is_drained


def test_while_commits_fail_the_active_segment_grows_instead_of_becoming_many(parts: Parts) -> None:
    lake = FailingLake(parts.data.lake, {"spans": 10**9})
    exporter = over(parts, lake)
    exporter.start()
    exporter.consume("spans", span_rows(0))
    assert eventually(lambda: len(lake.tries) > 3)
    for number in range(1, 10):
        exporter.consume("spans", span_rows(number))
        time.sleep(0.06)

    assert len(parts.segments()) == 2
    lake.failures.clear()
    exporter.stop()
    assert parts.counts() == (10, 10)


def test_commits_that_fall_behind_refuse_new_rows_and_drop_none(parts: Parts) -> None:
    lake = FailingLake(parts.data.lake, {"spans": 10**9})
    exporter = over(parts, lake, log_bytes_max=200_000)
    exporter.start()
    acknowledged = 0
    while exporter.status()["log_bytes"] < 190_000:
        exporter.consume("spans", span_rows(acknowledged))
        acknowledged += 1
    with pytest.raises(LogFullError, match="not yet committed, its limit is 200000"):
        exporter.consume("spans", span_rows(*range(acknowledged, acknowledged + 100)))
    assert parts.counts() == (acknowledged, acknowledged)

    lake.failures.clear()
    assert eventually(lambda: exporter.status()["log_bytes"] == 0)
    exporter.consume("spans", span_rows(5000))
    exporter.stop()

    assert parts.counts() == (acknowledged + 1, acknowledged + 1)


def test_rows_of_a_damaged_frame_are_counted_as_quarantined_and_the_rest_is_committed(parts: Parts) -> None:
    exporter = parts.exporter()
    exporter.start()
    sizes = []
    for number in range(3):
        exporter.consume("spans", span_rows(3 * number, 3 * number + 1, 3 * number + 2))
        (segment,) = (parts.data.log / "spans").iterdir()
        sizes.append(segment.stat().st_size)
    with segment.open("r+b") as file:
        file.seek(sizes[1] - 50)
        byte = file.read(1)[0]
        file.seek(sizes[1] - 50)
        file.write(bytes([byte ^ 1]))
    exporter.stop()

    assert exporter.accounting()["spans"] == RowCounts(accepted=9, committed=6, quarantined=3)
    assert exporter.status()["tables"]["spans"]["log"]["quarantined_bytes"] == sizes[1] - sizes[0]
    assert parts.counts() == (6, 6)


def test_the_books_balance_at_every_moment(parts: Parts) -> None:
    before = parts.exporter()
    before.start()
    before.consume("spans", span_rows(-1 % 2**32, -2 % 2**32))
    for committer in before._committers.values():
        committer.stop()
    lake = FailingLake(parts.data.lake, {"spans": 3})
    exporter = over(parts, lake, segment_bytes_max=30_000)
    exporter.start()
    stopping = threading.Event()
    unbalanced: list[RowCounts] = []
    seen: set[RowCounts] = set()

    def poll() -> None:
        while not stopping.is_set():
            counts = exporter.accounting()["spans"]
            seen.add(counts)
            if not counts.is_balanced or min(counts.in_log, counts.committed) < 0:
                unbalanced.append(counts)

    poller = threading.Thread(target=poll)
    poller.start()
    acknowledged = refused = 0
    for number in range(200):
        rows = span_rows(number, number + 1, number + 1)
        with file_size_limit(0 if number % 20 == 0 else 1 << 40):
            try:
                exporter.consume("spans", rows)
                acknowledged += rows.num_rows
            except LogFullError:
                refused += 1
    exporter.stop()
    stopping.set()
    poller.join()

    logging.getLogger(__name__).info("%d states were seen", len(seen))
    assert unbalanced == []
    assert refused == 10
    assert len(seen) > 20
    counts = exporter.accounting()["spans"]
    assert (counts.accepted, counts.recovered, counts.in_log) == (acknowledged, 2, 0)
    assert parts.counts() == (counts.committed, counts.committed)
