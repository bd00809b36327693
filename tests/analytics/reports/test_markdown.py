"""Results as Markdown."""

from __future__ import annotations

from report_results import results, with_hostile_names, with_verdicts

from analytics.reports.markdown import markdown_of


def test_there_is_a_table_a_role() -> None:
    text = markdown_of(with_verdicts())

    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# support-bot",
        "## Primary",
        "## Guardrail",
        "## Secondary",
    ]
    assert "| latency\\_ms mean per call | control: 1,568 ms [1,274, 1,862] |" in text
    assert "| -12.0 % [-20.0, -4.0] % | 1.00 | ▲ better |" in text


def test_every_row_has_as_many_cells_as_the_head() -> None:
    rows = [line for line in markdown_of(with_hostile_names()).splitlines() if line.startswith("|")]

    assert {line.replace("\\|", "").count("|") for line in rows} == {7}
    assert len(rows) == len(results()["metrics"]) + 2 * 3


def test_hostile_names_are_text() -> None:
    text = markdown_of(with_hostile_names())

    assert "\x1b" not in text
    assert "<script>" not in text.replace("\\<", "")
