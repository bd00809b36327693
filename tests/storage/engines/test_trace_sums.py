"""The sums beside a file: the same as those of its spans, whatever becomes of the file, and gone with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import TODAY, Parts, span_rows

from schemas.spans import SPANS
from storage.engines.file_bounds import Range
from storage.engines.trace_sums import TraceSums
from storage.hot import View
from storage.side_file import data_file_of, side_file
from storage.upkeep.forget import forget_customer
from storage.upkeep.rewrite import Rewriter

SUMS = """
SELECT
    trace_key::VARCHAR AS trace,
    session_id,
    min(start_us) AS start_us,
    max(last_us) AS last_us,
    max(end_us) AS end_us,
    sum(cost_pico)::VARCHAR AS cost_pico,
    sum(tokens)::VARCHAR AS tokens
FROM trace_sums
GROUP BY ALL
ORDER BY ALL
"""
ALWAYS = Range("start_time", None, None)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Two committed files and hot rows, with traces that are in all three."""
    made = Parts(tmp_path)
    exporter = made.exporter()
    exporter.start()
    for file in range(3):
        rows = [
            span_rows(
                100 * file + number,
                trace_id=f"{number % 7:032x}",
                session_id=f"session-{number % 7}",
                customer_id=f"customer-{number % 2}",
                start_time=TODAY + timedelta(minutes=number + file),
                duration_ns=None if number % 5 == 0 else number * 1_000_000,
                cost=None if number % 3 == 0 else 0.1 * number,
                total_tokens=None if number % 4 == 0 else number,
                is_inference=number % 6 != 0,
                project="p" if number % 7 else "other",
            )
            for number in range(30)
        ]
        exporter.consume("spans", pa.concat_batches(rows))
        if file < 2:
            exporter.flush()
    yield made
    exporter.stop()
    made.engine.close()


def sums(parts: Parts, *bounds: Range, project: str | None = "p") -> list[dict[str, Any]]:
    with parts.engine.session(project) as session:
        session.sums_within(*[[bound] for bound in bounds or (ALWAYS,)])
        found: list[dict[str, Any]] = session.query(SUMS).to_pylist()
        return found


def side_files(parts: Parts) -> list[Path]:
    return sorted(parts.data.lake.rglob("*.sums"))


def view(parts: Parts) -> View:
    return parts.hot.view(SPANS)


@pytest.mark.parametrize(
    "bounds",
    [
        (),
        (Range("start_time", TODAY + timedelta(minutes=4), None),),
        (Range("start_time", TODAY + timedelta(minutes=1), TODAY + timedelta(minutes=20)),),
        (Range("start_time", TODAY - timedelta(days=1), TODAY + timedelta(minutes=29)),),
    ],
)
@pytest.mark.parametrize("project", ["p", "other", None])
def test_sums_beside_a_file_are_those_of_its_spans(
    parts: Parts, bounds: tuple[Range, ...], project: str | None
) -> None:
    of_spans = sums(parts, *bounds, project=project)

    parts.keep_sums()

    assert len(side_files(parts)) == 2
    assert of_spans
    assert sums(parts, *bounds, project=project) == of_spans


def test_a_file_that_lies_within_is_not_opened(parts: Parts) -> None:
    parts.keep_sums()
    expected = sums(parts)
    for file in view(parts).files:
        Path(file).rename(f"{file}.away")

    found = sums(parts)

    assert found == expected


def test_what_has_come_after_the_first_page_is_in_no_sum(parts: Parts) -> None:
    received = [found.greatest for found in ranges(parts, "received_at")]
    until = Range("received_at", None, min(moment for moment in received if moment is not None))
    of_spans = sums(parts, until)

    parts.keep_sums()

    assert sums(parts, until) == of_spans != sums(parts)


def ranges(parts: Parts, column: str) -> list[Range]:
    with parts.engine.session(None) as session:
        return session.ranges(SPANS, column)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_side_file_that_is_gone_or_broken_is_made_anew(parts: Parts, damage: bytes | None) -> None:
    expected = sums(parts)
    parts.keep_sums()
    parts.engine.close()
    for side in side_files(parts):
        side.unlink() if damage is None else side.write_bytes(damage)
    parts.sums = None

    parts.keep_sums()

    assert sums(parts) == expected


def test_a_side_file_that_is_removed_while_it_is_known_is_done_without(parts: Parts) -> None:
    expected = sums(parts)
    parts.keep_sums()

    for side in side_files(parts):
        side.unlink()

    assert sums(parts) == expected


def test_who_is_forgotten_is_in_no_side_file(parts: Parts) -> None:
    parts.keep_sums()
    before = side_files(parts)

    forget_customer(Rewriter(parts.lake, threading.Event()), "p", "customer-1", lambda _: None)

    assert before
    assert side_files(parts) == []
    of_spans = sums(parts)
    parts.keep_sums()
    assert sums(parts) == of_spans
    assert all(data_file_of(side).exists() for side in side_files(parts))


def test_what_a_crash_has_left_is_removed(parts: Parts) -> None:
    gone = Path(view(parts).files[0]).with_name("part-gone.parquet")
    side_file(gone).write_bytes(b"of a file that is gone")

    parts.keep_sums()

    assert not side_file(gone).exists()


def test_small_files_have_none(parts: Parts) -> None:
    made = TraceSums(parts.data.lake / SPANS.name, rows_min=31)
    look_through(made, parts)
    made.close()

    assert made.files(view(parts)) == {}
    assert side_files(parts) == []


def look_through(made: TraceSums, parts: Parts) -> None:
    """Return when it has looked at all files, and is closed."""
    made.files(view(parts))
    deadline = time.monotonic() + 20
    while made._known.keys() != set(view(parts).files):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made.close()


def test_where_nothing_can_be_written_spans_are_read(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.engines.trace_sums.sync_file", full)
    made = TraceSums(parts.data.lake / SPANS.name, rows_min=1)
    look_through(made, parts)

    assert made.files(view(parts)) == {}
    assert side_files(parts) == []
