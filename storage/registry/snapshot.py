"""The registry as it is served: the latest version of every resource, held in memory and replaced as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, and_, func, select

from storage.registry.resources import Kind
from storage.registry.tables import resource_versions as table


@dataclass(frozen=True, slots=True)
class Served:
    """One resource at one version; its body stays text, so that no reader can change what another one reads."""

    key: str
    version: int
    body: str

    def wire(self) -> dict[str, Any]:
        """Return the resource as a client gets it: ``{key, version, …}``."""
        return {"key": self.key, "version": self.version, **orjson.loads(self.body)}


@dataclass(frozen=True, slots=True)
class ProjectSnapshot:
    """One project's resources by kind and key, and the older prompt versions that its prompt tests pin."""

    latest: Mapping[Kind, Mapping[str, Served]] = field(default_factory=dict)
    pinned_prompts: tuple[Served, ...] = ()

    def get(self, kind: Kind, key: str) -> Served | None:
        """Return the latest version of one resource."""
        return self.latest.get(kind, {}).get(key)

    def all(self, kind: Kind) -> Iterable[Served]:
        """Return the latest versions of one kind, by key."""
        return self.latest.get(kind, {}).values()


NOTHING = ProjectSnapshot()

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every project's resources at one moment."""

    stamp: Stamp
    projects: Mapping[str, ProjectSnapshot]

    def project(self, name: str) -> ProjectSnapshot:
        """Return one project's resources; none of any other's."""
        return self.projects.get(name, NOTHING)


def stamp(connection: Connection) -> Stamp:
    """Return what changes with every version written: rows are only ever added, so their count and last id tell."""
    count, last_id = connection.execute(select(func.count(), func.coalesce(func.max(table.c.id), 0))).one()
    return count, last_id


def load(connection: Connection) -> Snapshot:
    """Read the whole snapshot."""
    # The stamp first: what another statement finds that was written since is read once more, not missed.
    read = stamp(connection)
    latest: dict[str, dict[Kind, dict[str, Served]]] = defaultdict(lambda: defaultdict(dict))
    for row in sorted(connection.execute(_latest()), key=lambda row: str(row.key)):
        latest[row.project][row.kind][row.key] = _served(row)
    projects = {
        project: ProjectSnapshot(kinds, tuple(_pinned(connection, project, kinds))) for project, kinds in latest.items()
    }
    return Snapshot(read, projects)


def _latest() -> Select[Any]:
    newest = (
        select(table.c.project, table.c.kind, table.c.key, func.max(table.c.version).label("version"))
        .group_by(table.c.project, table.c.kind, table.c.key)
        .subquery()
    )
    same = and_(*(table.c[name] == newest.c[name] for name in ("project", "kind", "key", "version")))
    return select(table).join(newest, same)


def _pinned(connection: Connection, project: str, kinds: Mapping[Kind, Mapping[str, Served]]) -> Iterator[Served]:
    prompts = kinds.get("prompt", {})
    tests = kinds.get("prompt_ab_test", {})
    for key, version in sorted({pin for test in tests.values() for pin in _pins(test)}):
        if key in prompts and version < prompts[key].version:
            row = connection.execute(
                select(table).where(
                    table.c.project == project,
                    table.c.kind == "prompt",
                    table.c.key == key,
                    table.c.version == version,
                )
            ).one_or_none()
            if row is not None:
                yield _served(row)


def _pins(test: Served) -> Iterator[tuple[str, int]]:
    for variant in orjson.loads(test.body)["variants"]:
        if "prompt_version" in variant:
            yield variant["prompt_key"], variant["prompt_version"]


def _served(row: Row[Any]) -> Served:
    return Served(row.key, row.version, row.body)
