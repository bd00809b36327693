"""A moment in a query is a time, in UTC where it names no zone; a short number is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.api.problems import problems_of
from schemas.api.query_moment import Moment

MOMENT = TypeAdapter(Moment)
NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T09:00:00Z",
        "2026-11-21T09:00:00",
        "2026-11-21 09:00",
        "1795251600",
        "2026-11-21T10:00:00+01:00",
        # As a plus arrives that was not escaped in the URL.
        "2026-11-21T10:00:00.000000 01:00",
        " 2026-11-21T09:00:00+00:00 ",
    ],
)
def test_a_time_is_one(text: str) -> None:
    assert MOMENT.validate_python(text) == NINE
    assert MOMENT.validate_python(text).tzinfo == UTC


def test_a_day_is_its_beginning() -> None:
    assert MOMENT.validate_python("2026-11-21") == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_time_that_is_one_already_stays() -> None:
    assert MOMENT.validate_python(NINE.astimezone(timezone(timedelta(hours=2)))) == NINE


@pytest.mark.parametrize(
    "text", ["", "2026", "1", "176400000", "17640000000", "yesterday", "2026-13-01", "2026-11-21T25:00:00Z"]
)
def test_what_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MOMENT.validate_python(text)

    (problem,) = problems_of(caught.value.errors())
    assert str(problem) == f"must be a time such as 2026-11-21T09:00:00Z, got {text!r}"


def test_a_time_beyond_the_years_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        MOMENT.validate_python("0001-01-01T00:00:00+05:00")

    (problem,) = problems_of(caught.value.errors())
    assert "a time in the years 1 to 9999 expected, got " in str(problem)
