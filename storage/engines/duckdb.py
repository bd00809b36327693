"""The DuckDB engine: SQL over committed files and hot rows, in this process, without access to anything else."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.errors import QueryError, QueryRefusedError, QueryTimeoutError
from storage.hot import HotRows, View
from storage.lake import Lake
from storage.rollup import session_rollup


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and whether there were more than its limit allows."""

    rows: pa.Table
    truncated: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All acknowledged rows at one moment; every statement sees the same."""

    connection: duckdb.DuckDBPyConnection

    def query(self, statement: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one of the product's own statements, whole."""
        return _run(self.connection, statement, parameters or {}).read_all()

    def add(self, name: str, rows: pa.Table) -> None:
        """Make ``rows`` a table of that name for the statements that follow."""
        self.connection.register(name, rows)

    def keep(self, name: str, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Keep a statement's answer as a table of that name for the statements that follow."""
        try:
            self.connection.execute(f"CREATE TEMP TABLE {name} AS {statement}", dict(parameters or {}))
        except duckdb.Error as error:
            raise _refused(error) from error


class DuckDBEngine:
    """Runs statements over one project's rows. Thread-safe: each query has a connection and a snapshot of its own."""

    def __init__(self, lake: Lake, hot: HotRows, *, memory_limit: str = "2GB", threads: int = 2) -> None:
        self._hot = hot
        self._database = duckdb.connect(":memory:")
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute("SET python_enable_replacements = false")
        self._database.execute(f"SET memory_limit = '{memory_limit}'")
        self._database.execute(f"SET threads = {threads}")
        # Without a place to spill, a statement that outgrows its memory ends; nothing fills the disk.
        self._database.execute("SET temp_directory = ''")
        # From here on a statement reads the lake's files and nothing else, and can't change that.
        self._database.execute(f"SET allowed_directories = [{_quoted(str(lake.directory))}]")
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    def close(self) -> None:
        """End the database; running queries fail."""
        self._database.close()

    @contextmanager
    def snapshot(self, project: str | None) -> Iterator["Snapshot"]:
        """Give one project's rows, or all where it is None, as they are now, for as many statements as are needed."""
        connection = self._database.cursor()
        try:
            for table in TABLES:
                _define(connection, self._view(table), project)
            yield Snapshot(connection)
        finally:
            connection.close()

    def query(self, statement: str, parameters: Mapping[str, object] | None = None, *, project: str | None) -> pa.Table:
        """Answer one of the product's own statements, whole, over a snapshot of its own."""
        with self.snapshot(project) as snapshot:
            return snapshot.query(statement, parameters)

    def query_untrusted(self, statement: str, *, project: str, timeout_s: float, rows_max: int) -> Answer:
        """Answer a user's statement: one SELECT, stopped at ``timeout_s``, cut at ``rows_max`` rows."""
        with self.snapshot(project) as snapshot:
            connection = snapshot.connection
            _refuse_all_but_one_select(connection, statement)
            expired = threading.Event()

            def stop() -> None:
                expired.set()
                connection.interrupt()

            timer = threading.Timer(timeout_s, stop)
            timer.start()
            try:
                return _limited(_run(connection, statement, {}), rows_max)
            except (QueryError, duckdb.Error, pa.ArrowException, OSError) as error:
                # What fails while its rows are fetched comes through Arrow, as an OSError.
                if expired.is_set():
                    raise QueryTimeoutError(f"stopped after {timeout_s:g} s, the limit of a statement") from error
                raise _refused(error) from error
            finally:
                timer.cancel()

    def _view(self, table: Table) -> View:
        if table is not SESSION_ROLLUP:
            return self._hot.view(table)
        # The rollup has no log of its own: its hot rows are those of the spans that it does not yet count.
        view = self._hot.view(SESSION_ROLLUP, logged=SPANS)
        return View(table, view.files, session_rollup(view.hot))


def _define(connection: duckdb.DuckDBPyConnection, view: View, project: str | None) -> None:
    """Make the table's name a view over its files and its hot rows, of one project or of all."""
    hot_name = f"hot_{view.table.name}"
    hot = view.hot if project is None else view.hot.filter(pc.field("project") == project)
    connection.register(hot_name, hot)
    columns = ", ".join(view.table.schema.names)
    sources = [f"SELECT {columns} FROM {hot_name}"]  # noqa: S608 - names from the schema
    if view.files:
        files = ", ".join(_quoted(path) for path in view.files)
        partition = ", hive_partitioning = true, hive_types = {'date': DATE}" if view.table.partition_by else ""
        sources.append(f"SELECT {columns} FROM read_parquet([{files}], union_by_name = true{partition})")  # noqa: S608 - paths are quoted
    union = " UNION ALL ".join(sources)
    condition = "true" if project is None else f"project = {_quoted(project)}"
    connection.execute(f"CREATE TEMP VIEW {view.table.name} AS SELECT * FROM ({union}) WHERE {condition}")  # noqa: S608 - likewise


def _run(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, object]
) -> pa.RecordBatchReader:
    try:
        return connection.sql(statement, params=dict(parameters)).to_arrow_reader(10_000)
    except duckdb.Error as error:
        raise _refused(error) from error


def _limited(reader: pa.RecordBatchReader, rows_max: int) -> Answer:
    batches: list[pa.RecordBatch] = []
    count = 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        if count > rows_max:
            break
    rows = pa.Table.from_batches(batches, reader.schema)
    return Answer(rows.slice(0, rows_max), truncated=count > rows_max)


def _refuse_all_but_one_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    try:
        statements = connection.extract_statements(statement)
    except duckdb.Error as error:
        raise _refused(error) from error
    if len(statements) != 1:
        raise QueryRefusedError(f"one statement expected, got {len(statements)}")
    try:
        kind = statements[0].type
    except ValueError as error:
        # The database has kinds of statements that its Python module has no name for.
        raise QueryRefusedError("only SELECT is allowed") from error
    if kind != duckdb.StatementType.SELECT:
        raise QueryRefusedError(f"only SELECT is allowed, got {kind.name}")


def _refused(error: Exception) -> QueryRefusedError:
    return error if isinstance(error, QueryRefusedError) else QueryRefusedError(str(error))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
