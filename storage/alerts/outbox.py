"""The outbox: what is to be delivered, by whom it is being sent, and what became of it.

Theory of operation. A delivery is put in in the transaction that finds its reason, with a key that makes it the only
one. Who sends it claims it first (``UPDATE … WHERE``, so that one of several servers gets it) until a moment; if that
passes without a word the claim is void, and it is sent again under the same id: at least once, and by its id, once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, update

from storage.alerts.tables import alert_conditions as conditions
from storage.alerts.tables import alert_deliveries as table
from storage.registry.registry import Registry

WAITING_MAX = 10_000
"""Of a project. What finds no room is put in later, if it is still so."""
KEPT = timedelta(days=30)
_ENDED = ("delivered", "given_up")

Channel = Literal["webhook", "email"]
State = Literal["waiting", "sending", "delivered", "given_up"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is to be delivered; ``body`` is JSON without the delivery's id."""

    project: str
    alert: str
    channel: Channel
    experiment: str
    kind: str
    body: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is this server's to send, until the claim ends; ``attempts`` counts this one."""

    id: str
    claim: str
    attempts: int
    created_at: datetime
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a delivery so far; ``next_at`` is when it is tried next, None where it is over."""

    id: str
    alert: str
    channel: Channel
    experiment: str
    kind: str
    state: State
    attempts: int
    error: str
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None


class Outbox:
    """The deliveries in a registry's database; safe in threads, and among servers. Raises RegistryError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def claim(self, count: int, now: datetime, lease: timedelta) -> list[Claimed]:
        """Return at most ``count`` deliveries that are due, the longest due first, each claimed for so long."""
        due = select(table.c.id).where(*_is_due(now)).order_by(table.c.next_at).limit(count)
        if not self._registry.read(lambda connection: connection.execute(due).first()):
            return []

        def work(connection: Connection) -> list[Claimed]:
            ids = connection.execute(due).scalars().all()
            return [found for each in ids if (found := _claim(connection, each, now, lease)) is not None]

        return self._registry.change(work)

    def add_claimed(self, delivery: Delivery, now: datetime, lease: timedelta) -> Claimed:
        """Put a delivery in that is sent at once, by who puts it in."""

        def work(connection: Connection) -> Claimed:
            made = uuid.uuid4().hex
            _insert(connection, made, made, delivery, now)
            found = _claim(connection, made, now, lease)
            if found is None:
                raise RuntimeError(f"delivery {made} was claimed before it was there")
            return found

        return self._registry.change(work)

    def delivered(self, claimed: Claimed, now: datetime, error: str = "") -> None:
        """Write that it was taken; ``error`` where not by all."""
        self._end(claimed, "delivered", error, now)

    def give_up(self, claimed: Claimed, error: str, now: datetime) -> None:
        """Write that it won't be tried again, and why."""
        self._end(claimed, "given_up", error, now)

    def retry(self, claimed: Claimed, error: str, next_at: datetime) -> None:
        """Write when it is tried again, and why it was not delivered."""
        self._set(claimed, state="waiting", error=error, next_at=next_at)

    def status(self, project: str, delivery_id: str) -> Status | None:
        """Return what became of one delivery; None where there is none of that id."""
        wanted = select(table).where(table.c.project == project, table.c.id == delivery_id)
        row = self._registry.read(lambda connection: connection.execute(wanted).one_or_none())
        return None if row is None else _status(row)

    def listed(
        self, project: str, *, alert: str | None = None, state: State | None = None, limit: int = 100
    ) -> list[Status]:
        """Return a project's deliveries, the newest first."""
        wanted = select(table).where(table.c.project == project).order_by(table.c.created_at.desc(), table.c.id)
        if alert is not None:
            wanted = wanted.where(table.c.alert == alert)
        if state is not None:
            wanted = wanted.where(table.c.state == state)
        rows = self._registry.read(lambda connection: connection.execute(wanted.limit(limit)).all())
        return [_status(row) for row in rows]

    def prune(self, now: datetime) -> None:
        """Forget what was over long ago; a delivery whose condition still holds stays: it must not be sent again."""
        before = now - KEPT
        holds = exists().where(conditions.c.id == table.c.condition_id, conditions.c.cleared_at.is_(None))
        old = (table.c.state.in_(_ENDED), table.c.created_at < before, ~holds)
        over = (conditions.c.cleared_at.is_not(None), conditions.c.cleared_at < before)

        def is_any(connection: Connection) -> bool:
            deliveries = connection.execute(select(table.c.id).where(*old).limit(1)).first()
            return bool(deliveries or connection.execute(select(conditions.c.id).where(*over).limit(1)).first())

        def work(connection: Connection) -> None:
            connection.execute(delete(table).where(*old))
            connection.execute(delete(conditions).where(*over))

        if self._registry.read(is_any):
            self._registry.change(work)

    def _end(self, claimed: Claimed, state: State, error: str, now: datetime) -> None:
        self._set(claimed, state=state, error=error, ended_at=now)

    def _set(self, claimed: Claimed, **values: Any) -> None:
        # Not where the claim was void by then: it is another one's now.
        wanted = update(table).where(table.c.id == claimed.id, table.c.claim == claimed.claim)
        self._registry.change(lambda connection: connection.execute(wanted.values(claim=None, **values)))


