"""Sessions of queries: narrowed to a time, with a deadline, over rows of the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import Parts, span_rows

from schemas.spans import SPANS
from storage.engines.file_bounds import Range
from storage.errors import QueryError, QueryTimeoutError

COUNT = "SELECT count(*) AS n FROM spans"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return BEGIN + timedelta(days=number)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """A lake of a span a day and a file, for three days, and a fourth that is hot."""
    made = Parts(tmp_path)
    exporter = made.exporter()
    exporter.start()
    for number in range(4):
        if number:
            exporter.flush()
        exporter.consume("spans", span_rows(number, start_time=day(number), date=day(number).date()))
    yield made
    exporter.stop()
    made.engine.close()


def count(parts: Parts, least: datetime | None, greatest: datetime | None) -> int:
    with parts.engine.session("p") as session:
        session.narrow(SPANS, "start_time", least, greatest)
        return int(session.query(COUNT)["n"][0].as_py())


def test_a_narrowed_table_has_the_rows_of_its_time(parts: Parts) -> None:
    assert count(parts, None, None) == 4
    assert count(parts, day(1), day(2)) == 2
    assert count(parts, day(1) + timedelta(microseconds=1), None) == 2
    assert count(parts, None, day(0) - timedelta(microseconds=1)) == 0
    assert count(parts, day(3), None) == 1


def test_a_session_can_be_narrowed_anew(parts: Parts) -> None:
    with parts.engine.session("p") as session:
        found = []
        for number in range(4):
            session.narrow(SPANS, "start_time", day(number), day(number))
            found.append(session.query("SELECT trace_id FROM spans")["trace_id"].to_pylist())

    assert found == [[f"{number:032x}"] for number in range(4)]


def test_no_file_of_another_time_is_opened(parts: Parts) -> None:
    for file in parts.hot.view(SPANS).files:
        if "2026-03-02" not in file:
            Path(file).unlink()

    assert count(parts, day(1), day(1)) == 1
    with pytest.raises(QueryError):
        count(parts, None, None)


def test_ranges_are_those_of_the_files_and_of_the_hot_rows(parts: Parts) -> None:
    with parts.engine.session("p") as session:
        found = session.ranges(SPANS, "start_time")

    assert [(known.least, known.greatest) for known in found] == [(day(number), day(number)) for number in range(4)]


def test_a_deadline_stops_a_query_and_leaves_the_session_usable(parts: Parts) -> None:
    with parts.engine.session("p") as session:
        with pytest.raises(QueryTimeoutError, match=r"0\.2 s"), session.deadline(0.2):
            session.query("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b, spans")
        with session.deadline(20):
            assert session.query(COUNT)["n"][0].as_py() == 4


def test_a_fault_within_a_deadline_is_no_timeout(parts: Parts) -> None:
    with parts.engine.session("p") as session, session.deadline(20), pytest.raises(QueryError) as raised:
        session.query("SELECT nothing FROM spans")

    assert not isinstance(raised.value, QueryTimeoutError)


def test_rows_of_the_callers_are_asked_beside_the_tables(parts: Parts) -> None:
    rows = pa.table({"trace_id": [f"{1:032x}", "other"]})
    with parts.engine.session("p") as session:
        alone = session.query_with({"mine": rows}, "SELECT count(*) AS n FROM mine")
        beside = session.query_with({"mine": rows}, "SELECT count(*) AS n FROM mine JOIN spans USING (trace_id)")

    assert (alone["n"][0].as_py(), beside["n"][0].as_py()) == (2, 1)


def test_of_some_ranges_a_row_is_in_one_or_near_it(parts: Parts) -> None:
    with parts.engine.session("p") as session:
        session.within(SPANS, [Range("start_time", day(number), day(number)) for number in (0, 2)])
        found = session.query("SELECT trace_id FROM spans ORDER BY ALL")["trace_id"].to_pylist()

    assert found == [f"{number:032x}" for number in (0, 2)]


def test_bounds_of_two_columns_hold_together(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    exporter.start()
    # A file that lies within, one of which a part does, one that does not, and hot rows.
    for numbers in ((0, 1), (2, 3), (4, 5), (6,)):
        exporter.flush()
        for number in numbers:
            times = {"start_time": day(number), "received_at": day(10 - number)}
            exporter.consume("spans", span_rows(number, date=day(0).date(), **times))
    with parts.engine.session("p") as session:
        session.within(SPANS, [Range("start_time", None, day(5))], [Range("received_at", day(8), None)])
        committed = session.query("SELECT trace_id FROM spans ORDER BY ALL")["trace_id"].to_pylist()
        session.within(SPANS, [Range("start_time", day(3), None)], [Range("received_at", None, day(6))])
        later = session.query("SELECT trace_id FROM spans ORDER BY ALL")["trace_id"].to_pylist()
    exporter.stop()
    parts.engine.close()

    assert committed == [f"{number:032x}" for number in (0, 1, 2)]
    assert later == [f"{number:032x}" for number in (4, 5, 6)]
