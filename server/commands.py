"""The commands and their flags."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSubCommand, SettingsConfigDict, SettingsError

from collector.component import CollectorError
from schemas.project import DEFAULT_PROJECT
from server import api_client
from server.datasets import DatasetCommands
from server.draft_commands import DraftCommands
from server.end_command import End
from server.errors import CommandError
from server.flags import ApiKey, AsJson, DataDir, ProjectOfFiles, RegistryUrl, Url
from server.keys import Keys
from server.output import print_rows, warn
from server.registry_commands import Apply, Archive, Diff, Export, History, Publish, Restore, Rollback
from server.reprice_command import Reprice
from server.rollout_commands import Conclude, Rollout, Stop
from server.settings import ServerSettings
from server.sql_command import Sql
from server.traces_command import TracesCommands
from storage.errors import StorageError
from storage.registry.errors import RegistryError

FORGET_POLL_S = 0.2


class Serve(ServerSettings):
    """Start the server: OTLP over gRPC and HTTP, the Fallom clients' API, results and SQL.

    Each setting is a flag, an environment variable (FALLOM_ and its name in capitals), or a line of the TOML file
    that --config names; the first of these wins.
    """

    def cli_cmd(self) -> None:
        """Run until SIGTERM or SIGINT."""
        # Here, since the other commands should not wait for all that a server needs.
        from server.serve import serve

        serve(self)


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
        # Here, since the other commands should not wait for all that takes over a log.
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


class Backup(BaseModel):
    """Make a backup: a folder under backups/ in the data directory, with all that was acknowledged until now.

    It is made of links to the same files, so copy it to another disk. A server that is started with such a copy as its
    data directory has all the rows, configs and keys of that moment.
    """

    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Make it and print its path."""
        if self.url is not None:
            answer = api_client.post(self.url, "/backups", {}, self.api_key)
            path, left_out = answer["path"], answer["left_out"]
        else:
            # Here, since the other commands should not wait for all that a server needs.
            from server.backup import backup_files

            folder, left_out = backup_files(self.data_dir, self.registry_url)
            path = str(folder)
        print_rows(("path",), [[path]], as_json=self.as_json)
        if left_out:
            warn(f"warning: {left_out}")


class Command(BaseSettings):
    """A trace pipeline and experiment analytics for LLM applications."""

    model_config = SettingsConfigDict(
        cli_prog_name="fallom-server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
    )

    serve: CliSubCommand[Serve] = Field(description="Start the server.")
    apply: CliSubCommand[Apply] = Field(description="Load configs, prompts, prices and experiments from a YAML file.")
    diff: CliSubCommand[Diff] = Field(description="Tell what applying a YAML file would change.")
    export: CliSubCommand[Export] = Field(description="Print all of these as a YAML file.")
    history: CliSubCommand[History] = Field(description="List the versions of one of them.")
    rollback: CliSubCommand[Rollback] = Field(description="Make an older version the latest again.")
    draft: CliSubCommand[DraftCommands] = Field(description="Make, show and delete drafts.")
    publish: CliSubCommand[Publish] = Field(description="Make a draft the latest version.")
    archive: CliSubCommand[Archive] = Field(description="Take one of them out of all lists.")
    restore: CliSubCommand[Restore] = Field(description="Put an archived one back.")
    rollout: CliSubCommand[Rollout] = Field(description="Give a config's variants weights, at once or step by step.")
    conclude: CliSubCommand[Conclude] = Field(description="End a test: the winner gets all sessions.")
    stop: CliSubCommand[Stop] = Field(description="Stop a test at once.")
    end: CliSubCommand[End] = Field(description="End an experiment with a decision.")
    sql: CliSubCommand[Sql] = Field(description="Ask a read-only SQL question.")
    traces: CliSubCommand[TracesCommands] = Field(description="Export spans as JSON lines or Parquet.")
    forget: CliSubCommand[Forget] = Field(description="Remove all rows of one customer.")
    reprice: CliSubCommand[Reprice] = Field(description="Price calls of before by the prices of today.")
    keys: CliSubCommand[Keys] = Field(description="Make, list and revoke API keys.")

    datasets: CliSubCommand[DatasetCommands] = Field(description="Make, list and export datasets of evaluations.")
    backup: CliSubCommand[Backup] = Field(description="Make a backup of the data directory.")

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error is one line on stderr and exit code 1, a wrong flag or setting 2."""
    try:
        CliApp.run(Command, cli_args=list(sys.argv[1:] if arguments is None else arguments))
    except ValidationError as error:
        _end(2, *(_flag_problem(problem) for problem in error.errors()))
    except SettingsError as error:
        _end(2, str(error).removeprefix("error parsing CLI: "))
    except (CommandError, StorageError, RegistryError, CollectorError, OSError) as error:
        logging.getLogger("fallom").debug("the command failed", exc_info=True)
        _end(1, str(error))
    except KeyboardInterrupt:
        _end(130, "interrupted")


def _end(code: int, *lines: str) -> None:
    for line in lines:
        warn(f"fallom-server: {line}")
    sys.exit(code)


def _flag_problem(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    message = str(problem["msg"]).removeprefix("Value error, ")
    # What is set for a target of forwarding may be its key.
    is_shown = "got" not in message and "forward" not in problem["loc"]
    got = f", got {problem.get('input')!r}" if is_shown else ""
    return f"{place}: {message}{got}"
