"""What the demo prints at its end: the experiment's results and the answer of a SQL query, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

NOTHING = "–"


def results_table(results: Mapping[str, Any]) -> Group:
    """Return the variants' table and a line on what they are compared with."""
    variants = results["variants"]
    experiment = results["experiment"]
    title = f"Experiment {experiment['key']}, config version {experiment.get('config_version', '?')}"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("metric")
    table.add_column("")
    for variant in variants:
        table.add_column(escape(variant["key"]), justify="right")
    compared = [variant["key"] for variant in variants if variant["key"] != experiment.get("control")]
    for key in compared:
        table.add_column(f"lift of {escape(key)}" if len(compared) > 1 else "lift", justify="right")
        table.add_column("p", justify="right")
    for count in ("sessions", "calls"):
        blanks = [""] * (2 * len(compared))
        table.add_row(count, "", *(f"{variant.get(count, 0):,}" for variant in variants), *blanks)
    table.add_section()
    for metric in results["metrics"]:
        table.add_row(*_metric_row(metric, [variant["key"] for variant in variants], compared))
    note = f"In brackets: the interval. Lift: the change against {experiment.get('control') or 'the first variant'}."
    return Group(table, f"[dim]{note}[/dim]")


def query_table(query: str, answer: Mapping[str, Any]) -> Group:
    """Return the query's text above its answer."""
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    rows: Sequence[Sequence[Any]] = answer["rows"]
    for index, name in enumerate(answer["columns"]):
        is_text = any(isinstance(row[index], str) for row in rows)
        table.add_column(str(name), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(NOTHING if value is None else escape(str(value)) for value in row))
    return Group(f"[bold]POST /sql[/bold]\n[dim]{escape(query)}[/dim]", table)


def _metric_row(metric: Mapping[str, Any], keys: Sequence[str], compared: Sequence[str]) -> list[str]:
    estimates = {variant["key"]: variant for variant in metric["variants"]}
    comparisons = {comparison["variant"]: comparison for comparison in metric.get("comparisons", ())}
    cells = [escape(metric["name"]), metric["statistic"]]
    cells += [_with_interval(estimates.get(key), _quantity) for key in keys]
    for key in compared:
        comparison = comparisons.get(key, {})
        cells += [_with_interval(comparison.get("lift"), _percent), _p_value(comparison.get("p_value"))]
    return cells


def _with_interval(estimate: Mapping[str, Any] | None, form: Callable[[float], str]) -> str:
    if not estimate or estimate.get("estimate") is None:
        return NOTHING
    interval = estimate.get("ci")
    if not interval or None in interval:
        return f"{form(estimate['estimate'])} [dim]{NOTHING}[/dim]"
    return f"{form(estimate['estimate'])} [dim]\\[{form(interval[0])}, {form(interval[1])}][/dim]"


def _quantity(value: float) -> str:
    """Four significant digits: the unit is in the metric's name."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
