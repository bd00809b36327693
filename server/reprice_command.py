"""``fallom-server reprice``: prices calls of before by the prices of today."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.project import DEFAULT_PROJECT
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson, DataDir, ProjectOfFiles, RegistryUrl, Url
from server.output import print_rows, warn
from storage.upkeep.repricing import Repriced

POLL_S = 0.2


class Reprice(BaseModel):
    """Price calls anew, by public prices and the project's own as they are today; print what that changes.

    Costs that are computed become what they would be if the calls came now; sums and results follow.
    It may be run while the server runs, and again when it was interrupted.
    """

    since: Annotated[date, Field(description="The first day, in UTC: calls of it and later.")]
    dry_run: Annotated[bool, Field(description="Change nothing, and print what would change.")] = False
    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Price them and print what changed."""
        api_client.refuse_project(self.url, self.project)
        with _shown_progress() as progress:
            done = self._in_files(progress) if self.url is None else self._at_server(self.url, progress)
        columns = [each.name for each in fields(Repriced)]
        print_rows(columns, [[done[name] for name in columns]], as_json=self.as_json)

    def _in_files(self, progress: Any) -> dict[str, Any]:
        # Here, since the other commands should not wait for all that takes over a log.
        from server.reprice import reprice_in_files

        project = self.project or DEFAULT_PROJECT
        return asdict(
            reprice_in_files(self.data_dir, self.registry_url, project, self.since, progress, is_dry=self.dry_run)
        )

    def _at_server(self, url: str, progress: Any) -> dict[str, Any]:
        wanted = {"since": self.since.isoformat(), "dry_run": self.dry_run}
        job = api_client.post(url, "/reprice", wanted, self.api_key)
        while job["state"] == "running":
            progress(job["progress"], job["share_done"])
            time.sleep(POLL_S)
            job = api_client.get(url, f"/reprice/{job['id']}", self.api_key)
        if job["state"] == "failed":
            raise CommandError(job["error"])
        result: dict[str, Any] = job["result"]
        return result


@contextmanager
def _shown_progress() -> Iterator[Any]:
    """Give what shows progress on stderr: a bar in a terminal, else a line where the words change."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda words, share: bar.update(task, description=words, completed=share)


class _Lines:
    """The words that were shown last."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, words: str, _: float) -> None:
        if words and words != self._shown:
            self._shown = words
            warn(words)
