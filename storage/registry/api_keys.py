"""API keys: made, listed and revoked; of a key its SHA-256 is kept, and the prefix by which people name it.

A key is 256 random bits, so a plain hash is as good as a slow one: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from schemas.scopes import Scope, Scopes
from storage.registry.database import Database
from storage.registry.errors import KeyNotFoundError, TooManyKeysError
from storage.registry.tables import api_keys as table

# All that count are held in memory by each server.
KEYS_MAX = 10_000
BUSY_TIMEOUT_MS = 5_000
LEAD = "fallom_"
PREFIX_CHARS = len(LEAD) + 12

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Rates:
    """How much a key may send; None is the server's own setting."""

    requests_per_s: float | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret."""

    prefix: str
    digest: bytes = field(repr=False)
    project: str
    name: str
    scopes: Scopes
    rates: Rates
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return ``active``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class ApiKeys:
    """The keys of all projects in the registry at ``url``; safe in threads, and among processes.

    Raises RegistryError when the database can't be used.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._database = Database(url, busy_timeout_ms=busy_timeout_ms)

    def close(self) -> None:
        """Close the database; safe twice."""
        self._database.close()

    def create(
        self,
        project: str,
        scopes: Scopes,
        *,
        name: str = "",
        rates: Rates = Rates(),
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return it and, for the only time, its text. Raises TooManyKeysError."""
        text = new_key()
        key = ApiKey(
            text[:PREFIX_CHARS], digest_of(text), project, name, scopes, rates, datetime.now(UTC), expires_at, None
        )
        with self._database.writing() as connection:
            count = connection.execute(select(func.count()).where(table.c.revoked_at.is_(None))).scalar_one()
            if count >= KEYS_MAX:
                raise TooManyKeysError(f"there are {count} keys that are not revoked, the limit: revoke some")
            connection.execute(insert(table).values(**_values(key)))
        return key, text

    def all(self, project: str | None = None) -> list[ApiKey]:
        """Return every key, of one project or of all, oldest first; those that are revoked or expired too."""
        wanted = select(table).order_by(table.c.id)
        if project is not None:
            wanted = wanted.where(table.c.project == project)
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(wanted)]

    def revoke(self, prefix: str) -> ApiKey:
        """Revoke the key of this prefix, also where it is revoked already. Raises KeyNotFoundError."""
        is_it = table.c.prefix == prefix
        with self._database.writing() as connection:
            connection.execute(
                update(table).where(is_it, table.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
            )
            row = connection.execute(select(table).where(is_it)).one_or_none()
        if row is None:
            raise KeyNotFoundError(f"no key {prefix!r} is known: `fallom-server keys list` names all by their prefix")
        return _key(row)

    def exist(self) -> bool:
        """Tell whether a key was ever made: revoked ones count, since their revocation must open no door."""
        with self._database.reading() as connection:
            return _stamp(connection)[0] > 0

    def stamp(self) -> Stamp:
        """Return what changes with every key that is made or revoked, read from the file as it is now."""
        self._database.reopen()
        with self._database.reading() as connection:
            return _stamp(connection)

    def unrevoked(self) -> tuple[Stamp, list[ApiKey]]:
        """Return the keys that are not revoked, and the stamp that they are of."""
        with self._database.reading() as connection:
            # The stamp first: what another statement finds that was written since is read once more, not missed.
            stamp = _stamp(connection)
            rows = connection.execute(select(table).where(table.c.revoked_at.is_(None)))
            return stamp, [_key(row) for row in rows]


def new_key() -> str:
    """Return a new key's text: what it is for, 48 bits by which people name it, 256 bits that make it a key."""
    return f"{LEAD}{secrets.token_hex(6)}_{secrets.token_hex(32)}"


def digest_of(key: str) -> bytes:
    """Return the hash by which a key is known."""
    return hashlib.sha256(key.encode()).digest()


def _stamp(connection: Connection) -> Stamp:
    # Rows are never removed, and a revocation is for ever.
    columns = func.count(), func.coalesce(func.max(table.c.id), 0), func.count(table.c.revoked_at)
    count, last_id, revoked = connection.execute(select(*columns)).one()
    return count, last_id, revoked


def _values(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "sha256": key.digest.hex(),
        "project": key.project,
        "name": key.name,
        "scopes": ",".join(sorted(key.scopes)),
        "requests_per_s": key.rates.requests_per_s,
        "bytes_per_s": key.rates.bytes_per_s,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        prefix=row.prefix,
        digest=bytes.fromhex(row.sha256),
        project=row.project,
        name=row.name,
        # One that a later version may know gives no right here.
        scopes=frozenset(scope for scope in Scope if scope.value in row.scopes.split(",")),
        rates=Rates(row.requests_per_s, row.bytes_per_s),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
