"""``fallom-server draft``: what may become the next version, while clients are served the latest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliPositionalArg, CliSubCommand

from analytics.api.managed import PATHS, draft_content
from server import api_client
from server.output import print_rows
from server.registry_commands import OnRegistry, OnResource, difference_rows, resource_path
from storage.registry import document
from storage.registry.changes import entries
from storage.registry.management import Management
from storage.registry.resources import Authorship, Kind


class SetDraft(OnRegistry):
    """Make the configs, prompts and prompt tests of a YAML file drafts; each replaces the draft that is there."""

    file: CliPositionalArg[Path] = Field(description="The YAML file.")

    def cli_cmd(self) -> None:
        """Keep them, and print what they would change."""
        api_client.refuse_project(self.url, self.project)
        wanted = document.load(self.file)
        found = []
        for kind, _, resource in entries(wanted):
            body = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
            found.append((kind, self._put(kind, resource.key, body)))
        rows = [[kind, *row] for kind, draft in found for row in difference_rows(draft["key"], draft["differences"])]
        print_rows(("kind", "key", "field", "change", "before", "after"), rows, as_json=self.as_json)

    def _put(self, kind: Kind, key: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.url is not None:
            path = f"{resource_path(PATHS[kind], key)}/draft"
            return api_client.request("PUT", self.url, path, self.api_key, json=body)
        with self.registry(is_made=True) as registry:
            resources = Management(registry, kind)
            resources.put_draft(self.of_project, key, body, Authorship())
            return draft_content(*resources.draft(self.of_project, key))


class ShowDraft(OnResource):
    """Print the draft of a config, a prompt or a prompt test, and what it would change."""

    def cli_cmd(self) -> None:
        """Print its differences to the latest version; with --json all of it."""
        draft = self.at_server_or_files(
            lambda url: api_client.get(url, f"{self.path}/draft", self.api_key),
            lambda resources: draft_content(*resources.draft(self.of_project, self.key)),
        )
        if self.as_json:
            print(orjson.dumps(draft).decode())  # noqa: T201 - the command's answer
            return
        rows = difference_rows(draft["key"], draft["differences"])
        print_rows(("key", "field", "change", "before", "after"), rows, as_json=False)


class DeleteDraft(OnResource):
    """Give a draft up."""

    def cli_cmd(self) -> None:
        """Remove it."""
        self.at_server_or_files(
            lambda url: api_client.request("DELETE", url, f"{self.path}/draft", self.api_key),
            lambda resources: resources.delete_draft(self.of_project, self.key),
        )
        print_rows(("kind", "key", "draft"), [[self.kind, self.key, "deleted"]], as_json=self.as_json)


class DraftCommands(BaseModel):
    """Make, show and delete drafts; `publish` makes one the latest version."""

    set: CliSubCommand[SetDraft] = Field(description="Make the resources of a YAML file drafts.")
    show: CliSubCommand[ShowDraft] = Field(description="Print a draft, and what it would change.")
    delete: CliSubCommand[DeleteDraft] = Field(description="Give a draft up.")

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=False)
