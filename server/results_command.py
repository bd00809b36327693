"""``fallom-server results``: an experiment's figures, verdicts and recommendation, from a running server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from analytics.client.question import Question
from analytics.experiments.settings import Inference
from analytics.reports.printable import printable
from analytics.reports.summary import moment
from schemas.api.query_moment import Moment
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson
from server.output import print_rows
from server.results_output import ResultsFormat, check_plot, draw, print_json, print_results
from server.watching import watch


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
    as_of: Annotated[Moment | None, Field(description="As they were at this time, ISO 8601, UTC if no zone.")] = None
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
        if self.key is None:
            self._check_list()
        check_plot(self.plot)
        if self.watch is None:
            self._show(self._ask())
        else:
            watch(self.watch, self._ask, self._show)

    def _check_list(self) -> None:
        """Raise CommandError for what a list of experiments does not have."""
        if self._form not in ("table", "json"):
            raise CommandError(f"format: {self._form} is for one experiment's results: name its key")
        for name in ("metric", "version", "epoch", "segment", "as_of", "inference", "plot"):
            if getattr(self, name) is not None:
                raise CommandError(f"{name}: it is for one experiment's results: name its key")

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
            draw(found, self.plot)
        print_results(found, self._form)


def _print_list(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
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
