"""Files that can't have what a user's statement asks for are not opened; whatever is not known for sure is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from lake_parts import Parts, span_rows

from schemas.spans import SPANS
from storage.engines.file_bounds import Range, bounds_of, may_have, time_range
from storage.errors import QueryError

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """A lake of a file a day, the first of which has rows of another project, the last of another config."""
    made = Parts(tmp_path)
    exporter = made.exporter()
    exporter.start()
    for number, columns in enumerate(({"project": "q"}, {}, {}, {"config_key": "z"})):
        start = BEGIN + timedelta(days=number)
        exporter.consume("spans", span_rows(number, **{"start_time": start, "date": start.date()} | columns))
        exporter.flush()
    yield made
    exporter.stop()
    made.engine.close()


def ask(parts: Parts, condition: str) -> int:
    statement = f"SELECT count(*) AS n FROM spans WHERE {condition}"
    answer = parts.engine.query_untrusted(statement, project="p", timeout_s=60, rows_max=10, bytes_max=10_000)
    return int(answer.rows["n"][0].as_py())


def test_only_files_that_may_have_an_answers_rows_are_opened(parts: Parts) -> None:
    conditions = {
        "true": 3,
        "start_time >= '2026-03-02' AND start_time < '2026-03-03'": 1,
        "start_time = TIMESTAMPTZ '2026-03-03 00:00:00+00'": 1,
        "start_time > TIMESTAMPTZ '2026-03-04 00:00:00+00'": 0,
        "start_time >= TIMESTAMPTZ '2026-03-04 00:00:00+00'": 1,
        "date = '2026-03-03'": 1,
        "config_key = 'config'": 2,
        "config_key > 'config'": 1,
    }
    assert {condition: ask(parts, condition) for condition in conditions} == conditions

    for file in parts.hot.view(SPANS).files:
        if "2026-03-02" not in file:
            Path(file).unlink()

    assert ask(parts, "start_time >= '2026-03-02' AND start_time < '2026-03-03'") == 1
    assert ask(parts, "date = '2026-03-02'") == 1
    with pytest.raises(QueryError):
        ask(parts, "true")


def test_the_files_of_other_projects_are_not_opened(parts: Parts) -> None:
    (other,) = [file for file in parts.hot.view(SPANS).files if "2026-03-01" in file]
    Path(other).unlink()

    assert ask(parts, "true") == 3


def statistics(least: Any, greatest: Any, nulls: Any = 0, column: str = "start_time") -> str:
    document = {"minValues": {column: least}, "maxValues": {column: greatest}, "nullCount": {column: nulls}}
    return orjson.dumps(document).decode()


def test_the_greatest_time_may_have_been_cut_down_to_milliseconds() -> None:
    ((column, least, greatest),) = bounds_of(statistics("2026-03-01T00:00:00.000Z", "2026-03-01T01:00:00.123Z"))

    assert column == "start_time"
    assert datetime.fromisoformat(least) == BEGIN
    assert datetime.fromisoformat(greatest) >= BEGIN + timedelta(hours=1, microseconds=123_999)


@pytest.mark.parametrize(
    ("greatest", "last"),
    [
        ("2026-03-01T01:00:00.123Z", timedelta(hours=1, milliseconds=124)),
        ("2026-03-01T01:00:00Z", timedelta(hours=1, milliseconds=1)),
        ("2026-03-01T01:00:00.123456Z", timedelta(hours=1, microseconds=123_456)),
    ],
)
def test_a_range_ends_no_earlier_than_its_file(greatest: str, last: timedelta) -> None:
    found = time_range(statistics("2026-03-01T00:00:00.000Z", greatest), "start_time")

    assert found == Range("start_time", BEGIN, BEGIN + last)


@pytest.mark.parametrize(
    "known",
    [
        "",
        "{}",
        "[]",
        "nonsense",
        '{"minValues": 7, "maxValues": []}',
        statistics("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", nulls=1),
        statistics("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", nulls=None),
        statistics("2026-03-01T00:00:00", "2026-03-02T00:00:00"),
        statistics("soon", "late"),
        statistics(7, 9),
        statistics("2026-03-01T00:00:00Z", None),
        statistics("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_what_is_not_known_for_sure_bounds_nothing(known: str) -> None:
    assert bounds_of(known) == ()
    assert may_have(known, "config_key", "any")


@pytest.mark.parametrize(
    "known", ["", "[]", statistics("2026-03-01T00:00:00", "2026-03-02T00:00:00"), statistics(7, 9)]
)
def test_a_time_that_is_not_known_has_no_end(known: str) -> None:
    assert time_range(known, "start_time") == Range("start_time", None, None)


def test_texts_are_compared_as_they_are_stored() -> None:
    known = statistics("a", "\uffff", column="config_key")

    assert may_have(known, "config_key", "\ue000")
    # Its UTF-16 comes before that of the greatest, its UTF-8 after.
    assert not may_have(known, "config_key", "\U0001f600")
