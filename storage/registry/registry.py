"""The registry of configs, prompts and prompt tests: written by ``apply``, served from memory.

Every change makes a new version; a version never changes. Readers see a snapshot that is at most half a second old
(another process may have applied) and that holds this process's own applies at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from schemas.api.problems import Problem
from schemas.api.registry import Config, Prompt, PromptTest, RegistryDocument
from storage.registry.advice import collisions, warnings
from storage.registry.database import Database
from storage.registry.errors import ConflictError, DocumentError, RegistryError
from storage.registry.resources import Action, Change, ConfigVersion, Kind
from storage.registry.snapshot import Snapshot, load, stamp
from storage.registry.tables import resource_versions as table

SNAPSHOT_AGE_MAX_S = 0.5
BUSY_TIMEOUT_MS = 5_000
ATTEMPTS_MAX = 10

log = logging.getLogger(__name__)


class Registry:
    """The registry at ``url``: SQLite by ``sqlite:///PATH`` (directory and file are made), PostgreSQL by its URL.

    Safe in threads, and among processes. Raises RegistryError (see storage/registry/errors.py) when the database
    cannot be used; reads served from memory keep the last snapshot instead.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._database = Database(url, busy_timeout_ms=busy_timeout_ms)
        self._reloading = threading.Lock()
        self._checked_at = time.monotonic()
        try:
            with self._database.reading() as connection:
                self._snapshot = load(connection)
        except RegistryError:
            self.close()
            raise

    def close(self) -> None:
        """Close the database; safe twice."""
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the database, as it is at one moment, to a new file. Raises RegistryError."""
        self._database.copy_to(path)

    def apply(self, project: str, document: RegistryDocument) -> list[Change]:
        """Make the document's resources the latest ones, all or none; return what happened to each, in its order.

        A changed body makes the next version, an equal one none. On return the change is on disk and is what this
        process serves. Raises DocumentError for a prompt test without its prompt, RegistryBusyError if another
        process holds the database too long.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with self._database.writing() as connection:
                    changes = [_apply(connection, project, *entry) for entry in _entries(document)]
                    _check_prompts(connection, project, document)
                break
            except ConflictError:
                # Only where the database lets two writers run at once; by now it has the other's versions.
                if attempt == ATTEMPTS_MAX:
                    raise
        with self._reloading:
            self._reload()
        found = collisions(self.configs(project)) if document.configs else {}
        return [
            replace(change, warnings=(*change.warnings, found[change.key]))
            if change.kind == "config" and change.key in found
            else change
            for change in changes
        ]

    def configs(self, project: str) -> list[dict[str, Any]]:
        """Return the latest version of every config: ``{key, version, variants, targeting?}``, by key."""
        return [served.wire() for served in self._current().project(project).all("config")]

    def config(self, project: str, key: str, version: int) -> dict[str, Any] | None:
        """Return one version of a config, as in ``configs``; None if there is none."""
        latest = self._current().project(project).get("config", key)
        if latest is None or not 1 <= version <= latest.version:
            return None
        if version == latest.version:
            return latest.wire()
        with self._database.reading() as connection:
            body = connection.execute(
                select(table.c.body).where(*_is(project, "config", key), table.c.version == version)
            ).scalar()
        return None if body is None else {"key": key, "version": version, **orjson.loads(body)}

    def config_versions(self, project: str, key: str) -> list[ConfigVersion]:
        """Return every version of a config, oldest first; read from the database."""
        columns = (table.c.version, table.c.created_at, table.c.body)
        with self._database.reading() as connection:
            rows = connection.execute(
                select(*columns).where(*_is(project, "config", key)).order_by(table.c.version)
            ).all()
        return [ConfigVersion(row.version, row.created_at, orjson.loads(row.body)) for row in rows]

    def knows_config(self, project: str, key: str) -> bool:
        """Tell whether the project has a config of this key."""
        return self._current().project(project).get("config", key) is not None

    def latest_version(self, project: str, key: str) -> int | None:
        """Return the number of a config's latest version, from memory; None if there is none."""
        latest = self._current().project(project).get("config", key)
        return None if latest is None else latest.version

    def prompts(self, project: str) -> list[dict[str, Any]]:
        """Return the latest version of every prompt: ``{key, version, system_prompt, user_template}``, by key.

        Before it stand the older versions that a prompt test pins: the published clients learn of versions here alone,
        keep each, and take the last of a key as its current one.
        """
        snapshot = self._current().project(project)
        return [served.wire() for served in (*snapshot.pinned_prompts, *snapshot.all("prompt"))]

    def prompt_ab_tests(self, project: str) -> list[dict[str, Any]]:
        """Return the latest prompt tests, by key: ``{key, version, variants}``, a variant as in the document."""
        return [served.wire() for served in self._current().project(project).all("prompt_ab_test")]

    def _current(self) -> Snapshot:
        stale = time.monotonic() - self._checked_at > SNAPSHOT_AGE_MAX_S
        # One thread reloads; the others go on with what there is, rather than wait for it.
        if stale and self._reloading.acquire(blocking=False):
            try:
                self._reload()
            finally:
                self._reloading.release()
        return self._snapshot

    def _reload(self) -> None:
        try:
            with self._database.reading() as connection:
                if stamp(connection) != self._snapshot.stamp:
                    self._snapshot = load(connection)
        except RegistryError as err:
            log.warning("serving the registry as last read: %s", err)
        self._checked_at = time.monotonic()


