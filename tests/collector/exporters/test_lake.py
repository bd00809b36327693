"""The lake exporter: each acknowledged row is on disk, visible once, and committed once, whatever ends the process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts, crash, exposure_rows, file_size_limit, span_rows

from collector import exporters
from collector.committer import Committer
from collector.component import LogFullError
from collector.window import RecentRows, SpanWindow
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.engines.duckdb import DuckDBEngine
from storage.hot import HotRows
from storage.lake import Lake
from storage.recent_spans import recent_rows
from storage.upkeep.compaction import merge
from storage.upkeep.rewrite import Rewriter

ROOT = Path(__file__).parents[3]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "data")


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_true()


def test_rows_are_visible_when_consume_returns_and_committed_when_stop_does(parts: Parts) -> None:
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(1, 2))
    exporter.consume("exposures", exposure_rows(1))

    assert parts.counts() == (2, 2)
    assert parts.lake.snapshot(SPANS, "").files == ()
    exporter.stop()
    assert parts.counts() == (2, 2)
    assert parts.count(EXPOSURES) == 1
    assert parts.segments() == []
    assert parts.lake.committed_segment(SPANS, parts.writer_id) == 1


def test_rows_are_committed_within_the_interval(parts: Parts) -> None:
    exporter = parts.exporter(flush_interval_s=0.05)
    exporter.start()
    exporter.consume("spans", span_rows(1))

    assert eventually(lambda: parts.segments() == [])
    assert parts.counts() == (1, 1)
    exporter.stop()


def test_stopping_is_safe_twice_and_without_a_start(parts: Parts) -> None:
    exporter = parts.exporter()

    exporter.stop()
    exporter.start()
    exporter.consume("spans", span_rows(1))
    exporter.stop()
    exporter.stop()

    assert parts.counts() == (1, 1)


def test_a_crash_before_any_commit_is_replayed(parts: Parts) -> None:
    first = parts.exporter()
    first.start()
    first.consume("spans", span_rows(1, 2))
    first.consume("exposures", exposure_rows(1))
    crash(first)

    second = parts.exporter()
    second.start()

    assert parts.counts() == (2, 2)
    second.stop()
    assert parts.counts() == (2, 2)
    assert parts.count(EXPOSURES) == 1
    assert parts.segments() == []


def test_a_crash_between_the_commits_of_spans_and_of_their_rollup_is_repaired(parts: Parts) -> None:
    log = parts.log(SPANS)
    log.append(span_rows(1, 2, 3))
    log.seal()
    parts.lake.commit(SPANS, log.rows(1), writer_id=parts.writer_id, segment=1)

    assert parts.counts() == (3, 3)
    exporter = parts.exporter()
    exporter.start()
    assert parts.counts() == (3, 3)
    exporter.stop()

    assert parts.counts() == (3, 3)
    assert parts.lake.committed_segment(SESSION_ROLLUP, parts.writer_id) == 1
    assert len(parts.lake.snapshot(SPANS, parts.writer_id).files) == 1
    assert parts.segments() == []


def test_a_crash_between_the_last_commit_and_the_removal_is_repaired(parts: Parts) -> None:
    first = parts.exporter()
    first.start()
    first.consume("spans", span_rows(1))
    (segment,) = (parts.data.log / "spans").iterdir()
    data = segment.read_bytes()
    first.stop()
    segment.write_bytes(data)

    second = parts.exporter()
    second.start()
    second.consume("spans", span_rows(2))
    second.stop()

    assert parts.counts() == (2, 2)
    assert parts.lake.committed_segment(SPANS, parts.writer_id) == 2


def test_segments_are_numbered_on_after_a_restart(parts: Parts) -> None:
    for number in range(3):
        exporter = parts.exporter()
        exporter.start()
        exporter.consume("spans", span_rows(number))
        exporter.stop()

    assert parts.counts() == (3, 3)
    assert parts.lake.committed_segment(SPANS, parts.writer_id) == 3


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, "tests")
from lake_parts import Parts, span_rows
parts = Parts(Path(sys.argv[1]))
exporter = parts.exporter(flush_interval_s=0.02, segment_bytes_max=20_000)
exporter.start()
for number in range(60):
    exporter.consume("spans", span_rows(number))
    print(number, flush=True)
os._exit(1)
"""


