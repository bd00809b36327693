"""Datasets of all projects: versions that never change, whose entries may be removed and never come back."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, Select, and_, delete, func, insert, select, update

from storage.datasets.tables import dataset_entries, dataset_versions
from storage.errors import StorageError
from storage.registry.database import Database
from storage.registry.errors import ConflictError, RegistryError

BUSY_TIMEOUT_MS = 5_000
ATTEMPTS_MAX = 10
DATASETS_MAX = 1_000
VERSIONS_MAX = 10_000
PROJECT_BYTES_MAX = 1024 * 1024 * 1024
_IDS_AT_ONCE = 500
JOURNAL_ATTEMPTS_MAX = 40
JOURNAL_PAUSE_S = 0.05

logger = logging.getLogger(__name__)

Source = Literal["entries", "sql"]
Action = Literal["created", "updated", "unchanged"]


class TooManyDatasetsError(RegistryError):
    """The project has as many datasets, versions or bytes of them as it may have."""


class DatasetsUnavailableError(StorageError):
    """The registry's database can't be used for what is done in the background."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry; ``metadata`` is JSON. ``content_time``: when it was recorded, None for what was written by hand."""

    input: str
    output: str
    system_message: str | None = None
    metadata: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    customer_id: str | None = None
    content_time: datetime | None = None

    @property
    def size_bytes(self) -> int:
        """About the bytes that it takes."""
        return sum(len(text.encode()) for text in (self.input, self.output, self.system_message, self.metadata) if text)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be the next version of a dataset."""

    key: str
    name: str
    description: str | None
    source: Source
    query: str | None
    entries: Sequence[StoredEntry]


@dataclass(frozen=True, slots=True)
class Version:
    """One version; ``left`` entries are there, of those that it was made with."""

    id: int
    key: str
    version: int
    name: str
    description: str | None
    source: Source
    query: str | None
    entries: int
    left: int
    created_at: datetime
    archived_at: datetime | None


class Datasets:
    """The datasets in the registry at ``url``; safe in threads, and among processes.

    Raises RegistryError when the database can't be used.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._database = Database(url, busy_timeout_ms=busy_timeout_ms)

    def close(self) -> None:
        """Close the database; safe twice."""
        self._database.close()

    def create(self, project: str, draft: Draft) -> tuple[Version, Action]:
        """Make the draft the latest version, unless that is like it already; on return it is on disk.

        Raises TooManyDatasetsError.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with self._database.writing() as connection:
                    return _create(connection, project, draft)
            except ConflictError:
                # Only where the database lets two writers run at once.
                if attempt == ATTEMPTS_MAX:
                    raise
        raise AssertionError

    def latest(self, project: str, *, archived: bool = False) -> list[Version]:
        """Return the latest version of each dataset, by key; of archived ones only where they are asked for."""
        newest = (
            select(func.max(dataset_versions.c.id))
            .where(dataset_versions.c.project == project)
            .group_by(dataset_versions.c.key)
        )
        wanted = _versions().where(dataset_versions.c.id.in_(newest)).order_by(dataset_versions.c.key)
        if not archived:
            wanted = wanted.where(dataset_versions.c.archived_at.is_(None))
        with self._database.reading() as connection:
            return [_version(row) for row in connection.execute(wanted)]

    def versions(self, project: str, key: str) -> list[Version]:
        """Return all versions of a dataset, archived ones too, oldest first."""
        with self._database.reading() as connection:
            return [_version(row) for row in connection.execute(_versions_of(project, key))]

    def read(self, project: str, key: str, version: int | None = None) -> tuple[Version, list[StoredEntry]] | None:
        """Return one version, the latest by default, with its entries; None where there is none, or it is archived."""
        with self._database.reading() as connection:
            found = [_version(row) for row in connection.execute(_versions_of(project, key))]
            live = [each for each in found if each.archived_at is None and version in (None, each.version)]
            return (live[-1], _entries(connection, live[-1].id)) if live else None

    def archive(self, project: str, key: str) -> int:
        """Remove the entries of all versions for good, and hide these; return how many versions were archived."""
        is_it = and_(dataset_versions.c.project == project, dataset_versions.c.key == key)
        is_live = and_(is_it, dataset_versions.c.archived_at.is_(None))
        with self._erasing() as connection:
            _remove(connection, dataset_entries.c.version_id.in_(select(dataset_versions.c.id).where(is_live)))
            found = connection.execute(update(dataset_versions).where(is_live).values(archived_at=datetime.now(UTC)))
            return int(found.rowcount)

    def forget(
        self, project: str, customer_ids: Iterable[str], session_ids: Iterable[str], trace_ids: Iterable[str]
    ) -> int:
        """Remove the entries that name a customer, and those that name nobody and a session or a trace of theirs.

        Of a version whose statement names the customer, the statement goes too. Return how many entries are gone.
        """
        customer_ids = sorted(set(customer_ids))
        own = select(dataset_versions.c.id).where(dataset_versions.c.project == project)
        nobody_s = dataset_entries.c.customer_id.is_(None)
        count = 0
        with self._erasing() as connection:
            for column, ids, also in (
                (dataset_entries.c.customer_id, customer_ids, None),
                (dataset_entries.c.session_id, session_ids, nobody_s),
                (dataset_entries.c.trace_id, trace_ids, nobody_s),
            ):
                for some in _in_parts(sorted(set(ids))):
                    theirs = [dataset_entries.c.version_id.in_(own), column.in_(some)]
                    count += _remove(connection, and_(*theirs, *([] if also is None else [also])))
            for customer_id in customer_ids:
                names_them = dataset_versions.c.query.contains(customer_id, autoescape=True)
                is_own = dataset_versions.c.project == project
                connection.execute(update(dataset_versions).where(is_own, names_them).values(query=None))
        return count

    def remove_recorded_before(self, moment: datetime) -> int:
        """Remove what was recorded in traces before a moment, of all projects; return how many entries.

        Raises DatasetsUnavailableError.
        """
        is_old = dataset_entries.c.content_time < moment
        try:
            with self._database.reading() as connection:
                if connection.execute(select(dataset_entries.c.version_id).where(is_old).limit(1)).first() is None:
                    return 0
            with self._erasing() as connection:
                return _remove(connection, is_old)
        except RegistryError as error:
            raise DatasetsUnavailableError(f"entries of datasets that are too old can't be removed: {error}") from error

    @contextmanager
    def _erasing(self) -> Iterator[Connection]:
        """Run the block as a writer whose removals leave nothing in the file, once it has ended."""
        with self._database.writing() as connection:
            engine = connection.engine
            if engine.dialect.name == "sqlite":
                # Else what is removed stays in the file until its place is needed.
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            yield connection
        if engine.dialect.name == "sqlite":
            _empty_journal(engine)


def _empty_journal(engine: Engine) -> None:
    """Take what the write-ahead log still holds of removed rows out of it, unless somebody reads it for long."""
    connection = engine.raw_connection()
    try:
        for _ in range(JOURNAL_ATTEMPTS_MAX):
            (is_busy, *_) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                return
            time.sleep(JOURNAL_PAUSE_S)
        logger.warning("the registry's write-ahead log is in use, and may hold removed entries until it is written to")
    finally:
        connection.close()


def _create(connection: Connection, project: str, draft: Draft) -> tuple[Version, Action]:
    found = [_version(row) for row in connection.execute(_versions_of(project, draft.key))]
    latest = found[-1] if found else None
    if latest is not None and latest.archived_at is None and _is_like(connection, latest, draft):
        return latest, "unchanged"
    _check_limits(connection, project, draft, is_new=latest is None)
    number = 1 if latest is None else latest.version + 1
    made = connection.execute(
        insert(dataset_versions)
        .values(
            project=project,
            key=draft.key,
            version=number,
            name=draft.name,
            description=draft.description,
            source=draft.source,
            query=draft.query,
            entries=len(draft.entries),
            size_bytes=_size_bytes(draft),
            created_at=datetime.now(UTC),
        )
        .returning(dataset_versions.c.id)
    ).scalar_one()
    connection.execute(
        insert(dataset_entries),
        [
            {"version_id": made, "position": position, **{name: getattr(entry, name) for name in _ENTRY}}
            for position, entry in enumerate(draft.entries)
        ],
    )
    (row,) = connection.execute(_versions().where(dataset_versions.c.id == made))
    return _version(row), "created" if latest is None else "updated"


def _is_like(connection: Connection, latest: Version, draft: Draft) -> bool:
    """Return whether the draft is the latest version, sent again."""
    same = (latest.name, latest.description, latest.source, latest.query, latest.entries) == (
        draft.name,
        draft.description,
        draft.source,
        draft.query,
        len(draft.entries),
    )
    return same and [_content(entry) for entry in _entries(connection, latest.id)] == [
        _content(entry) for entry in draft.entries
    ]


def _content(entry: StoredEntry) -> tuple[object, ...]:
    # Not the time: what names none is of the moment at which it was made.
    return tuple(getattr(entry, name) for name in _ENTRY if name != "content_time")


def _check_limits(connection: Connection, project: str, draft: Draft, *, is_new: bool) -> None:
    columns = (
        func.count(),
        func.count(dataset_versions.c.key.distinct()),
        func.coalesce(func.sum(dataset_versions.c.size_bytes).filter(dataset_versions.c.archived_at.is_(None)), 0),
    )
    versions, datasets, size_bytes = connection.execute(
        select(*columns).where(dataset_versions.c.project == project)
    ).one()
    if is_new and datasets >= DATASETS_MAX:
        raise TooManyDatasetsError(f"the project has {datasets} datasets, archived ones too, the limit")
    if versions >= VERSIONS_MAX:
        raise TooManyDatasetsError(f"the project has {versions} versions of datasets, archived ones too, the limit")
    if int(size_bytes) + _size_bytes(draft) > PROJECT_BYTES_MAX:
        raise TooManyDatasetsError(
            f"the project's datasets may have {PROJECT_BYTES_MAX} bytes and have {size_bytes}: archive some"
        )


def _size_bytes(draft: Draft) -> int:
    return sum(entry.size_bytes for entry in draft.entries)


_ENTRY = (
    "input",
    "output",
    "system_message",
    "metadata",
    "trace_id",
    "session_id",
    "customer_id",
    "content_time",
)


def _versions() -> Select[Any]:
    left = (
        select(func.count())
        .select_from(dataset_entries)
        .where(dataset_entries.c.version_id == dataset_versions.c.id)
        .scalar_subquery()
    )
    return select(dataset_versions, left.label("left"))


def _versions_of(project: str, key: str) -> Select[Any]:
    is_it = and_(dataset_versions.c.project == project, dataset_versions.c.key == key)
    return _versions().where(is_it).order_by(dataset_versions.c.version)


def _version(row: Row[Any]) -> Version:
    return Version(
        id=row.id,
        key=row.key,
        version=row.version,
        name=row.name,
        description=row.description,
        source=row.source,
        query=row.query,
        entries=row.entries,
        left=row.left,
        created_at=row.created_at,
        archived_at=row.archived_at,
    )


def _entries(connection: Connection, version_id: int) -> list[StoredEntry]:
    columns = [dataset_entries.c[name] for name in _ENTRY]
    rows = connection.execute(
        select(*columns).where(dataset_entries.c.version_id == version_id).order_by(dataset_entries.c.position)
    )
    return [StoredEntry(*row) for row in rows]


def _remove(connection: Connection, condition: Any) -> int:
    return int(connection.execute(delete(dataset_entries).where(condition)).rowcount)


def _in_parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE))
