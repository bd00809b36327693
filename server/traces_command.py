"""``fallom-server traces export``: spans of a data directory or a server, as JSON lines or Parquet."""

import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliSubCommand

from analytics.traces.export import ExportFormat
from schemas.api.traces import ExportQuery
from schemas.project import DEFAULT_PROJECT
from server import api_client
from server.errors import CommandError
from server.flags import ApiKey, DataDir, ProjectOfFiles, Url
from server.output import warn
from storage.durability import sync_directory

PROGRESS_S = 2.0
TIMEOUT_S = 60.0

_Pieces = Generator[tuple[bytes, int], None, None]
"""Bytes of the file, and of how many spans they are."""


class ExportTraces(BaseModel):
    """Write spans to a file: those that are stored, committed or not, each once; also while a server runs there.

    JSON lines have an object a span, its attributes put together; Parquet has the columns of the table `spans`.
    """

    output: Annotated[str, Field(description="The file, which is there once it is whole; - is stdout.")]
    format: Annotated[ExportFormat, Field(description="jsonl or parquet.")] = "jsonl"
    since: Annotated[datetime | None, Field(description="Spans that began at this time or later, ISO 8601.")] = None
    until: Annotated[datetime | None, Field(description="Spans that began before this time.")] = None
    config: Annotated[str | None, Field(description="Spans of this config.")] = None
    session: Annotated[str | None, Field(description="Spans of this session.")] = None
    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")

    def cli_cmd(self) -> None:
        """Write the file, telling on stderr how far it is."""
        api_client.refuse_project(self.url, self.project)
        named = {"from": self.since, "to": self.until, "config": self.config, "session": self.session}
        wanted = ExportQuery.model_validate(
            {"format": self.format, **{name: value for name, value in named.items() if value is not None}}
        )
        pieces = self._of_files(wanted) if self.url is None else self._of_server(self.url, wanted)
        with closing(pieces), self._opened() as file:
            _write(file, pieces)

    def _of_files(self, wanted: ExportQuery) -> _Pieces:
        # Here, since who asks a server should not wait for what opens the files.
        from analytics.traces.conditions import span_condition
        from analytics.traces.export import encoded, exported
        from server.offline import data_of
        from storage.engines.duckdb import DuckDBEngine
        from storage.hot import HotRows
        from storage.lake import Lake

        data = data_of(self.data_dir)
        lake = Lake(data.lake)
        engine = DuckDBEngine(lake, HotRows(data.log, lake, data.writer_id()))
        with closing(engine), engine.session(self.project or DEFAULT_PROJECT) as session:
            yield from encoded(exported(session, wanted, span_condition(wanted)), wanted.format)

    def _of_server(self, url: str, wanted: ExportQuery) -> _Pieces:
        key = self.api_key or os.environ.get("FALLOM_API_KEY")
        asked = wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            with httpx.stream(
                "GET",
                f"{url.rstrip('/')}/traces/export",
                params={name: value for name, value in asked.items() if value != []},
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=TIMEOUT_S,
            ) as response:
                if not response.is_success:
                    response.read()
                    raise CommandError(_said(response) or f"{url} answered {response.status_code}")
                for piece in response.iter_bytes():
                    yield piece, piece.count(b"\n") if wanted.format == "jsonl" else 0
        except httpx.HTTPError as error:
            raise CommandError(f"{url}: the export broke off ({error}): ask again") from error
        except httpx.InvalidURL as error:
            raise CommandError(f"url: {error}, got {url!r}") from error

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Give the file under another name; it gets its own when it is whole and on disk."""
        if self.output == "-":
            if self.format == "parquet" and sys.stdout.isatty():
                raise CommandError("format: parquet is no text for a terminal: redirect it into a file")
            with nullcontext(sys.stdout.buffer) as stdout:
                yield stdout
            return
        path = Path(self.output)
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            # What people said is in it.
            descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_directory(path.parent)
        finally:
            draft.unlink(missing_ok=True)


class TracesCommands(BaseModel):
    """Export spans."""

    export: CliSubCommand[ExportTraces] = Field(description="Write spans to a file, as JSON lines or Parquet.")

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=False)


def _write(file: BinaryIO, pieces: _Pieces) -> None:
    spans = size_bytes = 0
    told_s = time.monotonic()
    for piece, count in pieces:
        file.write(piece)
        spans += count
        size_bytes += len(piece)
        if time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            warn(_progress(spans, size_bytes))
    file.flush()
    warn(_progress(spans, size_bytes))


def _progress(spans: int, size_bytes: int) -> str:
    counted = f"{spans} spans, " if spans else ""
    return f"{counted}{size_bytes} bytes"


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
