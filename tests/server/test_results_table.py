"""The table of ``fallom-server results``, at fixed widths, as text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from report_results import results, with_hostile_names, with_segments, with_three_arms, with_verdicts
from rich.console import Console

from server.results_table import report

SNAPSHOTS = Path(__file__).parent / "results_tables"


def shown(found: dict[str, Any], width: int, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False, **options)
    console.print(report(found, console))
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


@pytest.mark.parametrize("width", [170, 120, 60])
def test_the_table_is_as_it_was(width: int) -> None:
    assert shown(with_verdicts(), width) == (SNAPSHOTS / f"{width}.txt").read_text()


@pytest.mark.parametrize("width", [200, 120, 80, 40])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(with_three_arms(), width).splitlines())) <= width


def test_of_several_variants_each_has_its_row() -> None:
    table = shown(with_three_arms(), 200).partition("recommendation: ")[0].partition("health: ")[2]

    assert table.count(" third ") == table.count(" treatment ") == len(results()["metrics"])


def test_colours_only_stress_what_words_say() -> None:
    coloured = shown(with_verdicts(), 170, force_terminal=True, color_system="standard", no_color=False)
    plain = shown(with_verdicts(), 170, force_terminal=True, color_system="standard", no_color=True)

    assert "\x1b[32m▲ better" in coloured
    assert "\x1b[31m▼ breached" in coloured
    assert "▲ better" in plain
    assert "\x1b[3" not in plain


@pytest.mark.parametrize("width", [170, 60])
def test_hostile_names_are_text(width: int) -> None:
    text = shown(with_hostile_names(), width)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\n\x1b[31m<script>" in text


@pytest.mark.parametrize("width", [170, 60])
def test_segments_stand_below_the_whole(width: int) -> None:
    whole, _, rest = shown(with_segments(), width).partition("customer = acme\n")

    assert "Secondary" in whole
    assert rest.count("· exploratory") == 4
    assert "customer = the other 7\n" in rest


def test_without_a_figure_it_says_so() -> None:
    found = results()
    found["metrics"] = []

    assert "no figures yet" in shown(found, 80)
