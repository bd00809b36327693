"""What the demo prints at its end: the experiment's results and the answer of a SQL query, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

NOTHING = "–"
SIGNIFICANT_DIGITS = 3


def results_table(results: Mapping[str, Any]) -> Group:
    """Return the variants side by side, a metric a row, with the lift over the control."""
    variants = results["variants"]
    experiment = results["experiment"]
    keys = [str(variant["key"]) for variant in variants]
    control = experiment.get("control") or keys[0]
    treatments = [key for key in keys if key != control]
    title = f"Experiment {experiment['key']}, config version {experiment.get('config_version', '?')}"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    table.add_column("")
    for key in keys:
        table.add_column(escape(key), justify="right")
    for key in treatments:
        table.add_column(f"lift of {escape(key)}" if len(treatments) > 1 else "lift", justify="right")
        table.add_column("p", justify="right")
    for count in ("sessions", "calls"):
        table.add_row(count, "", *(f"{variant.get(count, 0):,}" for variant in variants), *["", ""] * len(treatments))
    table.add_section()
    for metric in results["metrics"]:
        table.add_row(*_metric_row(metric, keys, treatments))
    return Group(table, f"[dim]In brackets: the interval. Lift: the change against {escape(control)}.[/dim]\n")


def query_table(query: str, answer: Mapping[str, Any]) -> Group:
    """Return the query's text above its answer."""
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    rows: Sequence[Sequence[Any]] = answer["rows"]
    for index, name in enumerate(answer["columns"]):
        is_text = any(isinstance(row[index], str) for row in rows)
        table.add_column(escape(str(name)), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(NOTHING if value is None else escape(str(value)) for value in row))
    return Group(f"[bold]POST /sql[/bold]\n[dim]{escape(query)}[/dim]", table)


def _metric_row(metric: Mapping[str, Any], keys: Sequence[str], treatments: Sequence[str]) -> list[str]:
    # A call costs so little that a thousand are easier to read; so are percent than shares.
    factor = {"USD": 1000, "ratio": 100}.get(str(metric.get("unit")), 1)
    estimates = {variant["key"]: variant for variant in metric["variants"]}
    comparisons = {comparison["variant"]: comparison for comparison in metric.get("comparisons", ())}
    cells = [escape(metric["name"]), _statistic(metric, factor)]
    cells += [_estimate(estimates.get(key), factor, _significant) for key in keys]
    for key in treatments:
        comparison = comparisons.get(key, {})
        cells += [_estimate(comparison.get("lift"), 100, _percent), _p_value(comparison.get("p_value"))]
    return cells


def _statistic(metric: Mapping[str, Any], factor: int) -> str:
    unit = str(metric.get("estimand", "")).removeprefix("per_")
    if metric.get("unit") == "ratio":
        return "percent"
    if factor > 1:
        return f"per {factor:,} {unit}s"
    statistic = str(metric["statistic"])
    return f"{statistic} per {unit}" if (statistic, unit) == ("mean", "session") else statistic


def _estimate(found: Mapping[str, Any] | None, factor: int, form: Callable[[float, float], str]) -> str:
    """Return an estimate and its interval; all three are rounded as the estimate is."""
    if not found or found.get("estimate") is None:
        return NOTHING
    estimate = factor * found["estimate"]
    interval = found.get("ci")
    if not interval or None in interval:
        return form(estimate, estimate)
    low, high = (form(factor * bound, estimate).removesuffix("%") for bound in interval)
    return f"{form(estimate, estimate)} [dim]\\[{low}, {high}][/dim]"


def _significant(value: float, like: float) -> str:
    """Return the value with as many decimals as give ``like`` three significant digits."""
    digits_before = math.floor(math.log10(abs(like))) + 1 if like else 1
    return f"{value:,.{max(0, SIGNIFICANT_DIGITS - digits_before)}f}"


def _percent(value: float, _like: float) -> str:
    return f"{value:+.1f}%"


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
