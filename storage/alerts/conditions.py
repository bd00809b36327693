"""Which conditions hold: written when one comes or goes, with what is to be delivered of it, in one transaction.

Theory of operation. Several servers may share the database, each with data of its own, so that what one sees the other
may not: a condition that any of them has seen come is not raised again, and only the one that saw it come, and goes on
seeing it, may clear it. One whose server was not heard of for ``ORPHAN_AGE`` belongs to whoever looks next.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from storage.alerts.outbox import Delivery, enqueue, undelivered
from storage.alerts.tables import alert_conditions as table
from storage.registry.registry import Registry

SEEN_INTERVAL = timedelta(hours=1)
ORPHAN_AGE = timedelta(hours=6)

Identity = tuple[str, ...]
"""What tells a condition of an experiment from its others."""


@dataclass(frozen=True, slots=True)
class Held:
    """A condition that holds: since when, and whether this server may clear it."""

    id: str
    identity: Identity
    content: Mapping[str, Any]
    raised_at: datetime
    seen_at: datetime
    is_own: bool


@dataclass(frozen=True, slots=True)
class Raised:
    """A condition that has come."""

    identity: Identity
    content: Mapping[str, Any]


class Conditions:
    """The conditions of all experiments, as ``server`` sees them. Raises RegistryError."""

    def __init__(self, registry: Registry, server: str) -> None:
        self._registry = registry
        self._server = server

    def held(self, project: str, experiment: str, now: datetime) -> Sequence[Held]:
        """Return those of an experiment that hold."""
        return self._registry.read(lambda connection: self._held(connection, project, experiment, now))

    def change(
        self,
        project: str,
        experiment: str,
        raised: Sequence[Raised],
        cleared: Iterable[Identity],
        deliveries: Mapping[Identity, Sequence[Delivery]],
        now: datetime,
    ) -> Sequence[Delivery]:
        """Write what has come and gone, and put deliveries into the outbox; return those that were not there.

        ``deliveries`` are of the conditions that hold then; each is sent once, whatever else is written, and by whom.
        """
        gone = set(cleared)

        def work(connection: Connection) -> Sequence[Delivery]:
            held = {each.identity: each for each in self._held(connection, project, experiment, now)}
            self._clear(connection, [each for each in held.values() if each.identity in gone and each.is_own], now)
            ids = {each.identity: each.id for each in held.values() if each.identity not in gone}
            for each in raised:
                if each.identity not in held:
                    ids[each.identity] = self._raise(connection, project, experiment, each, now)
            self._refresh(connection, [each for each in held.values() if each.identity in ids], now)
            wanted = [(ids[identity], each) for identity, of in deliveries.items() if identity in ids for each in of]
            return enqueue(connection, wanted, now)

        return self._registry.change(work)

    def is_complete(self, held: Sequence[Held], deliveries: Mapping[Identity, Sequence[Delivery]]) -> bool:
        """Return whether every delivery of conditions that hold is in the outbox, or was."""
        wanted = [(each.id, delivery) for each in held for delivery in deliveries.get(each.identity, ())]
        return not wanted or not self._registry.read(lambda connection: undelivered(connection, wanted))

    def _held(self, connection: Connection, project: str, experiment: str, now: datetime) -> list[Held]:
        rows = connection.execute(
            select(table).where(
                table.c.project == project, table.c.experiment == experiment, table.c.cleared_at.is_(None)
            )
        )
        found = []
        for row in rows:
            content = orjson.loads(row.content)
            is_own = row.server == self._server or now - row.seen_at > ORPHAN_AGE
            identity = tuple(content.pop("identity"))
            found.append(Held(row.id, identity, content, row.raised_at, row.seen_at, is_own))
        return found

    def _raise(self, connection: Connection, project: str, experiment: str, raised: Raised, now: datetime) -> str:
        digest = hashlib.sha256(orjson.dumps(raised.identity)).hexdigest()
        # Of before: that one is over, and this is another one.
        connection.execute(
            delete(table).where(
                table.c.project == project, table.c.experiment == experiment, table.c.identity == digest
            )
        )
        made = uuid.uuid4().hex
        content = {**raised.content, "identity": raised.identity}
        connection.execute(
            insert(table).values(
                id=made,
                project=project,
                experiment=experiment,
                identity=digest,
                server=self._server,
                content=orjson.dumps(content).decode(),
                raised_at=now,
                seen_at=now,
            )
        )
        return made

    def _clear(self, connection: Connection, held: Sequence[Held], now: datetime) -> None:
        for each in held:
            connection.execute(update(table).where(table.c.id == each.id).values(cleared_at=now))

    def _refresh(self, connection: Connection, held: Sequence[Held], now: datetime) -> None:
        for each in held:
            if each.is_own and needs_refresh(each, now):
                connection.execute(update(table).where(table.c.id == each.id).values(seen_at=now, server=self._server))


def needs_refresh(held: Held, now: datetime) -> bool:
    """Return whether it is time to say that the condition is still seen."""
    return held.is_own and now - held.seen_at > SEEN_INTERVAL
