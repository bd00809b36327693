"""``fallom-server apply``, ``diff``, ``export``, ``history``, ``rollback``, ``publish``, ``archive``, ``restore``.

Each works on the data directory, also while a server runs on it, or asks a running server by ``--url``.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
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
from storage.registry.resources import Authorship, Kind

KINDS: Mapping[str, Kind] = {"config": "config", "prompt": "prompt", "prompt-test": "prompt_ab_test", "price": "price"}
DIFFERENT = 3

Note = Annotated[str, Field(max_length=NOTE_CHARS_MAX, pattern=TEXT_PATTERN, description="Why: it is kept for ever.")]


class _OnRegistry(BaseModel):
    """What every command on a registry is told: where it is, and whose."""

    project: ProjectOfFiles = None
    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    @property
    def _project(self) -> str:
        return self.project or DEFAULT_PROJECT

    def _registry(self, *, is_made: bool = False) -> Any:
        return registry_of(DataDirectory(self.data_dir), self.registry_url, is_made=is_made)


class Apply(_OnRegistry):
    """Make the configs, prompts, prompt tests and prices of a YAML file the latest; a change makes a new version."""

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
            with self._registry(is_made=True) as registry:
                by = Authorship(note=self.note)
                changes = [asdict(change) for change in registry.apply(self._project, wanted, by)]
        columns = ("kind", "key", "version", "action")
        print_rows(columns, [[change[name] for name in columns] for change in changes], as_json=self.as_json)
        _warn_of(changes)


class Diff(_OnRegistry):
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
            with self._registry(is_made=True) as registry:
                changes = [planned_content(change) for change in registry.plan(self._project, wanted)]
        rows = [
            [change["kind"], change["key"], difference["path"], difference["change"], *_before_and_after(difference)]
            for change in changes
            for difference in change["differences"]
        ]
        print_rows(("kind", "key", "field", "change", "before", "after"), rows, as_json=self.as_json)
        _warn_of(changes)
        if rows and self.exit_code:
            sys.exit(DIFFERENT)


class Export(_OnRegistry):
    """Print all configs, prompts, prompt tests and prices as a YAML file, which applied again changes nothing."""

    def cli_cmd(self) -> None:
        """Print the file; as JSON with --json."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            found = document.parse(api_client.get(self.url, "/api/export", self.api_key))
        else:
            with self._registry() as registry:
                found = export(registry, self._project)
        text = orjson.dumps(_content(found)).decode() + "\n" if self.as_json else document.to_yaml(found)
        sys.stdout.write(text)


class _OnResource(_OnRegistry):
    """What every command on one resource is told beside."""

    kind: CliPositionalArg[Literal["config", "prompt", "prompt-test", "price"]] = Field(
        description="config, prompt, prompt-test or price."
    )
    key: CliPositionalArg[str] = Field(description="Its key.")

    @property
    def _path(self) -> str:
        return f"/api/{PATHS[KINDS[self.kind]]}/{quote(self.key, safe='')}"

    def _do(self, path: str, body: Mapping[str, Any], work: Callable[[Management], Any]) -> Any:
        """Return what the server answers to a body, or what ``work`` does in the data directory."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            return api_client.post(self.url, self._path + path, body, self.api_key)
        with self._registry() as registry:
            return work(Management(registry, KINDS[self.kind]))

    def _print_change(self, change: Mapping[str, Any]) -> None:
        columns = ("kind", "key", "version", "action")
        print_rows(columns, [[change[name] for name in columns]], as_json=self.as_json)
        _warn_of([change])


class History(_OnResource):
    """List the versions of a config, a prompt, a prompt test or a price, the newest first."""

    def cli_cmd(self) -> None:
        """Print them."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            found = api_client.get(self.url, f"{self._path}/versions", self.api_key)["versions"]
        else:
            with self._registry() as registry:
                kind = KINDS[self.kind]
                versions = Management(registry, kind).history(self._project, self.key)
                found = json.loads(orjson.dumps([version_content(kind, version) for version in reversed(versions)]))
        columns = ("version", "created_at", "author", "restored_from", "note")
        print_rows(columns, [[version[name] for name in columns] for version in found], as_json=self.as_json)


class Rollback(_OnResource):
    """Make a new version with the body of an older one."""

    version: CliPositionalArg[int] = Field(ge=1, description="The older version.")
    note: Note = ""

    def cli_cmd(self) -> None:
        """Roll back and print the new version."""
        by = Authorship(note=self.note)
        self._print_change(
            self._do(
                "/rollback",
                {"version": self.version, "note": self.note},
                lambda resources: asdict(resources.rollback(self._project, self.key, self.version, by).change),
            )
        )


class Publish(_OnResource):
    """Make a draft the latest version."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Publish and print the new version."""
        by = Authorship(note=self.note)
        self._print_change(
            self._do(
                "/publish",
                {"note": self.note},
                lambda resources: asdict(resources.publish(self._project, self.key, by).change),
            )
        )


class Archive(_OnResource):
    """Take a config, a prompt, a prompt test or a price out of all lists; its versions are still served by number."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Archive it."""
        by = Authorship(note=self.note)
        self._do("/archive", {"note": self.note}, lambda resources: resources.archive(self._project, self.key, by))
        print_rows(("kind", "key", "state"), [[self.kind, self.key, "archived"]], as_json=self.as_json)


class Restore(_OnResource):
    """Put what was archived back."""

    note: Note = ""

    def cli_cmd(self) -> None:
        """Restore it."""
        by = Authorship(note=self.note)
        self._do("/restore", {"note": self.note}, lambda resources: resources.restore(self._project, self.key, by))
        print_rows(("kind", "key", "state"), [[self.kind, self.key, "in use"]], as_json=self.as_json)


def _content(wanted: RegistryDocument) -> dict[str, Any]:
    return wanted.model_dump(mode="json", by_alias=True, exclude_none=True)


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _before_and_after(difference: Mapping[str, Any]) -> list[str]:
    return [orjson.dumps(difference[name]).decode() if name in difference else "" for name in ("before", "after")]


def _warn_of(changes: list[Mapping[str, Any]]) -> None:
    for change in changes:
        for warning in change["warnings"]:
            warn(f"warning: {change['kind']} {change['key']}: {warning}")
