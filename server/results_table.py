"""How ``fallom-server results`` shows an experiment in a terminal: as wide as it is, or one below the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analytics.reports import quantities
from analytics.reports.comparisons import ROLES, Compared, by_segment, of_role
from analytics.reports.printable import printable
from analytics.reports.summary import Summary, summary_of

# Of a pipe, which has no width.
WIDTH = 120
_TITLES = {"primary": "Primary", "guardrail": "Guardrails", "secondary": "Secondary"}
_STYLES = {"good": "green", "bad": "red", "none": "bright_black"}
_HEALTH_STYLES = {"ok": "green", "warning": "yellow", "invalid": "bold red"}

_Groups = Sequence[tuple[str, Sequence[Compared]]]


def print_report(results: Mapping[str, Any]) -> None:
    """Print all that is told of an experiment's results."""
    shown_in = _console()
    with shown_in.capture() as captured:
        shown_in.print(report(results, shown_in))
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _console() -> Console:
    """Return the console of stdout: coloured where it is a terminal that has colours."""
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def report(results: Mapping[str, Any], shown_in: Console) -> RenderableType:
    """Return all that is told of an experiment's results."""
    summary = summary_of(results)
    groups = [(_TITLES[role], rows) for role in ROLES if (rows := list(of_role(results, role)))]
    groups += [(segment, rows) for segment, rows in by_segment(results) if rows]
    return Group(*_head(summary, results), "", _figures(groups, shown_in), "", *_foot(summary))


def _head(summary: Summary, results: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text(summary.title, style="bold")
    yield from (Padding(Text(fact), (0, 0, 0, 2)) for fact in summary.facts)
    style = _HEALTH_STYLES.get(results["health"]["status"], "")
    yield Text.assemble("health: ", (summary.health, style))
    yield from _bullets(summary.warnings)


def _foot(summary: Summary) -> Iterator[RenderableType]:
    yield Text.assemble("recommendation: ", (summary.recommendation, "bold"))
    yield from _bullets(summary.reasons)


def _bullets(texts: Sequence[str]) -> Iterator[RenderableType]:
    for text in texts:
        grid = Table.grid(padding=0)
        grid.add_row("  - ", Text(text))
        yield grid


def _figures(groups: _Groups, shown_in: Console) -> RenderableType:
    """Return the widest form that fits."""
    if not groups:
        return Text("no figures yet")
    for line in (" ", "\n"):
        table = _table(groups, line)
        if Measurement.get(shown_in, shown_in.options.update(width=10_000), table).maximum <= shown_in.width:
            return table
    return Group(*_one_below_the_other(groups))


def _table(groups: _Groups, line: str) -> Table:
    rows = [row for _, of_group in groups for row in of_group]
    treatments = list(dict.fromkeys(row.comparison["variant"] for row in rows))
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("metric")
    controls = list(dict.fromkeys(row.comparison["vs"] for row in rows)) or ["control"]
    table.add_column(Text(_name(controls[0])), justify="right")
    if len(treatments) > 1:
        table.add_column("variant")
    table.add_column(Text(_name(treatments[0]) if len(treatments) == 1 else "its figure"), justify="right")
    table.add_column("lift", justify="right")
    table.add_column("p", justify="right")
    table.add_column("verdict")
    for title, of_group in groups:
        table.add_row(Text(title, style="bold"))
        for row in of_group:
            table.add_row(*_cells(row, line, is_named=len(treatments) > 1))
        table.add_section()
    return table


def _cells(row: Compared, line: str, *, is_named: bool) -> Iterator[Text]:
    yield Text(f"{row.name}{line}{row.figure}")
    yield Text(_estimate(row, row.control, line))
    if is_named:
        yield Text(_name(row.comparison["variant"]))
    yield Text(_estimate(row, row.treatment, line))
    yield Text(_lift(row, line))
    yield Text(quantities.p_value(row.comparison["p_value_adjusted"]))
    yield _verdict(row)


def _one_below_the_other(groups: _Groups) -> Iterator[RenderableType]:
    for place, (title, rows) in enumerate(groups):
        if place:
            yield ""
        yield Text(title, style="bold")
        for row in rows:
            yield Text.assemble(f"{row.name} {row.figure}: ", _verdict(row))
            for key, arm in ((row.comparison["vs"], row.control), (row.comparison["variant"], row.treatment)):
                yield Text(f"  {_name(key)} {_estimate(row, arm, ' ')}")
            p_value = quantities.p_value(row.comparison["p_value_adjusted"])
            yield Text(f"  lift {_lift(row, ' ')}, p {p_value}")


def _estimate(row: Compared, arm: Mapping[str, Any], line: str) -> str:
    unit = row.entry["unit"]
    return f"{quantities.quantity(arm['estimate'], unit)}{line}{quantities.interval(arm['ci'], unit)}".rstrip()


def _lift(row: Compared, line: str) -> str:
    lift = row.comparison["lift"]
    return f"{quantities.lift(lift['estimate'])}{line}{quantities.lift_interval(lift['ci'])}".rstrip()


def _verdict(row: Compared) -> Text:
    return Text(str(row.verdict), style=_STYLES[row.verdict.tone])


def _name(key: str) -> str:
    return printable(key)
