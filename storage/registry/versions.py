"""Versions and the archive in the database: read and written within a caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Row, func, insert, select

from storage.registry.resources import Authorship, Kind, Version
from storage.registry.tables import resource_events as events
from storage.registry.tables import resource_versions as table

Event = Row[Any]


def latest(connection: Connection, project: str, kind: Kind, key: str) -> Version | None:
    """Return the latest version of a resource; None if there is no such resource."""
    found = connection.execute(
        select(table).where(*is_of(table, project, kind, key)).order_by(table.c.version.desc()).limit(1)
    ).one_or_none()
    return None if found is None else version_of(found)


def at(connection: Connection, project: str, kind: Kind, key: str, version: int) -> Version | None:
    """Return one version of a resource; None if there is no such one."""
    if not 1 <= version < 2**31:
        return None
    found = connection.execute(
        select(table).where(*is_of(table, project, kind, key), table.c.version == version)
    ).one_or_none()
    return None if found is None else version_of(found)


def history(connection: Connection, project: str, kind: Kind, key: str) -> Sequence[Version]:
    """Return every version of a resource, oldest first."""
    rows = connection.execute(select(table).where(*is_of(table, project, kind, key)).order_by(table.c.version))
    return [version_of(row) for row in rows]


def all_latest(connection: Connection, project: str, kind: Kind) -> Sequence[Version]:
    """Return the latest version of every resource of a kind, by key."""
    newest = (
        select(table.c.key, func.max(table.c.version).label("version"))
        .where(table.c.project == project, table.c.kind == kind)
        .group_by(table.c.key)
        .subquery()
    )
    rows = connection.execute(
        select(table)
        .join(newest, (table.c.key == newest.c.key) & (table.c.version == newest.c.version))
        .where(table.c.project == project, table.c.kind == kind)
    )
    return sorted((version_of(row) for row in rows), key=lambda version: version.key)


def add(
    connection: Connection,
    project: str,
    kind: Kind,
    key: str,
    *,
    version: int,
    body: str,
    by: Authorship,
    restored_from: int | None = None,
) -> None:
    """Write a version."""
    connection.execute(
        insert(table).values(
            project=project,
            kind=kind,
            key=key,
            version=version,
            body=body,
            created_at=datetime.now(UTC),
            author=by.author,
            note=by.note,
            restored_from=restored_from,
        )
    )


def counts(connection: Connection, project: str) -> Mapping[Kind, int]:
    """Return how many resources of each kind a project has, with those that are archived."""
    rows = connection.execute(
        select(table.c.kind, func.count())
        .where(table.c.project == project, table.c.version == 1)
        .group_by(table.c.kind)
    )
    return {kind: count for kind, count in rows}  # noqa: C416 - rows are no pairs to the type checker


def last_events(connection: Connection, project: str, kind: Kind) -> Mapping[str, Event]:
    """Return, by key, what was done last to the resources that were ever archived."""
    rows = connection.execute(
        select(events).where(events.c.project == project, events.c.kind == kind).order_by(events.c.id)
    )
    return {row.key: row for row in rows}


def last_event(connection: Connection, project: str, kind: Kind, key: str) -> Event | None:
    """Return what was done last to a resource; None where it was never archived."""
    return connection.execute(
        select(events).where(*is_of(events, project, kind, key)).order_by(events.c.id.desc()).limit(1)
    ).one_or_none()


def is_archived(event: Event | None) -> bool:
    """Return whether the event is the archiving."""
    return event is not None and event.action == "archived"


def add_event(
    connection: Connection, project: str, kind: Kind, key: str, action: Literal["archived", "restored"], by: Authorship
) -> None:
    """Write that a resource was archived or restored."""
    connection.execute(
        insert(events).values(
            project=project,
            kind=kind,
            key=key,
            action=action,
            author=by.author,
            note=by.note,
            created_at=datetime.now(UTC),
        )
    )


def is_of(rows: Any, project: str, kind: Kind, key: str) -> tuple[Any, ...]:
    """Return the conditions that choose one resource's rows of a table."""
    return rows.c.project == project, rows.c.kind == kind, rows.c.key == key


def version_of(row: Row[Any]) -> Version:
    """Return the version in a row."""
    return Version(
        row.key, row.version, orjson.loads(row.body), row.author, row.note, row.created_at, row.restored_from
    )
