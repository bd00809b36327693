"""What is asked of results, and answers to another question."""

from __future__ import annotations

from datetime import UTC, datetime

from report_results import results

from analytics.client.question import Question

MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_key_is_one_part_of_the_path() -> None:
    assert Question("a/b?c").path == "/experiments/a%2Fb%3Fc/results"


def test_what_is_not_asked_is_not_sent() -> None:
    assert Question("a").parameters == {}
    assert Question("a", version=2, metrics="x,y").parameters == {"version": "2", "metrics": "x,y"}


def test_a_time_without_a_zone_is_utc() -> None:
    assert Question("a", as_of=MOMENT.replace(tzinfo=None)).parameters == {"as_of": "2026-11-21T12:00:00+00:00"}


def test_an_answer_of_another_time_is_not_taken() -> None:
    found = results()

    assert Question("a", as_of=MOMENT).unanswered(found) is None
    assert Question("a", as_of=MOMENT.replace(hour=11)).unanswered(found) == "as_of"


def test_an_answer_that_knows_no_segments_is_not_taken() -> None:
    assert Question("a", segment="customer").unanswered(results()) == "segment"
