"""``fallom-server datasets``: made from files or by SQL at a server; listed, exported, archived there or without it."""

import csv
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliPositionalArg, CliSubCommand

from analytics.dataset_entries import described, served
from schemas.project import DEFAULT_PROJECT
from server.api_client import refuse_project, request
from server.errors import CommandError
from server.flags import ApiKey, AsJson, ProjectOfFiles, RegistryUrl
from server.output import print_rows, warn
from server.registry_place import registry_url_of
from storage.data_directory import DataDirectory
from storage.datasets.datasets import Datasets, Version

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
AnyServer = Annotated[
    str | None,
    Field(description=f"The running server, {URL} by default, unless a data directory or a registry is named."),
]
Files = Annotated[Path | None, Field(description="The data directory, instead of a server.")]
T = TypeVar("T")


class _OnDatasets(BaseModel):
    """What the commands are told that need no server: whom to ask, or where the datasets are, and whose."""

    url: AnyServer = None
    api_key: ApiKey = None
    project: ProjectOfFiles = None
    data_dir: Files = None
    registry_url: RegistryUrl = None

    def at_server_or_registry(self, ask: Callable[[str], T], work: Callable[[Datasets, str], T]) -> T:
        """Return what a server answers, or what ``work`` does with the datasets and the project."""
        if self.data_dir is None and self.registry_url is None:
            refuse_project(self.url or URL, self.project)
            return ask(self.url or URL)
        if self.url is not None:
            raise CommandError("url: either a server or a data directory or registry can be named")
        place = registry_url_of(DataDirectory(self.data_dir or Path("./data")), self.registry_url, is_made=False)
        with closing(Datasets(place)) as datasets:
            return work(datasets, self.project or DEFAULT_PROJECT)


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


class ListDatasets(_OnDatasets):
    """List the datasets, each with its latest version."""

    archived: Annotated[bool, Field(description="Archived ones too.")] = False
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Print them by key."""
        found = self.at_server_or_registry(
            lambda url: request("GET", url, "/api/datasets", self.api_key, params={"archived": self.archived})[
                "datasets"
            ],
            lambda datasets, project: _plain(datasets.latest(project, archived=self.archived)),
        )
        print_rows(COLUMNS, [[each[name] for name in COLUMNS] for each in found], as_json=self.as_json)


class ExportDataset(_OnDatasets):
    """Print a dataset's entries as JSON lines, which `datasets create --file NAME.jsonl` takes."""

    key: Key = Field(description="The dataset's key.")
    version: Annotated[int | None, Field(ge=1, description="A version; the latest if absent.")] = None

    def cli_cmd(self) -> None:
        """Print them."""
        wanted = "" if self.version is None else "?" + urlencode({"version": self.version})
        found = self.at_server_or_registry(
            lambda url: request("GET", url, _path(self.key) + wanted, self.api_key), self._read
        )
        for entry in found["entries"]:
            sys.stdout.write(orjson.dumps(entry).decode() + "\n")
        warn(f"dataset {self.key}, version {found['version']['version']}: {len(found['entries'])} entries")

    def _read(self, datasets: Datasets, project: str) -> dict[str, Any]:
        found = datasets.read(project, self.key, self.version)
        if found is None:
            version = "" if self.version is None else f" of version {self.version}"
            raise CommandError(f"no dataset {self.key!r}{version} in project {project}")
        return {"version": {"version": found[0].version}, "entries": served(found[1])}


class ArchiveDataset(_OnDatasets):
    """Remove a dataset's entries, all versions of them, for good; its versions stay in `list --archived`."""

    key: Key = Field(description="The dataset's key.")
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Archive it and print its versions."""
        found = self.at_server_or_registry(
            lambda url: request("DELETE", url, _path(self.key), self.api_key)["versions"], self._archive
        )
        print_rows(COLUMNS, [[each[name] for name in COLUMNS] for each in found], as_json=self.as_json)

    def _archive(self, datasets: Datasets, project: str) -> list[dict[str, Any]]:
        if not datasets.archive(project, self.key):
            raise CommandError(f"no dataset {self.key!r} in project {project}, or it is archived already")
        return _plain(datasets.versions(project, self.key))


class DatasetCommands(BaseModel):
    """Make datasets of evaluations at a running server; list, export and archive them."""

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


def _plain(versions: Sequence[Version]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(orjson.dumps([described(version) for version in versions]))
    return found
