"""``fallom-server keys``: API keys are made, listed and revoked in the data directory, also while a server runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, field_validator
from pydantic_settings import CliApp, CliPositionalArg, CliSubCommand

from schemas.project import DEFAULT_PROJECT
from schemas.scopes import Scope
from server.flags import AsJson, DataDir, Project, RegistryUrl
from server.output import print_rows, warn
from server.registry_place import registry_url_of
from storage.data_directory import DataDirectory
from storage.registry.api_keys import PREFIX_CHARS, ApiKey, ApiKeys, Rates

COLUMNS = (
    "prefix",
    "project",
    "scopes",
    "name",
    "state",
    "created_at",
    "expires_at",
    "revoked_at",
    "requests_per_s",
    "bytes_per_s",
)


class CreateKey(BaseModel):
    """Make a key and print it on stdout: it is shown now, and never again."""

    project: Project = DEFAULT_PROJECT
    scopes: Annotated[
        str,
        Field(
            description="What it may do: ingest (send, and fetch configs and prompts), read (results, traces, SQL, and "
            "fetch), admin (all of it, and apply, forget, the pipeline's state). Several with commas between."
        ),
    ] = Scope.INGEST.value
    name: Annotated[str, Field(max_length=256, description="What it is for, as a person would say it.")] = ""
    expires_in_days: Annotated[
        float | None, Field(gt=0, le=36_500, description="It counts no longer after so many days.")
    ] = None
    requests_per_s: Annotated[
        float | None,
        Field(
            ge=0, allow_inf_nan=False, description="Its rate; 0 is no limit. If absent the server's key_requests_per_s."
        ),
    ] = None
    bytes_per_s: Annotated[
        float | None,
        Field(
            ge=0, allow_inf_nan=False, description="Its rate; 0 is no limit. If absent the server's key_bytes_per_s."
        ),
    ] = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    @field_validator("scopes")
    @classmethod
    def _are_scopes(cls, value: str) -> str:
        if not set(value.split(",")) <= {scope.value for scope in Scope}:
            raise ValueError(f"{', '.join(Scope)} expected, several with commas between")
        return value

    @field_validator("name")
    @classmethod
    def _is_printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("printable characters expected")
        return value

    def cli_cmd(self) -> None:
        """Make the key."""
        days = self.expires_in_days
        with _keys(self.data_dir, self.registry_url, is_made=True) as keys:
            key, text = keys.create(
                self.project,
                frozenset(Scope(scope) for scope in self.scopes.split(",")),
                name=self.name,
                rates=Rates(self.requests_per_s, self.bytes_per_s),
                expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            )
        if self.as_json:
            sys.stdout.write(orjson.dumps({"key": text, **dict(zip(COLUMNS, _row(key), strict=True))}).decode() + "\n")
            return
        # Alone on stdout, so that it can be taken from there: KEY=$(fallom-server keys create).
        sys.stdout.write(f"{text}\n")
        warn(f"key {key.prefix} of project {key.project}, scope {_scopes(key)}: keep it, it is not shown again")


class ListKeys(BaseModel):
    """List all keys by their prefix; of a key's secret the server knows nothing but a hash."""

    project: Annotated[str | None, Field(description="Those of one project only.")] = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Print them, oldest first."""
        with _keys(self.data_dir, self.registry_url) as keys:
            print_rows(COLUMNS, [_row(key) for key in keys.all(self.project)], as_json=self.as_json)


class RevokeKey(BaseModel):
    """Revoke a key, for ever; servers refuse it within two seconds."""

    prefix: CliPositionalArg[str] = Field(description="The key's prefix, as `keys list` shows it, or the whole key.")
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Revoke it and print it."""
        with _keys(self.data_dir, self.registry_url) as keys:
            print_rows(COLUMNS, [_row(keys.revoke(self.prefix[:PREFIX_CHARS]))], as_json=self.as_json)


class Keys(BaseModel):
    """Make, list and revoke API keys in a data directory, also while a server runs on it."""

    create: CliSubCommand[CreateKey] = Field(description="Make a key and show it, once.")
    list: CliSubCommand[ListKeys] = Field(description="List all keys by their prefix.")
    revoke: CliSubCommand[RevokeKey] = Field(description="Revoke a key.")

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=False)


@contextmanager
def _keys(path: Path, registry_url: str | None, *, is_made: bool = False) -> Iterator[ApiKeys]:
    keys = ApiKeys(registry_url_of(DataDirectory(path), registry_url, is_made=is_made))
    try:
        yield keys
    finally:
        keys.close()


def _row(key: ApiKey) -> list[Any]:
    return [
        key.prefix,
        key.project,
        _scopes(key),
        key.name,
        key.state(datetime.now(UTC)),
        _moment(key.created_at),
        _moment(key.expires_at),
        _moment(key.revoked_at),
        key.rates.requests_per_s,
        key.rates.bytes_per_s,
    ]


def _scopes(key: ApiKey) -> str:
    return ",".join(sorted(key.scopes))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
