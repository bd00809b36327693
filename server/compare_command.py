"""``fallom-server compare``: any two models, prompts, tags, customers or fields of metadata, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from analytics.reports.observed import as_results
from analytics.reports.printable import printable
from schemas.api.compare import By
from schemas.api.experiment import Inference
from schemas.api.query_moment import Moment
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson
from server.output import print_rows, warn
from server.results_output import ResultsFormat, check_plot, draw, print_json, print_results


class Compare(BaseModel):
    """Compare sessions with calls of one value with those of another, from a running server; without values, list them.

    It is observational: the sessions chose, chance did not. What it shows may be a reason for an experiment.
    """

    a: CliPositionalArg[str | None] = Field(default=None, description="The value that the other is compared with.")
    b: CliPositionalArg[str | None] = Field(default=None, description="The other value.")
    url: Annotated[str, Field(description="The running server.")] = "http://127.0.0.1:4318"
    api_key: ApiKey = None
    by: Annotated[By, Field(description="model, tag, customer, prompt or metadata.KEY.")] = "model"
    start: Annotated[Moment | None, Field(description="Calls at this time or later; else of the last 30 days.")] = None
    end: Annotated[Moment | None, Field(description="Calls before this time.")] = None
    config: Annotated[str | None, Field(description="Calls under this config alone.")] = None
    metric: Annotated[str | None, Field(description="Show these metrics alone, comma-separated.")] = None
    inference: Annotated[Inference | None, Field(description="sequential, fixed_horizon or bayesian.")] = None
    format: Annotated[ResultsFormat, Field(description="table, json, csv or markdown.")] = "table"
    as_json: AsJson = False
    plot: Annotated[
        Path | None, Field(description="Draw a forest plot too, into this file: .svg, or .png (the extra plot).")
    ] = None

    def cli_cmd(self) -> None:
        """Print the comparison, or the values that there are."""
        check_plot(self.plot)
        if self.a is None:
            self._list()
            return
        if self.b is None:
            raise CommandError(f"b: needed: with what is {self.a!r} compared? Without values they are listed")
        asked = {"a": self.a, "b": self.b, "inference": self.inference, "metrics": self.metric}
        found = self._get("/compare", asked)
        results = as_results(found)
        if self.plot is not None:
            draw(results, self.plot)
        if self._form == "json":
            print_json(found)
        else:
            print_results(results, self._form)

    @property
    def _form(self) -> ResultsFormat:
        return "json" if self.as_json else self.format

    def _list(self) -> None:
        if self._form not in ("table", "json"):
            raise CommandError(f"format: {self._form} is for a comparison: name two values")
        found = self._get("/compare/values", {})
        if self._form == "json":
            print_json(found)
            return
        rows = [[printable(row["value"]), row["sessions"], row["calls"]] for row in found["values"]]
        print_rows((self.by, "sessions", "calls"), rows, as_json=False)
        if found["truncated"]:
            warn("there are more values; these are the most frequent")

    def _get(self, path: str, asked: Mapping[str, str | None]) -> dict[str, Any]:
        times = {"from": self.start, "to": self.end}
        given = {"by": self.by, "config": self.config, **asked}
        parameters = {name: value for name, value in given.items() if value is not None}
        parameters |= {name: time.isoformat() for name, time in times.items() if time is not None}
        return api_client.get(self.url, path, self.api_key, params=parameters)