def test_after_a_kill_every_acknowledged_span_is_there_once_and_sent_again_still_is(parts: Parts) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(parts.data.path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert killed.stdout.split() == [str(number) for number in range(60)], killed.stderr

    exporter = parts.exporter()
    exporter.start()
    assert parts.counts() == (60, 60)
    exporter.consume("spans", span_rows(*range(70)))
    exporter.stop()

    assert parts.counts() == (70, 70)
    assert parts.count(SPANS, "count(DISTINCT span_id)") == 70


def test_spans_sent_twice_in_a_batch_across_batches_and_after_a_restart_are_stored_once(parts: Parts) -> None:
    first = parts.exporter()
    first.start()
    first.consume("spans", span_rows(1, 1, 2))
    first.consume("spans", span_rows(2, 3))
    assert parts.counts() == (3, 3)
    first.stop()

    second = parts.exporter()
    second.start()
    second.consume("spans", span_rows(1, 2, 3, 4))
    assert parts.counts() == (4, 4)
    crash(second)

    third = parts.exporter()
    third.start()
    third.consume("spans", span_rows(4))
    third.stop()

    assert parts.counts() == (4, 4)


def test_the_same_span_of_two_projects_is_two(parts: Parts) -> None:
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(1, project="a"))
    exporter.consume("spans", span_rows(1, project="b"))
    exporter.stop()

    assert parts.counts() == (2, 2)


def test_metrics_are_never_taken_for_sent_again(parts: Parts) -> None:
    metric = pa.RecordBatch.from_pylist([{"project": "p", "name": "m"}], schema=METRICS.schema)
    exporter = parts.exporter()
    exporter.start()
    for _ in range(2):
        exporter.consume("metrics", metric)
    exporter.stop()

    assert parts.count(METRICS) == 2


def exposure(**columns: Any) -> pa.RecordBatch:
    row = {"project": "p", "config_key": "c", "session_id": "s", "content_hash": 1} | columns
    return pa.RecordBatch.from_pylist([row], schema=EXPOSURES.schema)


def recent_exposures(parts: Parts) -> dict[str, RecentRows]:
    window = SpanWindow(100, EXPOSURES.identity)
    return {"exposures": RecentRows(window, lambda: recent_rows(parts.engine, EXPOSURES, 100))}


def test_an_exposure_that_says_the_same_again_is_stored_once_and_counted(parts: Parts) -> None:
    exporter = parts.exporter(recent_others=recent_exposures(parts))
    exporter.start()
    stored = [exporter.consume("exposures", exposure()) for _ in range(3)]
    rows = exporter.status()["tables"]["exposures"]["rows"]
    exporter.stop()

    assert stored == [1, 0, 0]
    assert parts.count(EXPOSURES) == 1
    assert (rows["accepted"], rows["deduplicated"]) == (3, 2)


@pytest.mark.parametrize(
    "changes", [{"project": "q"}, {"config_key": "d"}, {"session_id": "t"}, {"content_hash": 2}], ids=str
)
def test_an_exposure_that_says_something_else_is_another(parts: Parts, changes: dict[str, Any]) -> None:
    exporter = parts.exporter(recent_others=recent_exposures(parts))
    exporter.start()
    exporter.consume("exposures", exposure())
    exporter.consume("exposures", exposure(**changes))
    exporter.stop()

    assert parts.count(EXPOSURES) == 2


def test_an_exposure_that_comes_again_after_a_restart_is_recognised(parts: Parts) -> None:
    for _ in range(2):
        exporter = parts.exporter(recent_others=recent_exposures(parts))
        exporter.start()
        exporter.consume("exposures", exposure(received_at=datetime.now(UTC)))
        exporter.stop()

    assert parts.count(EXPOSURES) == 1


def test_an_exposure_that_is_not_recognised_is_merged_with_the_first(parts: Parts) -> None:
    for _ in range(2):
        exporter = parts.exporter()
        exporter.start()
        exporter.consume("exposures", exposure())
        exporter.stop()
    twice = parts.count(EXPOSURES)

    rewriter = Rewriter(parts.lake, threading.Event())
    merge(rewriter, EXPOSURES, rewriter.files(EXPOSURES), datetime.now(UTC))

    assert (twice, parts.count(EXPOSURES)) == (2, 1)


def test_spans_whose_append_failed_are_not_taken_for_sent_again(parts: Parts) -> None:
    exporter = parts.exporter()
    exporter.start()
    with file_size_limit(0), pytest.raises(LogFullError):
        exporter.consume("spans", span_rows(1))

    assert parts.counts() == (0, 0)
    exporter.consume("spans", span_rows(1))

    assert parts.counts() == (1, 1)
    exporter.stop()


