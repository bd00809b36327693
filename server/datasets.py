"""``fallom-server datasets``: datasets are made from files or by SQL, listed, exported and archived at a server."""

import csv
import io
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliPositionalArg, CliSubCommand

from server.api_client import request
from server.errors import CommandError
from server.flags import ApiKey, AsJson
from server.output import print_rows, warn

URL = "http://127.0.0.1:4318"
COLUMNS = ("key", "version", "entries", "removed", "source", "name", "created_at", "archived_at")
# What a CSV file calls the columns of an entry.
CSV_COLUMNS = {
    "input": "input",
    "output": "output",
    "system_message": "systemMessage",
    "systemMessage": "systemMessage",
}

Server = Annotated[str, Field(description="The running server.")]
Key = CliPositionalArg[str]


class CreateDataset(BaseModel):
    """Make a dataset's next version, of a file's entries or of the rows of a SELECT."""

    key: Key = Field(description="The dataset's key.")
    file: Annotated[
        Path | None,
        Field(
            description="Entries: .json (a list), .jsonl (one a line), or .csv with the columns input, output, "
            "system_message; other columns go into the metadata."
        ),
    ] = None
    query: Annotated[
        str | None, Field(description="Or a SELECT whose columns are input, output, system_message, metadata, others.")
    ] = None
    name: Annotated[str | None, Field(description="What people call it.")] = None
    description: Annotated[str | None, Field(description="What it is for.")] = None
    url: Server = URL
    api_key: ApiKey = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Make it and print its version."""
        if (self.file is None) == (self.query is None):
            raise CommandError("file: either --file or --query expected, got " + ("both" if self.file else "none"))
        about = {"name": self.name, "description": self.description}
        if self.file is not None:
            made = request("POST", self.url, _path(self.key), self.api_key, json={**about, "entries": read(self.file)})
        else:
            content = {**about, "query": self.query}
            made = request("POST", self.url, f"{_path(self.key)}/from-sql", self.api_key, json=content)
        columns = ("key", "version", "action", "entries", "skipped")
        print_rows(columns, [[made[name] for name in columns]], as_json=self.as_json)


class ListDatasets(BaseModel):
    """List the datasets, each with its latest version."""

    archived: Annotated[bool, Field(description="Archived ones too.")] = False
    url: Server = URL
    api_key: ApiKey = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Print them by key."""
        found = request("GET", self.url, "/api/datasets", self.api_key, params={"archived": self.archived})["datasets"]
        print_rows(COLUMNS, [[each[name] for name in COLUMNS] for each in found], as_json=self.as_json)


class ExportDataset(BaseModel):
    """Print a dataset's entries as JSON lines, which `datasets create --file NAME.jsonl` takes."""

    key: Key = Field(description="The dataset's key.")
    version: Annotated[int | None, Field(ge=1, description="A version; the latest if absent.")] = None
    url: Server = URL
    api_key: ApiKey = None

    def cli_cmd(self) -> None:
        """Print them."""
        wanted = "" if self.version is None else "?" + urlencode({"version": self.version})
        found = request("GET", self.url, _path(self.key) + wanted, self.api_key)
        for entry in found["entries"]:
            sys.stdout.write(orjson.dumps(entry).decode() + "\n")
        warn(f"dataset {self.key}, version {found['version']['version']}: {len(found['entries'])} entries")


class ArchiveDataset(BaseModel):
    """Remove a dataset's entries, all versions of them, for good; its versions stay in `list --archived`."""

    key: Key = Field(description="The dataset's key.")
    url: Server = URL
    api_key: ApiKey = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Archive it and print its versions."""
        found = request("DELETE", self.url, _path(self.key), self.api_key)["versions"]
        print_rows(COLUMNS, [[each[name] for name in COLUMNS] for each in found], as_json=self.as_json)


class DatasetCommands(BaseModel):
    """Make, list, export and archive datasets of evaluations at a running server."""

    create: CliSubCommand[CreateDataset] = Field(description="Make a dataset's next version.")
    list: CliSubCommand[ListDatasets] = Field(description="List the datasets.")
    export: CliSubCommand[ExportDataset] = Field(description="Print a dataset's entries as JSON lines.")
    archive: CliSubCommand[ArchiveDataset] = Field(description="Remove a dataset's entries for good.")

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=False)


def read(path: Path) -> list[Any]:
    """Return the entries of a file. Raises CommandError."""
    readers = {".json": _from_json, ".jsonl": _from_json_lines, ".csv": _from_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CommandError(f"file: {', '.join(readers)} expected, got {path.name}")
    try:
        return reader(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"file: {path} can't be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise CommandError(f"file: {path}: {error}") from error


def _from_json(text: str) -> list[Any]:
    found = orjson.loads(text)
    entries = found.get("entries") if isinstance(found, dict) else found
    if not isinstance(entries, list):
        raise ValueError("a list of entries expected, or an object that has `entries`")  # noqa: TRY004 - caught as such
    return entries


def _from_json_lines(text: str) -> list[Any]:
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                entries.append(orjson.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return entries


def _from_csv(text: str) -> list[Any]:
    # Long texts are what entries are made of.
    csv.field_size_limit(len(text) + 1)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if "input" not in (rows.fieldnames or ()):
        raise ValueError(f"a column input expected, got {', '.join(rows.fieldnames or ()) or 'none'}")
    entries: list[Any] = []
    for row in rows:
        if None in row or None in row.values():
            raise ValueError(f"line {rows.line_num}: as many values expected as the first line has")
        entry: dict[str, Any] = {CSV_COLUMNS[name]: value for name, value in row.items() if name in CSV_COLUMNS}
        if not entry.get("systemMessage", "-"):
            del entry["systemMessage"]
        metadata = {name: value for name, value in row.items() if name not in CSV_COLUMNS and value}
        entries.append({**entry, **({"metadata": metadata} if metadata else {})})
    return entries


def _path(key: str) -> str:
    return f"/api/datasets/{quote(key, safe='')}"