def _entries(document: RegistryDocument) -> Iterator[tuple[Kind, Config | Prompt | PromptTest]]:
    for config in document.configs:
        yield "config", config
    for prompt in document.prompts:
        yield "prompt", prompt
    for test in document.prompt_ab_tests:
        yield "prompt_ab_test", test


def _apply(connection: Connection, project: str, kind: Kind, resource: Config | Prompt | PromptTest) -> Change:
    body = _body(resource)
    newest = connection.execute(
        select(table.c.version, table.c.body)
        .where(*_is(project, kind, resource.key))
        .order_by(table.c.version.desc())
        .limit(1)
    ).one_or_none()
    if newest is not None and newest.body == body:
        return Change(kind, resource.key, newest.version, "unchanged", warnings(resource, newest.version))
    version, action = _next(None if newest is None else newest.version)
    connection.execute(
        insert(table).values(
            project=project, kind=kind, key=resource.key, version=version, body=body, created_at=datetime.now(UTC)
        )
    )
    return Change(kind, resource.key, version, action, warnings(resource, version))


def _next(version: int | None) -> tuple[int, Action]:
    return (1, "created") if version is None else (version + 1, "updated")


def _body(resource: Config | Prompt | PromptTest) -> str:
    """Return the resource's one text form: defaults filled in, variants in the form and order given."""
    return orjson.dumps(resource.model_dump(by_alias=True, exclude={"key", "version"}, exclude_none=True)).decode()


def _check_prompts(connection: Connection, project: str, document: RegistryDocument) -> None:
    """Refuse a prompt test whose prompts, by now, are not all there."""
    problems = []
    for position, test in enumerate(document.prompt_ab_tests):
        for index, variant in enumerate(test.variants):
            problem = _prompt_problem(connection, project, variant.prompt_key, variant.prompt_version)
            if problem:
                field, message = problem
                problems.append(Problem(f"prompt_ab_tests[{position}].variants[{index}].{field}", message))
    if problems:
        raise DocumentError(problems)


def _prompt_problem(connection: Connection, project: str, key: str, version: int | None) -> tuple[str, str] | None:
    latest = connection.execute(
        select(table.c.version).where(*_is(project, "prompt", key)).order_by(table.c.version.desc()).limit(1)
    ).scalar()
    if latest is None:
        return "prompt_key", f"unknown prompt {key!r}: define it in this document, or apply it before"
    if version is not None and version > latest:
        return "prompt_version", f"prompt {key!r} has no version {version}: its latest is {latest}"
    return None


def _is(project: str, kind: Kind, key: str) -> tuple[Any, ...]:
    return table.c.project == project, table.c.kind == kind, table.c.key == key
