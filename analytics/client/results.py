"""The results of one experiment in a notebook: frames, a table, files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.client import frames
from analytics.client.connection import Connection
from analytics.client.question import Question
from analytics.client.session_pages import sessions_of
from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot
from analytics.reports.html import html_of
from analytics.reports.markdown import markdown_of
from analytics.reports.png import png_of
from schemas.api.experiment_sessions import Label, Sort

if TYPE_CHECKING:
    import polars as pl

SESSIONS_MAX = 10_000


class Results:
    """What the server answered once; ``timeseries`` and ``sessions`` ask it again.

    ``raw`` is the JSON of docs/results.md, all of it.
    """

    def __init__(self, raw: Mapping[str, Any], question: Question, connection: Connection) -> None:
        self.raw = raw
        self._question = question
        self._connection = connection

    @property
    def variants(self) -> pl.DataFrame:
        """A row a variant: model, weight, sessions, calls."""
        return frames.variants(self.raw)

    @property
    def metrics(self) -> pl.DataFrame:
        """A row for each figure of each variant, with its interval."""
        return frames.figures(self.raw)

    @property
    def comparisons(self) -> pl.DataFrame:
        """A row for each figure of each treatment against the control, with the columns of the CSV."""
        return frames.comparisons(self.raw)

    @property
    def health(self) -> Mapping[str, Any]:
        """Whether the figures can be trusted."""
        found: Mapping[str, Any] = self.raw["health"]
        return found

    @property
    def recommendation(self) -> Mapping[str, Any]:
        """What to do: ``action``, ``variant``, ``reasons``."""
        found: Mapping[str, Any] = self.raw["recommendation"]
        return found

    def sessions(
        self,
        metric: str | None = None,
        *,
        variant: str | None = None,
        label: Label | None = None,
        sort: Sort | None = None,
        limit: int | None = SESSIONS_MAX,
    ) -> pl.DataFrame:
        """Return the sessions behind the figures: those that count, or those of a label; the first ``limit``, or all.

        With a metric each has its own value of it (``value``, of a text ``value_text``), the worst first; without one
        the latest first.
        """
        given = {"metric": metric, "variant": variant, "label": label, "sort": sort}
        asked = self._question.whose | {name: value for name, value in given.items() if value is not None}
        return sessions_of(self._connection, self._question.sessions_path, asked, limit)

    def timeseries(
        self,
        metric: str,
        *,
        statistic: str | None = None,
        estimand: str | None = None,
        category: str | None = None,
    ) -> pl.DataFrame:
        """Return what a figure had come to by each day's end: a row a treatment, with that look's p-value."""
        asked = {"metric": metric, "statistic": statistic, "estimand": estimand, "category": category}
        parameters = self._question.whose | {name: value for name, value in asked.items() if value is not None}
        return frames.timeseries(self._connection.get(self._question.timeseries_path, parameters))

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the comparisons as CSV; write them into a file, too, where one is named."""
        text = csv_of(self.raw)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8", newline="")
        return text

    def to_markdown(self) -> str:
        """Return the results as Markdown."""
        return markdown_of(self.raw)

    def to_svg(self) -> str:
        """Return the forest plot as SVG."""
        return forest_plot(self.raw)

    def to_png(self) -> bytes:
        """Return the forest plot as PNG. Raises PngError without the extra ``plot``, or without a font."""
        return png_of(self.to_svg())

    def _repr_html_(self) -> str:
        return html_of(self.raw)

    def __repr__(self) -> str:
        experiment, action = self.raw["experiment"], self.recommendation["action"]
        return f"<Results of {experiment['key']!r} as of {experiment['as_of']}: {action}>"