def test_a_log_that_is_full_takes_rows_again_once_it_is_committed(parts: Parts) -> None:
    exporter = parts.exporter(log_bytes_max=25_000)
    exporter.start()
    exporter.consume("spans", span_rows(1))
    with pytest.raises(LogFullError, match="its limit is"):
        exporter.consume("spans", span_rows(*range(10, 500)))

    exporter.flush()
    exporter.consume("spans", span_rows(2))
    exporter.stop()

    assert parts.counts() == (2, 2)


def test_while_commits_are_slow_answers_come_later_and_while_they_fail_they_do_not(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each batch is a segment, and none is committed before it is told.
    exporter = parts.exporter(segment_bytes_max=1)
    monkeypatch.setattr(Committer, "wake", lambda committer: None)
    exporter.start()
    waits_s: list[float] = []
    monkeypatch.setattr(exporters.lake.time, "sleep", waits_s.append)
    for number in range(20):
        exporter.consume("spans", span_rows(number))

    free = exporters.lake.PACED_FROM_SEGMENTS
    assert len(waits_s) == 20 - free
    assert waits_s == sorted(waits_s)
    assert 0 < waits_s[0] < waits_s[-1] == exporters.lake.PACE_S_MAX

    log = parts.data.lake / "spans" / "_delta_log"
    log.rename(log.with_name("away"))
    exporter.flush()
    exporter.consume("spans", span_rows(100))
    assert len(waits_s) == 20 - free
    log.with_name("away").rename(log)
    exporter.stop()
    assert parts.counts() == (21, 21)


def test_while_the_lake_can_t_be_written_rows_stay_visible_and_are_committed_later(parts: Parts) -> None:
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(1))
    exporter.consume("exposures", exposure_rows(1))
    log = parts.data.lake / "spans" / "_delta_log"
    log.rename(log.with_name("away"))

    exporter.flush()
    log.with_name("away").rename(log)

    assert parts.count(EXPOSURES) == 1
    assert len(parts.lake.snapshot(EXPOSURES, "").files) == 1
    assert parts.counts() == (1, 1)
    exporter.stop()
    assert parts.segments() == []
    assert parts.counts() == (1, 1)


def test_a_damaged_frame_is_set_aside_and_the_rest_is_committed(parts: Parts) -> None:
    log = parts.log(SPANS)
    sizes = []
    for number in range(3):
        log.append(span_rows(number))
        (segment,) = (parts.data.log / "spans").iterdir()
        sizes.append(segment.stat().st_size)
    data = bytearray(segment.read_bytes())
    data[sizes[1] - 100] ^= 1
    segment.write_bytes(data)

    exporter = parts.exporter()
    exporter.start()
    exporter.stop()

    (aside,) = (parts.data.log / "quarantine").iterdir()
    assert aside.read_bytes() == data[sizes[0] : sizes[1]]
    assert parts.counts() == (2, 2)


def test_a_reader_beside_the_committer_never_sees_a_row_twice_or_misses_one(parts: Parts) -> None:
    exporter = parts.exporter(flush_interval_s=0.01, segment_bytes_max=60_000, window=SpanWindow(0))
    exporter.start()
    lake = Lake(parts.data.lake)
    engine = DuckDBEngine(lake, HotRows(parts.data.log, lake, parts.writer_id))
    begun = acknowledged = 0
    observations: list[tuple[int, int, int, int]] = []
    stopping = threading.Event()

    def hammer() -> None:
        while not stopping.is_set():
            low = acknowledged
            (row,) = engine.query(
                "SELECT count(*) AS n, count(DISTINCT span_id) AS ids, "
                "(SELECT coalesce(sum(calls), 0)::BIGINT FROM session_rollup) AS calls FROM spans",
                project="p",
            ).to_pylist()
            observations.append((low, row["n"], row["ids"], begun))
            assert low <= row["calls"] <= begun

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            hammer()
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=guarded)
    reader.start()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        begun += 5
        exporter.consume("spans", span_rows(*range(begun - 5, begun)))
        acknowledged = begun
        time.sleep(0.01)
    stopping.set()
    reader.join()
    exporter.stop()

    assert not failures
    assert len(observations) > 5
    assert all(low <= n <= high and n == ids for low, n, ids, high in observations)
    assert [n for _, n, _, _ in observations] == sorted(n for _, n, _, _ in observations)
    assert parts.counts() == (begun, begun)
    assert parts.lake.committed_segment(SPANS, parts.writer_id) > 3
