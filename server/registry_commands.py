"""``fallom-server apply``, ``diff``, ``export``, ``history``, ``rollback``, ``publish``, ``archive``, ``restore``.

Each works on the data directory, also while a server runs on it, or asks a running server by ``--url``.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg

from analytics.api.managed import PATHS, planned_content, version_content
from schemas.api.management import NOTE_CHARS_MAX
from schemas.api.problems import TEXT_PATTERN
from schemas.api.registry import RegistryDocument
from schemas.project import DEFAULT_PROJECT
from server import api_client
from server.flags import ApiKey, AsJson, DataDir, ProjectOfFiles, RegistryUrl, Url
from server.output import print_rows, warn
from server.registry_place import registry_of
from storage.data_directory import DataDirectory
from storage.registry import document
from storage.registry.management import Management, export
from storage.registry.registry import Registry
from storage.registry.resources import Authorship, Kind

KINDS: Mapping[str, Kind] = {
    "config": "config",
    "prompt": "prompt",
    "prompt-test": "prompt_ab_test",
    "price": "price",
    "experiment": "experiment",
    "alert": "alert",
}
DIFFERENT = 3

T = TypeVar("T")

Note = Annotated[str, Field(max_length=NOTE_CHARS_MAX, pattern=TEXT_PATTERN, description="Why: it is kept for ever.")]


class OnRegistry(BaseModel):
    """What every command on a registry is told: where it is, and whose."""

    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    @property
    def of_project(self) -> str:
        """Return the project, where the data directory is worked on."""
        return self.project or DEFAULT_PROJECT

    def registry(self, *, is_made: bool = False) -> AbstractContextManager[Registry]:
        """Give the registry that the flags name, and close it."""
        return registry_of(DataDirectory(self.data_dir), self.registry_url, is_made=is_made)

    def print_changes(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Print what a change did with each resource, and what an author should know of it."""
        columns = ("kind", "key", "version", "action")
        print_rows(columns, [[change[name] for name in columns] for change in changes], as_json=self.as_json)
        _warn_of(changes)


class Apply(OnRegistry):
    """Make the resources of a YAML file (configs, prompts, prices, experiments, alerts …) the latest versions."""

    file: CliPositionalArg[Path] = Field(description="The YAML file.")
    note: Note = ""

    def cli_cmd(self) -> None:
        """Apply the file and print what changed."""
        api_client.refuse_project(self.url, self.project)
        wanted = document.load(self.file)
        if self.url is not None:
            changes = api_client.post(
                self.url, "/apply", _content(wanted), self.api_key, params=_given(note=self.note)
            )["changes"]
        else:
            with self.registry(is_made=True) as registry:
                by = Authorship(note=self.note)
                changes = [asdict(change) for change in registry.apply(self.of_project, wanted, by)]
        self.print_changes(changes)


class Diff(OnRegistry):
    """Tell what applying a YAML file would change, field by field, and change nothing."""

    file: CliPositionalArg[Path] = Field(description="The YAML file.")
    exit_code: Annotated[bool, Field(description="End with exit code 3 where there is a difference.")] = False

    def cli_cmd(self) -> None:
        """Print the differences."""
        api_client.refuse_project(self.url, self.project)
        wanted = document.load(self.file)
        if self.url is not None:
            planned = api_client.post(self.url, "/apply", _content(wanted), self.api_key, params={"dry_run": "true"})
            changes = planned["changes"]
        else:
            with self.registry(is_made=True) as registry:
                changes = [planned_content(change) for change in registry.plan(self.of_project, wanted)]
        rows = [
            [change["kind"], *row]
            for change in changes
            for row in difference_rows(change["key"], change["differences"])
        ]
        print_rows(("kind", "key", "field", "change", "before", "after"), rows, as_json=self.as_json)
        _warn_of(changes)
        if rows and self.exit_code:
            sys.exit(DIFFERENT)


