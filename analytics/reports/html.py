"""Results as a piece of HTML, as notebooks show them: the summary, and the forest plot as a picture within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from analytics.reports.forest_plot import forest_plot
from analytics.reports.summary import summary_of


def html_of(results: Mapping[str, Any]) -> str:
    """Return the HTML; names in it are text and nothing else."""
    summary = summary_of(results)
    return "\n".join(
        (
            "<div>",
            f"<h3>{escape(summary.title)}</h3>",
            _list(summary.facts),
            f"<p><b>Health</b>: {escape(summary.health)}</p>",
            _list(summary.warnings),
            forest_plot(results),
            f"<p><b>Recommendation</b>: {escape(summary.recommendation)}</p>",
            _list(summary.reasons),
            "</div>",
        )
    )


def _list(texts: Sequence[str]) -> str:
    return "".join(("<ul>", *(f"<li>{escape(text)}</li>" for text in texts), "</ul>")) if texts else ""
