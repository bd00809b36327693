"""Results as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from report_results import HOSTILE, entry, results, with_hostile_names

from analytics.reports.columns import COLUMNS
from analytics.reports.csv_file import csv_of

PAGE = Path(__file__).parents[3] / "docs" / "reports.md"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_each_comparison_is_a_row_with_its_figures_in_full() -> None:
    found = results()
    latency = entry(found, "latency_ms")
    compared = latency["comparisons"][0]

    rows = rows_of(csv_of(found))

    assert len(rows) == sum(len(each["comparisons"]) for each in found["metrics"])
    first = rows[0]
    assert (first["metric"], first["role"], first["significant"]) == ("latency_ms", "primary", "false")
    assert [float(first[name]) for name in ("control_estimate", "variant_estimate")] == [
        arm["estimate"] for arm in latency["variants"]
    ]
    assert [float(first["lift_ci_low"]), float(first["lift_ci_high"])] == compared["lift"]["ci"]
    assert float(first["chance_to_beat"]) == compared["bayes"]["chance_to_beat"]
    assert first["margin"] == ""


def test_no_text_is_a_formula_and_a_negative_number_stays_one() -> None:
    rows = rows_of(csv_of(with_hostile_names()))

    assert rows[0]["experiment"].startswith("'=HYPERLINK")
    assert float(rows[0]["lift"]) < 0
    assert not [value for row in rows for value in row.values() if value[:1] in "=+@\t\r" and value]


def test_control_characters_are_escaped() -> None:
    text = csv_of(with_hostile_names())

    assert HOSTILE not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == len(rows_of(text)) + 1


def test_the_page_lists_the_columns() -> None:
    page = PAGE.read_text()

    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line.count("|") == 4]

    assert listed == [column.name for column in COLUMNS]