class Export(OnRegistry):
    """Print all resources as a YAML file, which applied again changes nothing."""

    def cli_cmd(self) -> None:
        """Print the file; as JSON with --json."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            found = document.parse(api_client.get(self.url, "/api/export", self.api_key))
        else:
            with self.registry() as registry:
                found = export(registry, self.of_project)
        text = orjson.dumps(_content(found)).decode() + "\n" if self.as_json else document.to_yaml(found)
        sys.stdout.write(text)


class OnResource(OnRegistry):
    """What every command on one resource is told beside."""

    kind: CliPositionalArg[Literal["config", "prompt", "prompt-test", "price", "experiment", "alert"]] = Field(
        description="config, prompt, prompt-test, price, experiment or alert."
    )
    key: CliPositionalArg[str] = Field(description="Its key.")

    @property
    def path(self) -> str:
        """Return its path at a server."""
        return resource_path(PATHS[KINDS[self.kind]], self.key)

    def at_server_or_files(self, ask: Callable[[str], T], work: Callable[[Management], T]) -> T:
        """Return what the server of the URL that is given answers, or what ``work`` does in the data directory."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            return ask(self.url)
        with self.registry() as registry:
            return work(Management(registry, KINDS[self.kind]))

    def _do(self, action: str, body: Mapping[str, Any], work: Callable[[Management], Any]) -> Any:
        return self.at_server_or_files(
            lambda url: api_client.post(url, f"{self.path}/{action}", body, self.api_key), work
        )


class History(OnResource):
    """List the versions of a resource, the newest first."""

    def cli_cmd(self) -> None:
        """Print them."""
        found = self.at_server_or_files(
            lambda url: api_client.get(url, f"{self.path}/versions", self.api_key)["versions"], self._history
        )
        columns = ("version", "created_at", "author", "restored_from", "note")
        print_rows(columns, [[version[name] for name in columns] for version in found], as_json=self.as_json)

    def _history(self, resources: Management) -> Any:
        versions = reversed(resources.history(self.of_project, self.key))
        return json.loads(orjson.dumps([version_content(resources.kind, version) for version in versions]))


class Rollback(OnResource):
    """Make a new version with the body of an older one."""

    version: CliPositionalArg[int] = Field(ge=1, description="The older version.")
    note: Note = ""

    def cli_cmd(self) -> None:
        """Roll back and print the new version."""
        by = Authorship(note=self.note)
        change = self._do(
            "rollback",
            {"version": self.version, "note": self.note},
            lambda resources: asdict(resources.rollback(self.of_project, self.key, self.version, by).change),
        )
        self.print_changes([change])


class Publish(OnResource):
    """Make a draft the latest version."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Publish and print the new version."""
        by = Authorship(note=self.note)
        change = self._do(
            "publish",
            {"note": self.note},
            lambda resources: asdict(resources.publish(self.of_project, self.key, by).change),
        )
        self.print_changes([change])


class Archive(OnResource):
    """Take a resource out of all lists; its versions are still served by number."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Archive it."""
        by = Authorship(note=self.note)
        self._do("archive", {"note": self.note}, lambda resources: resources.archive(self.of_project, self.key, by))
        print_rows(("kind", "key", "state"), [[self.kind, self.key, "archived"]], as_json=self.as_json)


class Restore(OnResource):
    """Put what was archived back."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Restore it."""
        by = Authorship(note=self.note)
        self._do("restore", {"note": self.note}, lambda resources: resources.restore(self.of_project, self.key, by))
        print_rows(("kind", "key", "state"), [[self.kind, self.key, "in use"]], as_json=self.as_json)


def _content(wanted: RegistryDocument) -> dict[str, Any]:
    return wanted.model_dump(mode="json", by_alias=True, exclude_none=True)


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def resource_path(kind: str, key: str) -> str:
    """Return the path of a resource at a server; ``kind`` as it stands there."""
    return f"/api/{kind}/{quote(key, safe='')}"


def difference_rows(key: str, differences: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a row a field that differs: key, field, change, before, after."""
    return [
        [key, one["path"], one["change"], *(_shown(one[name]) if name in one else "" for name in ("before", "after"))]
        for one in differences
    ]


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()


def _warn_of(changes: Sequence[Mapping[str, Any]]) -> None:
    for change in changes:
        for warning in change["warnings"]:
            warn(f"warning: {change['kind']} {change['key']}: {warning}")
