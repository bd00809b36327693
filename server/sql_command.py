"""``fallom-server sql``: one statement, a statement again and again, or a shell."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, AsJson, DataDir, ProjectOfFiles, RegistryUrl, Url
from server.output import warn
from server.settings import MIB
from server.sql_output import SqlFormat, print_answer
from server.sql_progress import progress
from server.sql_shell import Shell
from server.sql_source import ServerSource, SqlSource
from server.watching import watch
from storage.engines.answer_limits import Answer
from storage.engines.sandbox.request import Limits


class Sql(BaseModel):
    """Ask a read-only SQL question over the tables and views of docs/schema.md.

    Without a statement, in a terminal, it is a shell: statements end with a semicolon, .help says the rest.
    """

    query: CliPositionalArg[str | None] = Field(default=None, description="One SELECT statement.")
    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    format: Annotated[SqlFormat, Field(description="How rows are printed; a table that is no terminal's has tabs.")] = (
        "table"
    )
    as_json: AsJson = False
    watch: Annotated[
        float | None, Field(gt=0, description="Ask again after so many seconds, until it is interrupted.")
    ] = None
    timeout_s: Annotated[float, Field(gt=0, description="Stop the statement after so long.")] = 60.0
    memory_bytes_max: Annotated[
        int, Field(ge=64 * MIB, description="End the statement where it takes more memory; not with --url.")
    ] = 2048 * MIB
    rows_max: Annotated[int, Field(ge=1, description="Print so many rows at most; a server has its own limit.")] = (
        100_000
    )
    bytes_max: Annotated[int, Field(ge=1, description="Print so many bytes of rows at most, likewise.")] = 1024 * MIB

    def cli_cmd(self) -> None:
        """Print the answer."""
        api_client.refuse_project(self.url, self.project)
        form: SqlFormat = "json" if self.as_json else self.format
        with self._source() as source:
            if self.query is None:
                self._shell(source, form)
            elif self.watch is None:
                _print(self._ask(source, self.query), form)
            else:
                watch(self.watch, partial(self._ask, source, self.query), partial(_print, form=form))

    @contextmanager
    def _source(self) -> Iterator[SqlSource]:
        if self.url is not None:
            yield ServerSource(self.url, self.api_key, self.timeout_s)
            return
        # Here, since who asks a server should not wait for what opens the files.
        from server.sql_files import files

        limits = Limits(self.timeout_s, self.rows_max, self.bytes_max, self.memory_bytes_max)
        with files(self.data_dir, self.project, limits, self.registry_url) as source:
            yield source

    def _ask(self, source: SqlSource, statement: str) -> Answer:
        with progress() as on_progress:
            return source.ask(statement, on_progress)

    def _shell(self, source: SqlSource, form: SqlFormat) -> None:
        if not sys.stdin.isatty():
            raise CommandError("query: a statement expected, got none, and no terminal to ask for one in")
        Shell(source, form).run()


def _print(answer: Answer, form: SqlFormat) -> None:
    print_answer(answer, form)
    if answer.truncated:
        warn(f"the answer was cut at {answer.rows.num_rows} rows")
