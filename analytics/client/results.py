"""The results of one experiment in a notebook: frames, a table, files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.client import frames
from analytics.client.connection import Connection
from analytics.client.errors import ClientError
from analytics.client.question import Question
from analytics.client.session_pages import sessions_of
from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot
from analytics.reports.html import html_of
from analytics.reports.markdown import markdown_of
from analytics.reports.png import png_of

if TYPE_CHECKING:
    import polars as pl


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

    def sessions(self) -> pl.DataFrame:
        """Return the sessions of the experiment's config as they are now, with label and arm.

        Columns are those of the view ``experiment_sessions``. Raises ClientError for a prompt test, which has none.
        """
        config_key = self.raw["experiment"].get("config")
        if config_key is None:
            raise ClientError("sessions: those of a config are listed, and this experiment looks at a prompt test")
        return sessions_of(self._connection, config_key)

    def timeseries(self, metric: str, *, statistic: str | None = None, estimand: str | None = None) -> pl.DataFrame:
        """Return what a figure had come to by each day's end: a row a treatment, with that look's p-value."""
        asked = {"metric": metric, "statistic": statistic, "estimand": estimand}
        parameters = {name: value for name, value in asked.items() if value is not None}
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
