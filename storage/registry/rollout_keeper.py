"""Follows the rollouts of all configs: a step that is due becomes the config's next version.

Several servers may do so on one registry: a step is taken in the transaction that finds it due, and is not there for
the next one. What fell due while no server ran is made good at once, by the last such step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from schemas.api.config import Config
from storage.registry import changes, versions
from storage.registry.bodies import resource_of
from storage.registry.errors import DocumentError, RegistryError
from storage.registry.registry import Registry
from storage.registry.resources import Authorship, Change
from storage.registry.rollouts import with_weights
from storage.registry.tables import resource_versions as table

AUTHOR = "rollout"
INTERVAL_S = 0.5
STOP_S_MAX = 10.0

logger = logging.getLogger(__name__)

_Place = tuple[str, str]
"""A project and a config's key."""


class RolloutKeeper:
    """Takes steps when they are due, in a thread of its own; ``now`` tells the time."""

    def __init__(self, registry: Registry, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._registry = registry
        self._now = now
        self._next: dict[_Place, datetime] = {}
        self._known: object = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="rollouts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; safe twice and without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
            self._thread = None

    def advance(self) -> list[Change]:
        """Take all steps that are due; return the changes. Raises RegistryError."""
        stamp = self._registry.stamp
        if stamp != self._known:
            self._next = self._registry.read(_waiting)
            self._known = stamp
        now = self._now()
        due = [place for place, at in self._next.items() if at <= now]
        return [change for place in due if (change := self._take(place, now)) is not None]

    def _take(self, place: _Place, now: datetime) -> Change | None:
        change = self._registry.change(lambda connection: _step(connection, *place, now))
        # Also where there was none: an archived config is looked at again when it changes.
        del self._next[place]
        if change is not None:
            logger.info("config %s of project %s: version %d by its rollout", place[1], place[0], change.version)
        return change

    def _run(self) -> None:
        is_failing = False
        while not self._stopping.wait(INTERVAL_S):
            try:
                self.advance()
                is_failing = False
            except RegistryError as error:
                (logger.debug if is_failing else logger.error)("rollouts wait, and are tried again: %s", error)
                is_failing = True
            except Exception:
                logger.exception("a rollout could not be followed, and is tried again")


def _waiting(connection: Connection) -> dict[_Place, datetime]:
    """Return when the next step of each config that has one is due."""
    newest = (
        select(table.c.project, table.c.key, func.max(table.c.version).label("version"))
        .where(table.c.kind == "config")
        .group_by(table.c.project, table.c.key)
        .subquery()
    )
    same = (table.c.project == newest.c.project) & (table.c.key == newest.c.key) & (table.c.version == newest.c.version)
    rows = connection.execute(
        select(table).join(newest, same).where(table.c.kind == "config", table.c.body.contains('"rollout":'))
    )
    found = {}
    for row in rows:
        try:
            config = resource_of("config", row.key, versions.version_of(row).body)
        except DocumentError as error:
            # One that this version refuses must not keep the others waiting.
            logger.error("the rollout of config %s of project %s is not followed: %s", row.key, row.project, error)  # noqa: TRY400 - the text says all
            continue
        if isinstance(config, Config) and config.rollout is not None:
            found[row.project, row.key] = config.rollout.steps[0].at
    return found


def _step(connection: Connection, project: str, key: str, now: datetime) -> Change | None:
    latest = versions.latest(connection, project, "config", key)
    if latest is None or versions.is_archived(versions.last_event(connection, project, "config", key)):
        return None
    config = resource_of("config", key, latest.body)
    if not isinstance(config, Config) or config.rollout is None:
        return None
    step, rest = config.rollout.due(now)
    if step is None:
        return None
    left = len(rest.steps) if rest else 0
    note = f"step due at {step.at.isoformat()}, {left} to come"
    resource = with_weights(config, step.weights, rest)
    return changes.make_latest(connection, project, "config", resource, Authorship(AUTHOR, note))
