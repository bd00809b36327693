"""``fallom-server results``: an experiment's figures, verdicts and recommendation, from a running server."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from analytics.client.question import Question
from analytics.experiments.settings import Inference
from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot
from analytics.reports.markdown import markdown_of
from analytics.reports.png import PngError, png_of
from analytics.reports.printable import printable
from analytics.reports.summary import moment
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson
from server.output import print_rows
from server.results_table import print_report
from server.watching import watch

ResultsFormat = Literal["table", "json", "csv", "markdown"]


class Results(BaseModel):
    """Show which variant is faster, cheaper, fails less, scores better, and what to do; without a key, what there is.

    Nothing is said by a colour alone; there are none in a pipe, nor where NO_COLOR is set.
    """

    key: CliPositionalArg[str | None] = Field(default=None, description="The experiment's key, or a config's.")
    url: Annotated[str, Field(description="The running server.")] = "http://127.0.0.1:4318"
    api_key: ApiKey = None
    metric: Annotated[str | None, Field(description="Show these metrics alone, comma-separated.")] = None
    version: Annotated[int | None, Field(ge=1, description="Of this config version.")] = None
    epoch: Annotated[int | None, Field(ge=1, description="Of this weight epoch.")] = None
    segment: Annotated[str | None, Field(description="Of each value of this segment.")] = None
    as_of: Annotated[datetime | None, Field(description="As they were at this time, ISO 8601, UTC if no zone.")] = None
    inference: Annotated[Inference | None, Field(description="Instead of the experiment's own inference.")] = None
    format: Annotated[ResultsFormat, Field(description="table, json, csv or markdown.")] = "table"
    as_json: AsJson = False
    watch: Annotated[
        float | None, Field(gt=0, description="Ask again after so many seconds, until it is interrupted.")
    ] = None
    plot: Annotated[
        Path | None, Field(description="Draw a forest plot too, into this file: .svg, or .png (the extra plot).")
    ] = None

    def cli_cmd(self) -> None:
        """Print the results, or the list of experiments."""
        # A terminal that has no ▲ gets a question mark; the word beside it says the same.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        if self.key is None and self._form not in ("table", "json"):
            raise CommandError(f"format: {self._form} is for one experiment's results: name its key")
        if self.plot is not None and self.plot.suffix not in (".svg", ".png"):
            raise CommandError(f"plot: a file name that ends in .svg or .png expected, got {str(self.plot)!r}")
        if self.watch is None:
            self._show(self._ask())
        else:
            watch(self.watch, self._ask, self._show)

    @property
    def _form(self) -> ResultsFormat:
        return "json" if self.as_json else self.format

    def _ask(self) -> dict[str, Any]:
        if self.key is None:
            return api_client.get(self.url, "/experiments", self.api_key)
        question = Question(
            self.key, self.version, self.epoch, self.segment, self.as_of, self.inference, metrics=self.metric
        )
        found = api_client.get(self.url, question.path, self.api_key, params=question.parameters)
        left_out = question.unanswered(found)
        if left_out is not None:
            raise CommandError(f"{left_out}: the server at {self.url} does not know it: is it an older one?")
        return found

    def _show(self, found: dict[str, Any]) -> None:
        if self.key is None:
            _print_list(found, as_json=self._form == "json")
            return
        if self.plot is not None:
            _draw(found, self.plot)
        match self._form:
            case "json":
                sys.stdout.write(orjson.dumps(found).decode() + "\n")
            case "csv":
                sys.stdout.write(csv_of(found).replace("\r\n", "\n"))
            case "markdown":
                sys.stdout.write(markdown_of(found))
            case "table":
                print_report(found)


def _print_list(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(found).decode() + "\n")
        return
    columns = ("key", "status", "control", "variants", "sessions", "calls", "last seen")
    print_rows(columns, [_list_row(entry) for entry in found["experiments"]], as_json=False)


def _list_row(entry: Mapping[str, Any]) -> list[object]:
    return [
        printable(entry["key"]),
        entry["status"],
        printable(entry["control"] or ""),
        printable(", ".join(entry["variants"])),
        entry["sessions"],
        entry["calls"],
        moment(entry["last_seen_at"]) if entry["last_seen_at"] else None,
    ]


def _draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the picture; under its own name it is whole."""
    svg = forest_plot(results)
    try:
        content = svg.encode() if path.suffix == ".svg" else png_of(svg)
    except PngError as error:
        raise CommandError(f"plot: {error}") from error
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
