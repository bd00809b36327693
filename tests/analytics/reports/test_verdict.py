"""What a comparison says, in a word."""

from __future__ import annotations

from typing import Any

import pytest
from report_results import entry, results

from analytics.reports.comparisons import compared
from analytics.reports.verdict import verdict_of


def word(direction: str = "lower_is_better", *, allowed: bool = True, **changes: Any) -> str:
    comparison = {
        "status": "ok",
        "significant": True,
        "enough_data": True,
        "coverage_comparable": True,
        "non_inferiority": None,
        "difference": {"estimate": -1.0},
    }
    return verdict_of({"direction": direction}, comparison | changes, allowed=allowed).word


@pytest.mark.parametrize(
    ("direction", "difference", "expected"),
    [
        ("lower_is_better", -1.0, "better"),
        ("lower_is_better", 1.0, "worse"),
        ("higher_is_better", 1.0, "better"),
        ("higher_is_better", -1.0, "worse"),
        ("neutral", 1.0, "no direction"),
    ],
)
def test_the_direction_says_what_is_better(direction: str, difference: float, expected: str) -> None:
    assert word(direction, difference={"estimate": difference}) == expected


def test_what_is_not_significant_is_undecided() -> None:
    assert word(significant=False) == "undecided"


@pytest.mark.parametrize(
    ("guarded", "expected"), [("pass", "holds"), ("fail", "breached"), ("inconclusive", "undecided")]
)
def test_a_guardrail_holds_or_is_breached(guarded: str, expected: str) -> None:
    assert word(significant=False, non_inferiority={"verdict": guarded}) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"enough_data": False}, "too few sessions"),
        ({"coverage_comparable": False}, "coverage differs"),
        ({"status": "no_data"}, "no data"),
        ({"status": "insufficient_data"}, "too few data"),
        ({"status": "zero_variance"}, "no variation"),
    ],
)
def test_without_a_base_there_is_no_verdict(changes: dict[str, Any], expected: str) -> None:
    assert word(**changes, non_inferiority={"verdict": "fail"}) == expected


@pytest.mark.parametrize("action", ["invalid", None])
def test_what_allows_no_conclusion_has_no_verdicts(action: str | None) -> None:
    found = results()
    found["recommendation"]["action"] = action
    entry(found, "latency_ms")["comparisons"][0]["significant"] = True

    words = {each.verdict.word for each in compared(found)}

    assert words == {"no verdict", "no variation"}
