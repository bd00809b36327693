"""The registry's database: connections, transactions, and the driver's errors said in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from storage.registry.errors import ConflictError, RegistryBusyError, RegistryError, RegistryUnavailableError
from storage.registry.migrations.schema import HEAD, migrate, revision_of

_IMMEDIATE = "registry_immediate"
# Any number that no other program is likely to lock by: "fallom" in ASCII.
POSTGRESQL_LOCK = 0x66616C6C6F6D
CONNECT_TIMEOUT_S = 5

_SQLITE_REASONS = {
    "SQLITE_BUSY": "is locked by another process; try again",
    "SQLITE_LOCKED": "is locked by another process; try again",
    "SQLITE_NOTADB": "is not a SQLite database; move it away, or give the path of a registry",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup, or move it away and apply your files again",
    "SQLITE_CANTOPEN": "cannot be opened; check that its directory exists and may be written",
    "SQLITE_READONLY": "cannot be written; check the permissions of the file and of its directory",
    "SQLITE_PERM": "cannot be opened; check the permissions of the file and of its directory",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error",
    "SQLITE_FULL": "cannot be written: the disk is full",
}
_BUSY_REASONS = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED"})
_POSTGRESQL_REASONS = {
    "55P03": "is locked by another process; try again",
    "57014": "took too long to answer; try again",
    "40001": "was changed by another process meanwhile; try again",
    "40P01": "was changed by another process meanwhile; try again",
    "53300": "has no connection left; try again, or raise max_connections",
    "53100": "cannot be written: the disk is full",
    "25006": "cannot be written: the database is read-only",
    "42501": "cannot be used: the user has no right to; grant it CREATE on the schema, and its tables",
}
_GONE = "is gone; restore it from a backup"
_POSTGRESQL_BUSY = frozenset({"55P03", "57014", "40001", "40P01", "53300"})


class Database:
    """The database at ``url``, its schema made or migrated when it is opened; safe in threads, and among processes.

    A writer waits up to ``busy_timeout_ms`` for another, then raises RegistryBusyError.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int) -> None:
        parsed = _parsed(url)
        self._path = Path(parsed.database) if _is_sqlite(parsed) and parsed.database else None
        self._name = parsed.database if _is_sqlite(parsed) else parsed.render_as_string(hide_password=True)
        self._engine = _engine(parsed, busy_timeout_ms)
        try:
            with self.reading() as connection:
                is_current = revision_of(connection) == HEAD
            if not is_current:
                with self.writing() as connection:
                    migrate(connection)
        except RegistryError:
            self.close()
            raise

    @property
    def is_file(self) -> bool:
        """Return whether it is a file of this machine, not a server's database."""
        return self._engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Close every connection; safe twice."""
        self._engine.dispose()

    def reopen(self) -> None:
        """Drop what connections hold, so that the next one finds the file as it is now, not as it was once read.

        Raises RegistryUnavailableError where it is gone.
        """
        if self._is_gone():
            raise RegistryUnavailableError(f"registry {self._name} {_GONE}")
        if self._path is not None:
            self._engine.dispose()

    def _is_gone(self) -> bool:
        return self._path is not None and not self._path.exists()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the database, as it is at one moment, to a new file, synced.

        Raises RegistryUnavailableError where it is not SQLite, whose own tools copy it.
        """
        if not self.is_file:
            raise RegistryUnavailableError(f"registry {self._name} is not a file: back it up by pg_dump")
        try:
            with self._engine.connect() as connection:
                source = cast("sqlite3.Connection", connection.connection.driver_connection)
                with closing(sqlite3.connect(path)) as target:
                    source.backup(target)
        except SQLAlchemyError as err:
            raise self._error(err) from err
        except sqlite3.Error as err:
            raise RegistryUnavailableError(f"registry {self._name} cannot be copied to {path}: {err}") from err

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run the block on one consistent view of the database."""
        with self._transaction(immediate=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run the block as the only writer; on return it is on disk, on any exception nothing of it is.

        PostgreSQL has no such lock of its own: there one that all registries know is taken.
        """
        with self._transaction(immediate=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, immediate: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(**{_IMMEDIATE: immediate})
                if not immediate and not self.is_file:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    if immediate and not self.is_file:
                        connection.execute(text(f"SELECT pg_advisory_xact_lock({POSTGRESQL_LOCK})"))
                    yield connection
        except IntegrityError as err:
            raise ConflictError(f"registry {self._name}: another process wrote the same version; try again") from err
        except SQLAlchemyError as err:
            raise self._error(err) from err

    def _error(self, err: SQLAlchemyError) -> RegistryError:
        cause = err.orig if isinstance(err, DBAPIError) else err
        code = getattr(cause, "sqlite_errorname", None) or ""
        if code.startswith("SQLITE_CANTOPEN") and self._is_gone():
            return RegistryUnavailableError(f"registry {self._name} {_GONE}")
        for reason, words in _SQLITE_REASONS.items():
            if code.startswith(reason):
                kind = RegistryBusyError if reason in _BUSY_REASONS else RegistryUnavailableError
                return kind(f"registry {self._name} {words}")
        state = getattr(cause, "sqlstate", None) or ""
        if state in _POSTGRESQL_REASONS:
            kind = RegistryBusyError if state in _POSTGRESQL_BUSY else RegistryUnavailableError
            return kind(f"registry {self._name} {_POSTGRESQL_REASONS[state]}")
        return RegistryUnavailableError(f"registry {self._name} cannot be used: {_first_line(cause)}")


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as err:
        raise RegistryUnavailableError(
            "registry URL cannot be read; it must be like sqlite:////var/lib/fallom/registry.sqlite3"
        ) from err


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _engine(url: URL, busy_timeout_ms: int) -> Engine:
    shown = url.render_as_string(hide_password=True)
    if _is_sqlite(url):
        _make_file(url)
        # From now on it is opened, never made: in place of one that is lost, SQLite would put an empty one.
        uri = f"{Path(url.database or '').absolute().as_uri()}?mode=rw"
        # The driver's time-out is SQLite's busy_timeout, in force before the first statement.
        engine = create_engine(
            url,
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=busy_timeout_ms / 1000, check_same_thread=False),
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.get_backend_name() != "postgresql":
        raise RegistryUnavailableError(
            f"registry URL {shown} cannot be used: it must begin with sqlite:/// or postgresql://"
        )
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": f"-c lock_timeout={busy_timeout_ms} -c statement_timeout={4 * busy_timeout_ms}",
            },
        )
    except ImportError as err:
        raise RegistryUnavailableError(
            f"registry URL {shown} needs a driver: pip install 'fallom-server[postgresql]' ({err})"
        ) from err
    except SQLAlchemyError as err:
        raise RegistryUnavailableError(f"registry URL {shown} cannot be used: {err}") from err
    return engine


def _first_line(cause: BaseException | None) -> str:
    return str(cause).strip().split("\n", 1)[0]


def _make_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise RegistryUnavailableError("registry URL must name a file, got a SQLite database in memory")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RegistryUnavailableError(f"registry {path}: its directory cannot be made: {err.strerror}") from err
    try:
        path.open("xb").close()
    except FileExistsError:
        pass
    except OSError as err:
        raise RegistryUnavailableError(
            f"registry {path} cannot be made: {err.strerror}; check that its directory exists and may be written"
        ) from err


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # The driver starts no transactions of its own: _begin_sqlite does, and says of which kind.
    connection.isolation_level = None
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: two writers queue up, instead of one failing when it comes to write.
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
