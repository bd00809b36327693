"""Results of experiments as they were shown, in the registry's database: what was seen stays readable, come what may.

Every snapshot of the last days is kept, then the last of each UTC day, up to an age; that of an experiment's end too. A
server keeps those of its own rows, since several may share a registry.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from storage.registry.registry import Registry
from storage.registry.tables import result_snapshots

EACH_KEPT = timedelta(days=7)
KEPT = timedelta(days=400)
LISTED_MAX = 500
_DELETED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """When results were kept, by which versions, and whether they are those of the experiment's end."""

    as_of: datetime
    config_version: int
    settings_version: int | None
    is_last: bool


class ResultSnapshots:
    """The snapshots of one server. Raises RegistryError where the database can't be used."""

    def __init__(self, registry: Registry, server: str) -> None:
        self._registry = registry
        self._server = server

    def keep(self, project: str, key: str, results: dict[str, Any], *, is_last: bool = False) -> bool:
        """Keep results by their ``as_of``; return whether they were kept: not where there are some of that moment."""
        told = results["experiment"]
        as_of = datetime.fromisoformat(told["as_of"])
        row = {
            "server": self._server,
            "project": project,
            "key": key,
            "as_of": as_of,
            "config_version": told["config_version"],
            "settings_version": told["settings_version"],
            "is_last": is_last,
            "body": zlib.compress(orjson.dumps(results)),
        }
        return self._registry.change(lambda connection: self._keep(connection, row))

    def latest(self, project: str, key: str, until: datetime | None = None) -> dict[str, Any] | None:
        """Return the latest results that were kept, until a moment; None where there are none."""
        wanted = select(result_snapshots.c.body).where(*self._of(project, key))
        if until is not None:
            wanted = wanted.where(result_snapshots.c.as_of <= until)
        wanted = wanted.order_by(result_snapshots.c.as_of.desc()).limit(1)
        body = self._registry.read(lambda connection: connection.execute(wanted).scalar())
        return None if body is None else orjson.loads(zlib.decompress(body))

    def taken(self, project: str, key: str, before: datetime | None = None) -> list[Taken]:
        """Return what is kept, before a moment: the latest first, ``LISTED_MAX`` at most."""
        names = ("as_of", "config_version", "settings_version", "is_last")
        wanted = select(*(result_snapshots.c[name] for name in names)).where(*self._of(project, key))
        if before is not None:
            wanted = wanted.where(result_snapshots.c.as_of < before)
        wanted = wanted.order_by(result_snapshots.c.as_of.desc()).limit(LISTED_MAX)
        return [Taken(*row) for row in self._registry.read(lambda connection: connection.execute(wanted).all())]

    def has_last(self, project: str, key: str, as_of: datetime) -> bool:
        """Return whether the results of an end at that moment are kept."""
        wanted = select(result_snapshots.c.id).where(
            *self._of(project, key), result_snapshots.c.as_of == as_of, result_snapshots.c.is_last
        )
        return self._registry.read(lambda connection: connection.execute(wanted).first()) is not None

    def _keep(self, connection: Connection, row: dict[str, Any]) -> bool:
        of_resource = self._of(row["project"], row["key"])
        columns = (result_snapshots.c.id, result_snapshots.c.as_of, result_snapshots.c.is_last)
        wanted = select(*columns).where(*of_resource).order_by(result_snapshots.c.as_of.desc())
        known = connection.execute(wanted).all()
        if any(each.as_of == row["as_of"] for each in known):
            return False
        connection.execute(insert(result_snapshots).values(**row))
        gone = [each.id for each in _too_old(known, row["as_of"])]
        for start in range(0, len(gone), _DELETED_AT_ONCE):
            some = gone[start : start + _DELETED_AT_ONCE]
            connection.execute(delete(result_snapshots).where(result_snapshots.c.id.in_(some)))
        return True

    def _of(self, project: str, key: str) -> tuple[Any, ...]:
        table = result_snapshots.c
        return table.server == self._server, table.project == project, table.key == key


def _too_old(known: Sequence[Any], now: datetime) -> Iterator[Any]:
    """Yield those of ``known``, the latest first, that are not to be kept any longer."""
    days: set[object] = set()
    for each in known:
        age = now - each.as_of
        is_another = age > EACH_KEPT and each.as_of.date() in days
        days.add(each.as_of.date())
        if age > KEPT or (is_another and not each.is_last):
            yield each
