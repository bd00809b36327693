"""The registry of configs, prompts, prices, experiments, alerts …: written in transactions, served from memory.

Every change makes a new version; a version never changes. Readers see a snapshot that is at most half a second old
(another process may have written) and that holds this process's own changes at once. Once ``follow`` was called a
thread keeps the snapshot new, so that no reader waits for a database; before, the reader that finds it old reads it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from schemas.api.registry import RegistryDocument
from storage.registry import changes as changing
from storage.registry import versions
from storage.registry.advice import collisions, lost_controls
from storage.registry.bodies import served
from storage.registry.database import Database
from storage.registry.errors import ConflictError, RegistryError
from storage.registry.resources import UNSIGNED, Authorship, Change, ConfigVersion, Kind
from storage.registry.snapshot import Answer, Served, Snapshot, Stamp, load
from storage.registry.tables import resource_versions as table

SNAPSHOT_AGE_MAX_S = 0.5
BUSY_TIMEOUT_MS = 5_000
ATTEMPTS_MAX = 10
STOP_S_MAX = 10.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class Registry:
    """The registry at ``url``: SQLite by ``sqlite:///PATH`` (directory and file are made), PostgreSQL by its URL.

    Safe in threads, and among processes. Raises RegistryError (see storage/registry/errors.py) when the database
    cannot be used; reads served from memory keep the last snapshot instead.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._database = Database(url, busy_timeout_ms=busy_timeout_ms)
        self._reloading = threading.Lock()
        self._checked_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_stale = False
        try:
            self._snapshot = self.read(load)
        except RegistryError:
            self.close()
            raise

    @property
    def is_file(self) -> bool:
        """Return whether the database is a file of this machine."""
        return self._database.is_file

    @property
    def stamp(self) -> Stamp:
        """Return what is another one after every change, as far as it is known here."""
        return self._current().stamp

    def follow(self) -> None:
        """Begin to read in the background what other processes write."""
        self._thread = threading.Thread(target=self._follow, name="registry", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Serve what other processes have written until now. Raises RegistryError where that can't be read."""
        with self._reloading:
            self._snapshot = self.read(lambda connection: load(connection, self._snapshot))

    def close(self) -> None:
        """Stop following and close the database; safe twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the database, as it is at one moment, to a new file. Raises RegistryError."""
        self._database.copy_to(path)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` reads of the database, at one moment."""
        with self._database.reading() as connection:
            return work(connection)

    def change(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` answers, once all that it wrote is on disk and is what this process serves.

        ``work`` is the only writer, and writes nothing where it raises. It may be run again.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with self._database.writing() as connection:
                    answer = work(connection)
                break
            except ConflictError:
                # Only where another program writes without the lock; by now its version is there.
                if attempt == ATTEMPTS_MAX:
                    raise
        with self._reloading:
            self._reload()
        return answer

    def apply(self, project: str, document: RegistryDocument, by: Authorship = UNSIGNED) -> list[Change]:
        """Make the document's resources the latest ones, all or none; return what happened to each, in its order.

        A changed body makes the next version, an equal one none. On return the change is on disk and is what this
        process serves. Raises DocumentError for a prompt test without its prompt and for a resource that is archived,
        RegistryBusyError if another process holds the database too long.
        """
        made = self.change(lambda connection: changing.apply(connection, project, document, by))
        return [replace(change, differences=()) for change in self._with_collisions(project, made)]

    def plan(self, project: str, document: RegistryDocument) -> list[Change]:
        """Return what ``apply`` would do, with the differences, and do nothing."""

        def work(connection: Connection) -> None:
            raise _PlannedError(changing.apply(connection, project, document, UNSIGNED))

        try:
            self.change(work)
        except _PlannedError as planned:
            return self._with_collisions(project, planned.changes)
        raise AssertionError("a plan was carried out")

    def served(self, project: str, kind: Kind) -> Answer:
        """Return what clients are served of one kind, as bytes; from memory."""
        return self._current().project(project).answer(kind)

    def configs(self, project: str) -> list[dict[str, Any]]:
        """Return the latest version of every config: ``{key, version, variants, targeting?, …}``, by key."""
        return self._current().project(project).listed("config")

    def config(self, project: str, key: str, version: int) -> dict[str, Any] | None:
        """Return one version of a config, as in ``configs``; None if there is none."""
        latest = self._current().project(project).get("config", key)
        if latest is None or not 1 <= version <= latest.version:
            return None
        if version == latest.version:
            return latest.wire()
        text = self.read(
            lambda connection: connection.execute(
                select(table.c.body).where(*versions.is_of(table, project, "config", key), table.c.version == version)
            ).scalar()
        )
        return None if text is None else {"key": key, "version": version, **served(text)}

    def config_versions(self, project: str, key: str) -> list[ConfigVersion]:
        """Return every version of a config, oldest first; read from the database."""
        return self._versions(project, "config", key)

    def prompt_ab_test_versions(self, project: str, key: str) -> list[ConfigVersion]:
        """Return every version of a prompt test, likewise."""
        return self._versions(project, "prompt_ab_test", key)

    def _versions(self, project: str, kind: Kind, key: str) -> list[ConfigVersion]:
        columns = (table.c.version, table.c.created_at, table.c.body)
        wanted = select(*columns).where(*versions.is_of(table, project, kind, key)).order_by(table.c.version)
        rows = self.read(lambda connection: connection.execute(wanted).all())
        return [ConfigVersion(row.version, row.created_at, served(row.body)) for row in rows]

    def knows_config(self, project: str, key: str) -> bool:
        """Tell whether the project has a config of this key, also one that is archived."""
        return self._current().project(project).get("config", key) is not None

    def latest_version(self, project: str, key: str) -> int | None:
        """Return the number of a config's latest version, from memory; None if there is none, or it is archived."""
        known = self._current().project(project)
        latest = known.get("config", key)
        return None if latest is None or ("config", key) in known.archived else latest.version

    def prompts(self, project: str) -> list[dict[str, Any]]:
        """Return every prompt: ``{key, version, system_prompt, user_template}``, by key, after older ones pinned."""
        return self._current().project(project).listed("prompt")

    def prompt_ab_tests(self, project: str) -> list[dict[str, Any]]:
        """Return the latest prompt tests, by key: ``{key, version, variants}``, a variant as in the document."""
        return self._current().project(project).listed("prompt_ab_test")

    @property
    def projects(self) -> tuple[str, ...]:
        """Return the projects that have any resource, by name, from memory."""
        return tuple(sorted(self._current().projects))

    def experiments(self, project: str) -> list[dict[str, Any]]:
        """Return the latest version of every experiment, by key, from memory."""
        return self._current().project(project).listed("experiment")

    def experiment(self, project: str, key: str) -> dict[str, Any] | None:
        """Return the latest version of an experiment, from memory; None if there is none, or it is archived."""
        known = self._current().project(project)
        latest = known.get("experiment", key)
        return None if latest is None or ("experiment", key) in known.archived else latest.wire()

    def alerts(self, project: str) -> list[dict[str, Any]]:
        """Return the latest version of every alert, by key, from memory, with its secret: not to be shown."""
        return self._current().project(project).listed("alert")

    def projects_with(self, kind: Kind) -> list[str]:
        """Return the projects that have a resource of a kind in use, from memory."""
        known = self._current().projects
        return [name for name, resources in known.items() if any(True for _ in resources.all(kind))]

    def prices(self, project: str) -> tuple[Served, ...]:
        """Return the project's own prices, from memory: always the same tuple while nothing of the project changes."""
        return self._current().project(project).prices()

    def _with_collisions(self, project: str, made: list[Change]) -> list[Change]:
        if not any(change.kind == "config" for change in made):
            return made
        configs = {config["key"]: config for config in self.configs(project)}
        told = [collisions(configs.items()), lost_controls(configs, self.experiments(project))]
        return [
            replace(change, warnings=(*change.warnings, *(of[change.key] for of in told if change.key in of)))
            if change.kind == "config"
            else change
            for change in made
        ]

    def _current(self) -> Snapshot:
        if self._thread is not None:
            return self._snapshot
        stale = time.monotonic() - self._checked_at > SNAPSHOT_AGE_MAX_S
        # One thread reloads; the others go on with what there is, rather than wait for it.
        if stale and self._reloading.acquire(blocking=False):
            try:
                self._reload()
            finally:
                self._reloading.release()
        return self._snapshot

    def _follow(self) -> None:
        while not self._stopping.wait(SNAPSHOT_AGE_MAX_S):
            try:
                with self._reloading:
                    self._reload()
            except Exception:
                log.exception("the registry could not be read; it is served as last read")

    def _reload(self) -> None:
        try:
            self._snapshot = self.read(lambda connection: load(connection, self._snapshot))
        except RegistryError as err:
            # Once, not at each attempt: a database may be away for hours.
            if not self._is_stale:
                log.warning("serving the registry as last read: %s", err)
            self._is_stale = True
        else:
            if self._is_stale:
                log.info("the registry can be read again")
            self._is_stale = False
        self._checked_at = time.monotonic()


class _PlannedError(Exception):
    """Ends a transaction of which nothing is to be kept."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__()
        self.changes = changes
