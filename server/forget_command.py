"""``fallom-server forget``."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from schemas.project import DEFAULT_PROJECT
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson, DataDir, ProjectOfFiles, Url
from server.output import print_rows, warn
from server.settings import ServerSettings

FORGET_POLL_S = 0.2


class Forget(BaseModel):
    """Remove all rows of one customer, and the files that held them; print how many rows of each table.

    Their spans and log records, those of their sessions that name nobody, and the metrics, data points, exposures and
    sums of their sessions. Where a privacy policy redacts ids, theirs is found by the id as it was sent; without a
    server the policy is that of --config, or of the server's environment variables.
    """

    customer: Annotated[str, Field(min_length=1, description="The customer's id, as the clients name them.")]
    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    config: Annotated[
        Path | None, Field(description="The server's TOML file, where it has a privacy policy; not with --url.")
    ] = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Remove the rows and print how many."""
        api_client.refuse_project(self.url, self.project)
        rows = self._in_files() if self.url is None else self._at_server(self.url)
        print_rows(("table", "rows"), [[table, count] for table, count in rows.items()], as_json=self.as_json)

    def _in_files(self) -> Mapping[str, int]:
        # Here, since who asks a server should not wait for all that takes over a log.
        from server.forget import forget_in_files

        settings = ServerSettings(config=self.config)
        return forget_in_files(self.data_dir, self.project or DEFAULT_PROJECT, self.customer, warn, settings)

    def _at_server(self, url: str) -> Mapping[str, int]:
        job = api_client.post(url, "/customers/forget", {"customer_id": self.customer}, self.api_key)
        shown = ""
        while job["state"] == "running":
            if job["progress"] != shown:
                shown = job["progress"]
                warn(shown)
            time.sleep(FORGET_POLL_S)
            job = api_client.get(url, f"/customers/forget/{job['id']}", self.api_key)
        if job["state"] == "failed":
            raise CommandError(job["error"])
        if job["progress"] != shown:
            warn(job["progress"])
        rows: dict[str, int] = job["rows"]
        return rows
