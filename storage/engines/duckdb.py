"""The DuckDB engine: SQL over committed files and hot rows, in this process.

The product's own statements read the lake's files natively. A user's statement runs in a second database, which has no
access to files at all: its tables are Arrow datasets of one project's rows, so that there is nothing to escape to.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.engines.answer_limits import Answer, limited
from storage.engines.file_columns import FileColumns
from storage.errors import QueryError, QueryInterruptedError, QueryRefusedError, QueryTimeoutError
from storage.hot import HotRows, View
from storage.lake import Lake
from storage.rollup import session_rollup

_BATCH_ROWS = 10_000
# DuckDB says the one, Arrow the other; users' statements can't name files.
_FILE_IS_GONE = ("No files found that match", "No such file or directory")


@dataclass(slots=True)
class QuerySession:
    """One project's rows, or all where it is None: each table is taken at its first use, and stays as it was then."""

    connection: duckdb.DuckDBPyConnection
    project: str | None
    define: Callable[["QuerySession", Table], None]
    _defined: set[str] = field(default_factory=set)

    def query(self, statement: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one of the product's own statements, whole."""
        with _errors():
            return self.reader(statement, parameters).read_all()

    def reader(self, statement: str, parameters: Mapping[str, object] | None = None) -> pa.RecordBatchReader:
        """Return the answer's rows as they come."""
        self._define_tables(statement)
        return self.connection.sql(statement, params=dict(parameters or {})).to_arrow_reader(_BATCH_ROWS)

    def add(self, name: str, rows: pa.Table) -> None:
        """Make ``rows`` a table of that name for the statements that follow."""
        self.connection.register(name, rows)

    def keep(self, name: str, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Keep a statement's answer as a table of that name for the statements that follow."""
        with _errors():
            self._define_tables(statement)
            self.connection.execute(f"CREATE TEMP TABLE {name} AS {statement}", dict(parameters or {}))

    def _define_tables(self, statement: str) -> None:
        """Define the tables that the statement names; all if none, since it may ask which there are."""
        named = [table for table in TABLES if re.search(rf"\b{table.name}\b", statement, re.IGNORECASE)]
        for table in named or TABLES:
            if table.name not in self._defined:
                self.define(self, table)
                self._defined.add(table.name)


class DuckDBEngine:
    """Runs statements over one project's rows. Thread-safe: each query has a connection and a view of its own."""

    def __init__(self, lake: Lake, hot: HotRows, *, memory_limit: str = "2GB", threads: int = 2) -> None:
        self._lake_directory = lake.directory
        self._hot = hot
        self._columns = FileColumns()
        self._trusted = _database(memory_limit, threads, readable=lake.directory)
        self._sandbox = _database(memory_limit, threads, readable=None)
        self._users: dict[duckdb.DuckDBPyConnection, threading.Event] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop users' statements, end the databases; safe twice."""
        self.interrupt()
        for database in (self._trusted, self._sandbox):
            try:
                database.close()
            except duckdb.Error:
                # A statement that can't be interrupted still uses it; it ends with the process.
                continue

    def interrupt(self) -> None:
        """Stop the users' statements that run; one that is just beginning may miss it, so ask again."""
        with self._lock:
            for connection, interrupted in self._users.items():
                interrupted.set()
                connection.interrupt()

    @contextmanager
    def session(self, project: str | None) -> Iterator[QuerySession]:
        """Give one project's rows, or all where it is None, for as many statements as are needed."""
        connection = self._trusted.cursor()
        try:
            yield QuerySession(connection, project, self._define_files)
        finally:
            connection.close()

    def query(self, statement: str, parameters: Mapping[str, object] | None = None, *, project: str | None) -> pa.Table:
        """Answer one of the product's own statements, whole, in a session of its own."""
        with self.session(project) as session:
            return session.query(statement, parameters)

    def query_untrusted(
        self, statement: str, *, project: str, timeout_s: float, rows_max: int, bytes_max: int
    ) -> Answer:
        """Answer a user's statement: one SELECT, stopped at ``timeout_s``, cut at ``rows_max`` or ``bytes_max``."""
        with self._user_connection() as (connection, interrupted):
            _refuse_all_but_one_select(connection, statement)
            session = QuerySession(connection, project, self._define_datasets)
            expired = threading.Event()

            def stop() -> None:
                expired.set()
                connection.interrupt()

            timer = threading.Timer(timeout_s, stop)
            timer.daemon = True
            timer.start()
            try:
                with _errors():
                    return limited(session.reader(statement), rows_max, bytes_max)
            except QueryError as error:
                if expired.is_set():
                    raise QueryTimeoutError(f"stopped after {timeout_s:g} s, the limit of a statement") from error
                if interrupted.is_set():
                    raise QueryInterruptedError("stopped: the server is shutting down") from error
                raise
            finally:
                timer.cancel()

    @contextmanager
    def _user_connection(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, threading.Event]]:
        connection, interrupted = self._sandbox.cursor(), threading.Event()
        with self._lock:
            self._users[connection] = interrupted
        try:
            yield connection, interrupted
        finally:
            with self._lock:
                del self._users[connection]
            connection.close()

    def _view(self, table: Table) -> View:
        if table is not SESSION_ROLLUP:
            return self._hot.view(table)
        # The rollup has no log of its own: its hot rows are those of the spans that it does not yet count.
        view = self._hot.view(SESSION_ROLLUP, logged=SPANS)
        return View(table, view.files, session_rollup(view.hot), view.is_evolved)

    def _define_files(self, session: QuerySession, table: Table) -> None:
        """Make the table's name a view over its files, read natively, and its hot rows."""
        view = self._view(table)
        columns = ", ".join(table.schema.names)
        sources = [f"SELECT {columns} FROM hot_{table.name}"]  # noqa: S608 - names from the schema
        partition = ", hive_partitioning = true, hive_types = {'date': DATE}" if table.partition_by else ""
        for names, paths in self._columns.alike(view):
            files = ", ".join(_quoted(path) for path in paths)
            found = ", ".join(name if name in names else f"NULL AS {name}" for name in table.schema.names)
            sources.append(f"SELECT {found} FROM read_parquet([{files}]{partition})")  # noqa: S608 - paths are quoted
        condition = "true" if session.project is None else f"project = {_quoted(session.project)}"
        session.connection.register(f"hot_{table.name}", view.hot)
        session.connection.execute(
            f"CREATE TEMP VIEW {table.name} AS SELECT * FROM ({' UNION ALL '.join(sources)}) WHERE {condition}"  # noqa: S608 - likewise
        )

    def _define_datasets(self, session: QuerySession, table: Table) -> None:
        """Make the table's name a view over Arrow data of one project: no other row can be named."""
        view = self._view(table)
        own = pc.field("project") == session.project
        sources = [f"hot_{table.name}"]
        session.connection.register(sources[0], view.hot.filter(own))
        if view.files:
            sources.append(f"committed_{table.name}")
            session.connection.register(sources[1], self._dataset(view).filter(own))
        columns = ", ".join(table.schema.names)
        union = " UNION ALL ".join(f"SELECT {columns} FROM {source}" for source in sources)  # noqa: S608 - names from the schema
        session.connection.execute(f"CREATE TEMP VIEW {table.name} AS {union}")

    def _dataset(self, view: View) -> pads.Dataset:
        partition = pa.schema([view.table.schema.field(name) for name in view.table.partition_by])
        return pads.dataset(
            list(view.files),
            schema=view.table.schema,
            format="parquet",
            partitioning=pads.HivePartitioning(partition) if view.table.partition_by else None,
            partition_base_dir=str(self._lake_directory / view.table.name),
        )


def _database(memory_limit: str, threads: int, *, readable: Path | None) -> duckdb.DuckDBPyConnection:
    """Return a database that reads one directory, or no file at all, and whose settings can't be changed."""
    database = duckdb.connect(":memory:")
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET python_enable_replacements = false")
    database.execute(f"SET memory_limit = '{memory_limit}'")
    database.execute(f"SET threads = {threads}")
    # Without a place to spill, a statement that outgrows its memory ends; nothing fills the disk.
    database.execute("SET temp_directory = ''")
    if readable is not None:
        database.execute(f"SET allowed_directories = [{_quoted(str(readable))}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _refuse_all_but_one_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    with _errors():
        statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise QueryRefusedError(f"one statement expected, got {len(statements)}")
    try:
        kind = statements[0].type
    except ValueError as error:
        # The database has kinds of statements that its Python module has no name for.
        raise QueryRefusedError("only SELECT is allowed") from error
    if kind != duckdb.StatementType.SELECT:
        raise QueryRefusedError(f"only SELECT is allowed, got {kind.name}")


@contextmanager
def _errors() -> Iterator[None]:
    """Raise what the database says of a statement as a QueryRefusedError."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        if any(sign in str(error) for sign in _FILE_IS_GONE):
            raise QueryInterruptedError(
                "stopped: a file that it read is gone, as it is when a customer is forgotten; ask again"
            ) from error
        # What fails while rows are fetched comes through Arrow, as an OSError.
        raise QueryRefusedError(str(error)) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
