"""``fallom-server alerts``: whether alerts arrive, and what became of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliPositionalArg, CliSubCommand

from server import api_client
from server.errors import CommandError
from server.output import print_rows
from server.registry_commands import OnRegistry, resource_path
from storage.alerts.outbox import Outbox, State

_COLUMNS = ("created_at", "alert", "channel", "experiment", "kind", "state", "attempts", "error")


class Deliveries(OnRegistry):
    """List the deliveries of alerts, the newest first."""

    alert: Annotated[str | None, Field(description="Of one alert.")] = None
    state: Annotated[State | None, Field(description="waiting, sending, delivered or given_up.")] = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="At most so many.")] = 100

    def cli_cmd(self) -> None:
        """Print them."""
        api_client.refuse_project(self.url, self.project)
        if self.url is not None:
            given = {"alert": self.alert, "state": self.state, "limit": str(self.limit)}
            params = {name: value for name, value in given.items() if value is not None}
            found = api_client.get(self.url, "/alerts/deliveries", self.api_key, params=params)["deliveries"]
        else:
            with self.registry() as registry:
                listed = Outbox(registry).listed(self.of_project, alert=self.alert, state=self.state, limit=self.limit)
                found = [{**asdict(one), "created_at": one.created_at.isoformat()} for one in listed]
        _print(found, as_json=self.as_json)


class Test(OnRegistry):
    """Send a test message of an alert by each of its ways, from a running server, and tell what became of it."""

    key: CliPositionalArg[str] = Field(description="The alert's key.")

    def cli_cmd(self) -> None:
        """Send it and print the outcome; one that did not arrive ends the command with an error."""
        if self.url is None:
            raise CommandError("--url: needed: a running server sends, by its own network and mail server")
        api_client.refuse_project(self.url, self.project)
        path = f"{resource_path('alerts', self.key)}/test"
        found = api_client.post(self.url, path, {}, self.api_key)["deliveries"]
        _print(found, as_json=self.as_json)
        lost = [one["channel"] for one in found if one["state"] != "delivered"]
        if lost:
            raise CommandError(f"the alert {self.key} did not arrive by {' and '.join(lost)}")


class AlertCommands(BaseModel):
    """Send a test message; list what became of alerts. Alerts are declared in the file of ``apply``."""

    deliveries: CliSubCommand[Deliveries] = Field(description="List what became of alerts.")
    test: CliSubCommand[Test] = Field(description="Send a test message.")

    def cli_cmd(self) -> None:
        """Run the one that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=False)


def _print(found: list[dict[str, Any]], *, as_json: bool) -> None:
    rows = [[one[name] or "" if name == "experiment" else one[name] for name in _COLUMNS] for one in found]
    print_rows(_COLUMNS, rows, as_json=as_json)
