"""Results as Markdown, for a ticket or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from analytics.reports import quantities
from analytics.reports.comparisons import ROLES, Compared, by_segment, of_role
from analytics.reports.printable import printable
from analytics.reports.summary import summary_of

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>|#~&!])")
_HEADS = ("metric", "control", "variant", "lift", "p", "verdict")


def markdown_of(results: Mapping[str, Any]) -> str:
    """Return the results as a document with a table a role."""
    summary = summary_of(results)
    lines = [f"# {_text(summary.title)}", "", *_list(summary.facts), ""]
    groups = [(role.capitalize(), list(of_role(results, role))) for role in ROLES]
    for title, rows in [*groups, *by_segment(results)]:
        if rows:
            lines += [f"## {_text(title)}", "", _row(_HEADS), _row("---" for _ in _HEADS)]
            lines += [*map(_comparison, rows), ""]
    lines += [f"**Health**: {_text(summary.health)}", "", *_list(summary.warnings)]
    lines += [""] if summary.warnings else []
    lines += [f"**Recommendation**: {_text(summary.recommendation)}", "", *_list(summary.reasons)]
    return "\n".join(lines) + "\n"


def _comparison(row: Compared) -> str:
    unit, lift = row.entry["unit"], row.comparison["lift"]
    return _row(
        (
            f"{_text(row.name)} {row.figure}",
            _estimate(row.comparison["vs"], row.control, unit),
            _estimate(row.comparison["variant"], row.treatment, unit),
            f"{quantities.lift(lift['estimate'])} {quantities.lift_interval(lift['ci'])}",
            quantities.p_value(row.comparison["p_value_adjusted"]).replace("<", "&lt;"),
            str(row.verdict),
        )
    )


def _estimate(key: str, arm: Mapping[str, Any], unit: str | None) -> str:
    return (
        f"{_text(printable(key))}: {quantities.quantity(arm['estimate'], unit)} {quantities.interval(arm['ci'], unit)}"
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def _list(texts: Iterable[str]) -> Iterator[str]:
    yield from (f"- {_text(text)}" for text in texts)


def _text(text: str) -> str:
    return _MEANS_SOMETHING.sub(r"\\\1", text)
