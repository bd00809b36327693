"""The contract between a receiver and what knows the API keys: who calls, and whether they may."""

from collections.abc import Iterable
from typing import Protocol

from schemas.project import DEFAULT_PROJECT
from schemas.scopes import Scopes


class Caller(Protocol):
    """Whoever a request is from."""

    @property
    def project(self) -> str:
        """Return the project whose rows these are."""

    @property
    def author(self) -> str:
        """Return by which name the caller's changes are told: the key's, or `local`."""

    def charge(self, size_bytes: int) -> None:
        """Count bytes that were sent against the caller's rate; it is later requests that are refused for them."""


class Access(Protocol):
    """What decides, before anything of a request's body is read."""

    def admit(self, key: str, any_of: Scopes) -> Caller:
        """Return who calls with the key (empty: none was sent), where it has one of the scopes.

        It is called by the event loop, and asks no disk. Raises UnauthenticatedError, PermissionDeniedError, RateError.
        """


class Anybody:
    """The caller where no key is defined."""

    project = DEFAULT_PROJECT
    author = "local"

    def charge(self, size_bytes: int) -> None:
        """Count nothing."""


class OpenAccess:
    """Admits everybody, with any key or none, as the project ``default``."""

    def admit(self, key: str, any_of: Scopes) -> Caller:  # noqa: ARG002 - the contract's
        """Return anybody."""
        return ANYBODY


def presented_key(headers: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the API key among headers or metadata (names in lowercase); empty where there is none.

    It is in ``authorization: Bearer KEY`` or in ``x-api-key: KEY``; of one that is there twice the first counts.
    """
    bearer = own = ""
    for name, value in headers:
        if name == "authorization" and not bearer:
            bearer = bearer_token(str(value))
        elif name == "x-api-key" and not own:
            own = str(value).strip()
    return bearer or own


def bearer_token(value: str) -> str:
    """Return the token of an ``Authorization`` header's value; empty where its scheme is another."""
    scheme, _, token = value.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


ANYBODY = Anybody()
