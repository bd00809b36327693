"""Results by segment, as each form tells them."""

from __future__ import annotations

import csv
import io

from report_results import results, with_segments

from analytics.client.question import Question
from analytics.reports.comparisons import by_segment, compared
from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot
from analytics.reports.markdown import markdown_of


def test_segments_follow_the_whole_and_have_no_verdict() -> None:
    whole, found = compared(results()), compared(with_segments())

    assert [each.segment for each in found[: len(whole)]] == [None] * len(whole)
    assert [each.segment for each in found[len(whole) :]] == ["customer = acme"] * 2 + ["customer = the other 7"] * 2
    assert {each.verdict.word for each in found[len(whole) :]} == {"exploratory"}


def test_a_file_says_of_which_sessions_a_row_is() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(with_segments()), newline="")))

    assert [(row["segment"], row["role"], row["significant"]) for row in rows[-1:]] == [
        ("customer = the other 7", "", "")
    ]
    assert "## customer = acme" in markdown_of(with_segments())


def test_the_picture_is_of_the_whole() -> None:
    assert forest_plot(with_segments()) == forest_plot(results())


def test_results_without_segments_have_none() -> None:
    assert list(by_segment(results())) == []


def test_an_answer_by_segment_is_taken() -> None:
    assert Question("a", segment="customer").unanswered(with_segments()) is None
    assert Question("a", segment="model").unanswered(with_segments()) == "segment"