def undelivered(connection: Connection, wanted: Iterable[tuple[str, Delivery]]) -> list[tuple[str, Delivery]]:
    """Return of deliveries, each with its condition's id, those that were never put in."""
    wanted = list(wanted)
    ids = {condition for condition, _ in wanted}
    there: set[tuple[str, str, str]] = set()
    columns = (table.c.condition_id, table.c.alert, table.c.channel)
    for condition in ids:
        there.update(tuple(row) for row in connection.execute(select(*columns).where(columns[0] == condition)))
    return [(condition, each) for condition, each in wanted if (condition, each.alert, each.channel) not in there]


def enqueue(connection: Connection, wanted: Iterable[tuple[str, Delivery]], now: datetime) -> list[Delivery]:
    """Put in deliveries that never were, as long as there is room; return them."""
    made: list[Delivery] = []
    room: dict[str, int] = {}
    for condition, each in undelivered(connection, wanted):
        if each.project not in room:
            room[each.project] = WAITING_MAX - _waiting(connection, each.project)
        if room[each.project] > 0:
            room[each.project] -= 1
            _insert(connection, uuid.uuid4().hex, condition, each, now)
            made.append(each)
    return made


def _waiting(connection: Connection, project: str) -> int:
    wanted = select(func.count()).where(table.c.project == project, table.c.state.in_(("waiting", "sending")))
    return connection.execute(wanted).scalar_one()


def _insert(connection: Connection, made: str, condition: str, delivery: Delivery, now: datetime) -> None:
    connection.execute(
        insert(table).values(
            id=made,
            condition_id=condition,
            project=delivery.project,
            alert=delivery.alert,
            channel=delivery.channel,
            experiment=delivery.experiment,
            kind=delivery.kind,
            body=delivery.body,
            state="waiting",
            attempts=0,
            next_at=now,
            error="",
            created_at=now,
        )
    )


def _is_due(now: datetime) -> tuple[Any, ...]:
    return (or_(table.c.state == "waiting", table.c.state == "sending"), table.c.next_at <= now)


def _claim(connection: Connection, delivery_id: str, now: datetime, lease: timedelta) -> Claimed | None:
    claim = uuid.uuid4().hex
    claimed = connection.execute(
        update(table)
        .where(table.c.id == delivery_id, *_is_due(now))
        .values(state="sending", claim=claim, next_at=now + lease, attempts=table.c.attempts + 1)
    )
    if claimed.rowcount != 1:
        return None
    row = connection.execute(select(table).where(table.c.id == delivery_id)).one()
    delivery = Delivery(row.project, row.alert, row.channel, row.experiment, row.kind, row.body)
    return Claimed(row.id, claim, row.attempts, row.created_at, delivery)


def _status(row: Row[Any]) -> Status:
    is_over = row.state in _ENDED
    return Status(
        row.id,
        row.alert,
        row.channel,
        row.experiment,
        row.kind,
        row.state,
        row.attempts,
        row.error,
        row.created_at,
        None if is_over else row.next_at,
        row.ended_at,
    )
