"""``fallom-server end``: an experiment's decision."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import CliPositionalArg

from schemas.api.experiment import Outcome
from schemas.api.experiment_requests import EndBody
from schemas.api.problems import problems_of
from server import api_client
from server.errors import CommandError
from server.registry_commands import Note, OnRegistry, resource_path
from storage.registry.endings import end
from storage.registry.management import Management
from storage.registry.resources import Authorship


class End(OnRegistry):
    """End an experiment with a decision: sessions from now on don't count, and it is kept with what was learnt.

    A roll-back opens it again.
    """

    key: CliPositionalArg[str] = Field(description="The experiment's key.")
    action: CliPositionalArg[Outcome] = Field(description="ship, rollback, no_difference, inconclusive or invalid.")
    variant: Annotated[
        str | None, Field(description="Whom it is about; to ship needs one, to roll back takes the control.")
    ] = None
    reason: Annotated[str | None, Field(description="Why it was decided so.")] = None
    learnt: Annotated[str | None, Field(description="What was learnt.")] = None
    ended_at: Annotated[str | None, Field(description="When it ended, such as 2026-11-21T09:00:00Z (now).")] = None
    conclude: Annotated[bool, Field(description="Give the variant all sessions of the config, too.")] = False
    note: Note = ""

    def cli_cmd(self) -> None:
        """End it and print the new version."""
        api_client.refuse_project(self.url, self.project)
        names = ("action", "variant", "reason", "learnt", "ended_at", "conclude", "note")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        body = _validated(given)
        if self.url is not None:
            change = api_client.post(self.url, f"{resource_path('experiments', self.key)}/end", given, self.api_key)
        else:
            with self.registry() as registry:
                experiments = Management(registry, "experiment")
                done = end(experiments, self.of_project, self.key, body, Authorship(note=self.note))
                change = asdict(done.change)
        self.print_changes([change])


def _validated(given: dict[str, object]) -> EndBody:
    try:
        return EndBody.model_validate(given)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), model=EndBody)
        raise CommandError("\n".join(map(str, problems))) from error
