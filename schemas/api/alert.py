"""An alert: of which experiments and of what somebody is told, by webhook, by e-mail, or both."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from schemas.api.problems import Problem, refusal, shown
from schemas.api.resource import Name, Part, Resource, is_empty, repeats

ALERTS_MAX = 100  # of a project: each one that has an e-mail or a webhook is one delivery more
EXPERIMENTS_MAX = 10_000
RECIPIENTS_MAX = 50
URL_CHARS_MAX = 2_048
SECRET_CHARS_MIN, SECRET_CHARS_MAX = 16, 1_024
MASK = "********"
"""What is shown in the place of a secret; put back, it stands for the secret that is known."""

AlertKind = Literal["guardrail", "srm", "error_jump", "finished", "recommendation"]
KINDS: tuple[AlertKind, ...] = ("guardrail", "srm", "error_jump", "finished", "recommendation")
DEFAULT_ON: tuple[AlertKind, ...] = ("guardrail", "srm", "error_jump", "finished")

# What an address may hold is more by the book; what is left out are quoted ones and those that need SMTPUTF8.
ADDRESS_PATTERN = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
_ADDRESS = re.compile(ADDRESS_PATTERN)


def _url(value: object) -> object:
    """Check a URL; what is wrong is told without it: part of it may be a token."""
    if not isinstance(value, str):
        raise refusal(Problem("", "must be a URL: http:// or https://, a host and a path"))
    try:
        parts = urlsplit(value)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise refusal(Problem("", "must be a URL: its host or port can't be read")) from error
    if parts.scheme not in ("http", "https") or not has_place:
        raise refusal(Problem("", "must begin with http:// or https:// and a host"))
    if parts.username is not None or parts.password is not None:
        raise refusal(Problem("", "must hold no user nor password, since who reads alerts sees it: sign by a secret"))
    if parts.fragment:
        raise refusal(Problem("", "must hold no fragment (#…), which is never sent"))
    if len(value) > URL_CHARS_MAX or not value.isascii() or any(not "!" <= sign <= "~" for sign in value):
        raise refusal(Problem("", f"must be at most {URL_CHARS_MAX} printable ASCII characters without spaces"))
    return value


def _secret(value: object) -> object:
    """Check a secret; what is wrong is told without it."""
    if value == MASK:
        return value
    if not isinstance(value, str):
        raise refusal(Problem("", "must be a text: quote it"))
    if not SECRET_CHARS_MIN <= len(value) <= SECRET_CHARS_MAX or not value.isprintable():
        rule = f"must be {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} printable characters long"
        raise refusal(Problem("", f"{rule}, got {len(value)} characters"))
    return value


def _address(value: object) -> object:
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value
    raise refusal(Problem("", f"must be an e-mail address such as ann@example.com, got {shown(value)}"))


def _experiments(value: object) -> object:
    if value == "all":
        return []
    if value == []:
        raise refusal(Problem("", "must not be empty: leave it out, or write all"))
    return value


def _is_default(value: object) -> bool:
    return value == list(DEFAULT_ON)


Url = Annotated[str, BeforeValidator(_url), Field(json_schema_extra={"format": "uri"})]
Secret = Annotated[str, BeforeValidator(_secret)]
Address = Annotated[str, BeforeValidator(_address), Field(json_schema_extra={"format": "email"})]
Experiments = Annotated[
    list[Name],
    BeforeValidator(_experiments, json_schema_input_type=list[Name] | Literal["all"]),
    Field(max_length=EXPERIMENTS_MAX),
]


class Webhook(Part):
    """Where alerts are posted; with a secret each is signed by it. The secret is shown to nobody again."""

    url: Url
    secret: Secret | None = Field(default=None, repr=False)


class Email(Part):
    """To whom alerts are sent."""

    to: list[Address] = Field(min_length=1, max_length=RECIPIENTS_MAX)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        problems = [
            Problem(f"to[{index}]", f"duplicate address {address!r}, first in email.to[{first}]")
            for index, address, first in repeats(self.to)
        ]
        if problems:
            raise refusal(*problems)
        return self


class Alert(Resource):
    """Who is told when something happens in experiments: all of the project's, unless some are named."""

    experiments: Experiments = Field(default=[], exclude_if=is_empty)
    on: list[AlertKind] = Field(default=list(DEFAULT_ON), min_length=1, max_length=len(KINDS), exclude_if=_is_default)
    webhook: Webhook | None = None
    email: Email | None = None

    def covers(self, experiment: str) -> bool:
        """Return whether it is about an experiment."""
        return not self.experiments or experiment in self.experiments

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [
            Problem(f"{name}[{index}]", f"duplicate {item!r}, first in {name}[{first}]")
            for name, items in (("experiments", self.experiments), ("on", self.on))
            for index, item, first in repeats(items)
        ]
        if self.webhook is None and self.email is None:
            problems.append(Problem("", "needs webhook, email, or both: whom should it tell?"))
        if problems:
            raise refusal(*problems)
        return self


def masked(body: dict[str, Any]) -> dict[str, Any]:
    """Return an alert's body with the mask in the place of the secret."""
    webhook = body.get("webhook")
    if not isinstance(webhook, dict) or "secret" not in webhook:
        return body
    return {**body, "webhook": {**webhook, "secret": MASK}}
