"""The registry as it is served: the latest version of every resource, held in memory and replaced as a whole.

Theory of operation. Rows of versions and of events are only ever added, by one writer at a time, so the last id of each
table tells whether there is anything new, and what: a reader looks at two indexes, then at the new rows alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select

from storage.registry.bodies import LISTS, served
from storage.registry.resources import Kind
from storage.registry.tables import resource_events as events
from storage.registry.tables import resource_versions as table

TAG_CHARS = 32

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Served:
    """One resource at one version; its body stays text, so that no reader can change what another one reads."""

    key: str
    version: int
    body: bytes

    def wire(self) -> dict[str, Any]:
        """Return the resource as a client gets it: ``{key, version, …}``."""
        return {"key": self.key, "version": self.version, **orjson.loads(self.body)}


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of a list as clients get it, and a tag that is another one where they differ."""

    body: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class ProjectSnapshot:
    """One project's resources by kind and key, those that are archived, and the older prompts that its tests pin."""

    latest: Mapping[Kind, Mapping[str, Served]] = field(default_factory=dict)
    archived: frozenset[tuple[Kind, str]] = frozenset()
    pinned_prompts: tuple[Served, ...] = ()
    _answers: dict[Kind, Answer] = field(default_factory=dict, compare=False)
    _prices: list[tuple[Served, ...]] = field(default_factory=list, compare=False)

    def get(self, kind: Kind, key: str) -> Served | None:
        """Return the latest version of one resource, also of one that is archived."""
        return self.latest.get(kind, {}).get(key)

    def all(self, kind: Kind) -> Iterable[Served]:
        """Return the latest versions of one kind, by key, without those that are archived."""
        for key, found in self.latest.get(kind, {}).items():
            if (kind, key) not in self.archived:
                yield found

    def listed(self, kind: Kind) -> list[dict[str, Any]]:
        """Return what clients are served of one kind.

        Before the prompts stand the older versions that a prompt test pins: the published clients learn of versions
        here alone, keep each, and take the last of a key as its current one.
        """
        before = self.pinned_prompts if kind == "prompt" else ()
        return [found.wire() for found in (*before, *self.all(kind))]

    def prices(self) -> tuple[Served, ...]:
        """Return the project's prices, always the same tuple."""
        if not self._prices:
            self._prices.append(tuple(self.all("price")))
        return self._prices[0]

    def answer(self, kind: Kind) -> Answer:
        """Return the same as bytes, made once."""
        made = self._answers.get(kind)
        if made is None:
            body = orjson.dumps({LISTS[kind]: self.listed(kind)})
            made = Answer(body, hashlib.sha256(body).hexdigest()[:TAG_CHARS])
            self._answers[kind] = made
        return made


NOTHING = ProjectSnapshot()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every project's resources at one moment."""

    stamp: Stamp = (0, 0)
    projects: Mapping[str, ProjectSnapshot] = field(default_factory=dict)

    def project(self, name: str) -> ProjectSnapshot:
        """Return one project's resources; none of any other's."""
        return self.projects.get(name, NOTHING)


def stamp(connection: Connection) -> Stamp:
    """Return what changes with every version written, and with every resource archived or restored."""
    versions = select(func.coalesce(func.max(table.c.id), 0)).scalar_subquery()
    changes = select(func.coalesce(func.max(events.c.id), 0)).scalar_subquery()
    version_id, event_id = connection.execute(select(versions, changes)).one()
    return version_id, event_id


def load(connection: Connection, known: Snapshot = Snapshot()) -> Snapshot:
    """Read what is new since ``known``; all of it where another database has taken the place of that one."""
    # The stamp first: what another statement finds that was written since is read once more, not missed.
    read = stamp(connection)
    if read == known.stamp:
        return known
    if read[0] < known.stamp[0] or read[1] < known.stamp[1]:
        known = Snapshot()
    versions = _new_versions(connection, known.stamp[0])
    archived = _new_events(connection, known.stamp[1])
    changed = {
        project: _merged(connection, project, known.project(project), versions[project], archived[project])
        for project in {*versions, *archived}
    }
    return Snapshot(read, {**known.projects, **changed})


def _new_versions(connection: Connection, after_id: int) -> defaultdict[str, dict[Kind, dict[str, Served]]]:
    newest = (
        select(func.max(table.c.id).label("id"))
        .where(table.c.id > after_id)
        .group_by(table.c.project, table.c.kind, table.c.key)
        .subquery()
    )
    found: defaultdict[str, dict[Kind, dict[str, Served]]] = defaultdict(lambda: defaultdict(dict))
    for row in connection.execute(select(table).join(newest, table.c.id == newest.c.id)):
        found[row.project][row.kind][row.key] = _served(row)
    return found


def _new_events(connection: Connection, after_id: int) -> defaultdict[str, dict[tuple[Kind, str], bool]]:
    found: defaultdict[str, dict[tuple[Kind, str], bool]] = defaultdict(dict)
    for row in connection.execute(select(events).where(events.c.id > after_id).order_by(events.c.id)):
        found[row.project][row.kind, row.key] = row.action == "archived"
    return found


def _merged(
    connection: Connection,
    project: str,
    known: ProjectSnapshot,
    versions: Mapping[Kind, Mapping[str, Served]],
    archived: Mapping[tuple[Kind, str], bool],
) -> ProjectSnapshot:
    latest = dict(known.latest)
    for kind, found in versions.items():
        latest[kind] = dict(sorted({**latest.get(kind, {}), **found}.items()))
    gone = {resource for resource in known.archived if archived.get(resource, True)}
    gone |= {resource for resource, is_archived in archived.items() if is_archived}
    merged = ProjectSnapshot(latest, frozenset(gone))
    return ProjectSnapshot(latest, merged.archived, tuple(_pinned(connection, project, merged)))


def _pinned(connection: Connection, project: str, resources: ProjectSnapshot) -> Iterator[Served]:
    for key, version in sorted({pin for test in resources.all("prompt_ab_test") for pin in _pins(test)}):
        current = resources.get("prompt", key)
        if current is not None and version < current.version:
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
    return Served(row.key, row.version, orjson.dumps(served(row.body)))
