"""The spans received lately: the latest first, hot and committed, whatever the clock did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import Parts, span_rows

from schemas.spans import SPANS
from storage.recent_spans import recent_spans


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "data")


def commit(parts: Parts, segment: int, *batches: pa.RecordBatch) -> None:
    parts.lake.commit(SPANS, pa.Table.from_batches(batches), writer_id=parts.writer_id, segment=segment)


def latest(parts: Parts, spans_max: int = 100) -> list[int]:
    found: list[int] = recent_spans(parts.engine, spans_max)["content_hash"].to_pylist()
    return found


def received(number: int, ago: timedelta = timedelta(0)) -> pa.RecordBatch:
    return span_rows(number, received_at=datetime.now(UTC) - ago)


def test_without_spans_there_are_none(parts: Parts) -> None:
    assert latest(parts) == []


def test_the_latest_come_first_of_the_log_and_of_the_lake(parts: Parts) -> None:
    log = parts.log(SPANS)
    log.recover(committed=1)
    commit(parts, 1, *(received(number, timedelta(seconds=10 - number)) for number in (3, 1, 2)))
    log.append(received(4))

    assert latest(parts) == [4, 3, 2, 1]
    assert latest(parts, 2) == [4, 3]


def test_long_past_spans_are_left_out(parts: Parts) -> None:
    commit(parts, 1, received(1, timedelta(hours=1)), received(2))

    assert latest(parts) == [2]


@pytest.mark.parametrize("shift", [timedelta(days=-30), timedelta(minutes=10), timedelta(days=30)], ids=str)
def test_spans_received_under_a_clock_that_was_wrong_are_found(parts: Parts, shift: timedelta) -> None:
    """As after the clock was set ahead (the spans look old), or back (they come from the future)."""
    commit(parts, 1, received(1, -shift), received(2, -shift))

    assert sorted(latest(parts)) == [1, 2]


def test_a_receipt_of_a_far_future_does_not_hide_those_of_now(parts: Parts) -> None:
    commit(parts, 1, received(1, -timedelta(days=4000)), received(2))

    assert latest(parts) == [1, 2]
