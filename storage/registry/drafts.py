"""Drafts in the database: at most one a resource, read and written within a caller's transaction."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select

from storage.registry.resources import Authorship, Draft, Kind
from storage.registry.tables import resource_drafts as table
from storage.registry.versions import is_of


def get(connection: Connection, project: str, kind: Kind, key: str) -> Draft | None:
    """Return a resource's draft; None if it has none."""
    found = connection.execute(select(table).where(*is_of(table, project, kind, key))).one_or_none()
    return None if found is None else _draft(found)


def keys(connection: Connection, project: str, kind: Kind) -> frozenset[str]:
    """Return the keys of one kind of which there are drafts."""
    rows = connection.execute(select(table.c.key).where(table.c.project == project, table.c.kind == kind))
    return frozenset(rows.scalars())


def count(connection: Connection, project: str) -> int:
    """Return how many drafts a project has, of all kinds."""
    return connection.execute(select(func.count()).where(table.c.project == project)).scalar_one()


def put(
    connection: Connection, project: str, kind: Kind, key: str, *, body: str, based_on: int, by: Authorship
) -> Draft:
    """Write a resource's draft in the place of what it has."""
    remove(connection, project, kind, key)
    revision, now = secrets.token_hex(8), datetime.now(UTC)
    connection.execute(
        insert(table).values(
            project=project,
            kind=kind,
            key=key,
            revision=revision,
            body=body,
            based_on=based_on,
            author=by.author,
            updated_at=now,
        )
    )
    return Draft(key, orjson.loads(body), based_on, by.author, now, revision)


def remove(connection: Connection, project: str, kind: Kind, key: str) -> None:
    """Remove a resource's draft, if it has one."""
    connection.execute(delete(table).where(*is_of(table, project, kind, key)))


def _draft(row: Row[tuple[object, ...]]) -> Draft:
    return Draft(row.key, orjson.loads(row.body), row.based_on, row.author, row.updated_at, row.revision)
