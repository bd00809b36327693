"""``fallom-server rollout``, ``conclude``, ``stop``: a config's weights by the usual shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import CliPositionalArg

from schemas.api.management import PublishBody
from schemas.api.problems import problems_of
from schemas.api.rollout_requests import ConcludeBody, RolloutBody, StopBody
from server import api_client
from server.errors import CommandError
from server.registry_commands import Note, OnRegistry
from storage.registry.management import Management
from storage.registry.resources import Authorship
from storage.registry.rollouts import Shape, concluded, shape_of, stopped

Body = TypeVar("Body", bound=PublishBody)


class _Reshape(OnRegistry):
    """What every command on a config's weights is told beside."""

    key: CliPositionalArg[str] = Field(description="The config's key.")
    note: Note = ""

    def _reshape(
        self, action: str, model: type[Body], fields: Mapping[str, Any], shape: Callable[[Body], Shape]
    ) -> None:
        """Do it at the server or in the data directory, and print the config's new version."""
        api_client.refuse_project(self.url, self.project)
        given = {name: value for name, value in {**fields, "note": self.note}.items() if value is not None}
        body = _validated(model, given)
        if self.url is not None:
            path = f"/api/configs/{quote(self.key, safe='')}/{action}"
            change = api_client.post(self.url, path, given, self.api_key)
        else:
            wanted = shape(body)
            by = Authorship(note=self.note or wanted.note)
            with self.registry() as registry:
                configs = Management(registry, "config")
                change = asdict(configs.reshape(self.of_project, self.key, wanted.change, by).change)
        self.print_changes([change])


class Rollout(_Reshape):
    """Give a config's variants the weights of a shape: even, champion_challenger, or a canary's, step by step.

    Steps are taken by the server, which makes each of them a version when it is due.
    """

    shape: CliPositionalArg[Literal["even", "champion_challenger", "canary"]] = Field(
        description="even, champion_challenger or canary."
    )
    variant: Annotated[str | None, Field(description="Whose share it is about: its name, else its model.")] = None
    share: Annotated[float | None, Field(description="The champion's share in percent (90).")] = None
    steps: Annotated[
        list[float] | None, Field(description="The canary's shares in percent, one after the other (5,25,100).")
    ] = None
    every_s: Annotated[float | None, Field(description="Seconds from one step to the next (86400).")] = None
    start: Annotated[
        str | None, Field(description="When the first step is taken, such as 2026-11-21T09:00:00Z (now).")
    ] = None

    def cli_cmd(self) -> None:
        """Roll out and print the new version."""
        names = ("shape", "variant", "share", "steps", "every_s", "start")
        self._reshape("rollout", RolloutBody, {name: getattr(self, name) for name in names}, shape_of)


class Conclude(_Reshape):
    """End a test: the winner gets all sessions; the losers are off, and kept."""

    winner: CliPositionalArg[str] = Field(description="The variant: its name, else its model.")

    def cli_cmd(self) -> None:
        """Conclude it and print the new version."""
        self._reshape("conclude", ConcludeBody, {"winner": self.winner}, concluded)


class Stop(_Reshape):
    """Stop a test at once: one variant gets all sessions, and no step of a rollout is left to come."""

    variant: Annotated[str | None, Field(description="The variant: its name, else its model; the first if absent.")] = (
        None
    )

    def cli_cmd(self) -> None:
        """Stop it and print the new version."""
        self._reshape("stop", StopBody, {"variant": self.variant}, stopped)


def _validated(model: type[Body], fields: Mapping[str, Any]) -> Body:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), model=model)
        raise CommandError("\n".join(map(str, problems))) from error
