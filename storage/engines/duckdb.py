"""The DuckDB engine: SQL over committed files and hot rows, in this process.

The product's own statements read the lake's files natively. A user's statement runs in a process of its own, which has
no access to files at all (``sandbox/``).
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.engines.answer_limits import Answer
from storage.engines.config_rows import CONFIG_TABLES, ConfigRows, config_rows
from storage.engines.file_bounds import ALL, Range, ranges_of
from storage.engines.file_columns import FileColumns
from storage.engines.past import has_begun, past_view
from storage.engines.sandbox.request import Limits
from storage.engines.table_view import define_sums, define_table, group_conditions, quoted, source_of
from storage.engines.trace_places import TracePlaces
from storage.engines.trace_sums import TraceSums
from storage.engines.user_statements import UserStatements
from storage.errors import QueryError, QueryInterruptedError, QueryRefusedError, QueryTimeoutError
from storage.hot import HotRows, View
from storage.lake import Lake
from storage.rollup import ROLLUP_SOURCE, session_rollup

_BATCH_ROWS = 10_000
# What a session's own methods have defined, beside the tables.
_OWN = re.compile(r"\b(trace_sums|found)\b")
_LITERAL = re.compile(r"'[^']*'")
# DuckDB says the one, Arrow the other.
_FILE_IS_GONE = ("No files found that match", "No such file or directory")


@dataclass(slots=True)
class QuerySession:
    """One project's rows, or all where it is None: each table is taken at its first use, and stays as it was then."""

    connection: duckdb.DuckDBPyConnection
    project: str | None
    columns: FileColumns
    view: Callable[[Table], View]
    sums: TraceSums | None = None
    _defined: set[str] = field(default_factory=set)
    _views: dict[str, View] = field(default_factory=dict)

    def query(self, statement: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one of the product's own statements, whole."""
        with _errors():
            return self.reader(statement, parameters).read_all()

    def reader(self, statement: str, parameters: Mapping[str, object] | None = None) -> pa.RecordBatchReader:
        """Return the answer's rows as they come."""
        self._define_tables(statement)
        return self.connection.sql(statement, params=dict(parameters or {})).to_arrow_reader(_BATCH_ROWS)

    def batches(
        self, statement: str, parameters: Mapping[str, object] | None = None, *, rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the answer in batches of about so many rows, as they are read; no more than some are in memory."""
        with _errors():
            self._define_tables(statement)
            yield from self.connection.sql(statement, params=dict(parameters or {})).to_arrow_reader(rows)

    def add(self, name: str, rows: pa.Table) -> None:
        """Make ``rows`` a table of that name for the statements that follow."""
        self.connection.register(name, rows)

    def keep(self, name: str, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """Keep a statement's answer as a table of that name for the statements that follow."""
        with _errors():
            self._define_tables(statement)
            # What was added under the name is a view, which no table replaces.
            self.connection.unregister(name)
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {statement}", dict(parameters or {}))

    def show(self, name: str, statement: str) -> None:
        """Let a name stand for a statement, over tables that were added or kept, in the statements that follow."""
        with _errors():
            self.connection.unregister(name)
            self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {statement}")

    def taken(self, table: Table) -> View:
        """Return the table as it was at its first use."""
        if table.name not in self._views:
            self._views[table.name] = self.view(table)
        return self._views[table.name]

    def take(self, view: View) -> None:
        """Let the table be this one, before its first use."""
        self._views[view.table.name] = view

    def ranges(self, table: Table, column: str) -> list[Range]:
        """Return what each file's statistics, and the hot rows, say of a column of times; rows of any project."""
        return ranges_of(self.taken(table), column)

    def narrow(self, table: Table, column: str, least: datetime | None, greatest: datetime | None) -> None:
        """Let the table's name mean, from now on, its rows whose column of times lies within; no other file is opened.

        None means that there is no bound.
        """
        self.within(table, [Range(column, least, greatest)])

    def within(self, table: Table, *bounds: Sequence[Range]) -> None:
        """Let the table's name mean, from now on, its rows that lie in one range of each of ``bounds``.

        Rows of a file that lie between two of them are there too. No other file is opened, and no column is read only
        to be compared with bounds within which the whole file is.
        """
        self._define(table, within=bounds)

    def rows_of_groups(
        self, table: Table, column: str, groups: Mapping[str, Range], within: Range, *, only: Sequence[str]
    ) -> str:
        """Return ``found AS (…)``, for a WITH: the columns ``only`` of rows of the groups, each of when it ran.

        Rows of others are among them: of other groups that ran then, too. A group is all rows of one value of
        ``column``.
        """
        view = self.taken(table)
        asked, is_exact = group_conditions(view, column, groups, within)
        bounds = (list(groups.values()), [within])
        with _errors():
            rows = source_of(
                self.connection, table.name, view, self.columns, self.project, asked, within=bounds, only=only
            )
        # What is exact is read by itself: to look for the groups' names in it once more, in each file, takes longer.
        return f"found AS {'' if is_exact else 'NOT '}MATERIALIZED ({rows})"

    def sums_within(self, *bounds: Sequence[Range], among: str | None = None) -> None:
        """Let ``trace_sums`` mean, from now on, what spans within the bounds add to the sums of their trace.

        A row is of one span, or of all those of a file that are of one trace, config and session. ``among``, a
        condition for spans, may leave out what is not asked for anyhow.
        """
        view = self.taken(SPANS)
        with _errors():
            define_sums(
                self.connection,
                view,
                self.columns,
                self.project,
                within=bounds,
                side_files=self.sums.files(view) if self.sums else {},
                among=among,
            )

    def only(self, table: Table, files: frozenset[str]) -> None:
        """Let the table's name mean, from now on, the rows of these files of it, and the hot ones."""
        self._define(table, files=files)

    def show_past(self, rows: ConfigRows, column: str, key: str, before: datetime) -> None:
        """Let the tables of a config have, from now on, what had happened before a moment (``past.py``).

        ``rows`` are those that the session has; a row is the config's where its ``column`` has the key.
        """
        day_sums = self._day_sums(rows, column, key, before)
        for part in rows.parts:
            past = past_view(_shown(part.view), before, day_sums=day_sums)
            self._views[part.view.table.name] = past.view
            self._define(part.view.table, files=part.files, asked=past.asked)

    def _day_sums(self, rows: ConfigRows, column: str, key: str, before: datetime) -> pa.Table | None:
        """Return the rollup of the calls that had begun before a moment on its own day."""
        day = has_begun(before)
        if day is None:
            return None
        (spans,) = (part for part in rows.parts if part.view.table is SPANS)
        past = past_view(spans.view, before)
        of_day = {file: asked for file, asked in past.asked.items() if asked != ALL}
        self._views[SPANS.name] = past.view
        self._define(SPANS, files=spans.files, asked=of_day)
        statement = (
            f"SELECT {', '.join(ROLLUP_SOURCE)} FROM spans WHERE date = $day AND is_inference AND {column} = $key"  # noqa: S608 - names from the schema
        )
        return session_rollup(self.query(statement, {"day": day, "key": key}))

    def query_with(
        self, rows: Mapping[str, pa.Table], statement: str, parameters: Mapping[str, object] | None = None
    ) -> pa.Table:
        """Answer a statement over tables of the caller's, by name, and over no other table that it does not name."""
        with _errors():
            self._define_tables(statement, all_if_none=False)
            for name, table in rows.items():
                self.connection.register(name, table)
            return self.connection.sql(statement, params=dict(parameters or {})).to_arrow_table()

    @contextmanager
    def deadline(self, timeout_s: float) -> Iterator[None]:
        """Stop what is asked within the block when so much time is over, with QueryTimeoutError."""
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            self.connection.interrupt()

        timer = threading.Timer(timeout_s, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except QueryError as error:
            if expired.is_set():
                raise QueryTimeoutError(f"stopped after {timeout_s:g} s, the limit of a query") from error
            raise
        finally:
            timer.cancel()
            timer.join()

    def _define_tables(self, statement: str, *, all_if_none: bool = True) -> None:
        """Define the tables that the statement names; all if none, since it may ask which there are."""
        # A file's path has a table's name in it.
        names = _LITERAL.sub("", statement)
        named = [table for table in TABLES if re.search(rf"\b{table.name}\b", names, re.IGNORECASE)]
        for table in named or (TABLES if all_if_none and not _OWN.search(names) else ()):
            if table.name not in self._defined:
                self._define(table)

    def _define(
        self,
        table: Table,
        *,
        within: Sequence[Sequence[Range]] = (),
        files: frozenset[str] | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> None:
        with _errors():
            define_table(
                self.connection,
                table.name,
                self.taken(table),
                self.columns,
                self.project,
                within=within,
                files=files,
                asked=asked,
            )
        self._defined.add(table.name)


class DuckDBEngine:
    """Runs statements over one project's rows. Thread-safe: each query has a connection and a view of its own."""

    def __init__(
        self,
        lake: Lake,
        hot: HotRows,
        *,
        memory_limit: str = "2GB",
        threads: int = 2,
        trace_sums: TraceSums | None = None,
    ) -> None:
        # Of those that take much memory, one at a time is answered; one may be a part of another.
        self.large_question = threading.RLock()
        self._hot = hot
        self._columns = FileColumns()
        self.trace_places = TracePlaces()
        self._trace_sums = trace_sums
        self._trusted = _database(memory_limit, threads, readable=lake.directory)
        self.users = UserStatements(lake.directory, self.view)

    def close(self) -> None:
        """Stop users' statements, end the database; safe twice."""
        self.users.close()
        self.trace_places.close()
        if self._trace_sums is not None:
            self._trace_sums.close()
        self._trusted.close()

    def interrupt(self) -> None:
        """Stop the users' statements that run; one that is just beginning may miss it, so ask again."""
        self.users.interrupt()

    @contextmanager
    def session(self, project: str | None, rows: ConfigRows | None = None) -> Iterator[QuerySession]:
        """Give one project's rows, or all where it is None, for as many statements as are needed.

        Where ``rows`` are given, their tables have these rows of one config, and are read from no other file.
        """
        connection = self._trusted.cursor()
        try:
            session = QuerySession(connection, project, self._columns, self.view, self._trace_sums)
            for part in rows.parts if rows else ():
                session.take(_shown(part.view))
                session.only(part.view.table, part.files)
            yield session
        finally:
            connection.close()

    def config_rows(self, project: str, key: str, column: str = "config_key") -> ConfigRows:
        """Return where the rows of a config, or of what else a column names, are now, and what they are known by."""
        return config_rows([self._logged(table) for table in CONFIG_TABLES], project, key, column)

    def query(self, statement: str, parameters: Mapping[str, object] | None = None, *, project: str | None) -> pa.Table:
        """Answer one of the product's own statements, whole, in a session of its own."""
        with self.session(project) as session:
            return session.query(statement, parameters)

    def query_untrusted(
        self, statement: str, *, project: str, timeout_s: float, rows_max: int, bytes_max: int
    ) -> Answer:
        """Answer a user's statement: one SELECT, stopped at ``timeout_s``, cut at ``rows_max`` or ``bytes_max``."""
        return self.users.answer(statement, project, Limits(timeout_s, rows_max, bytes_max))

    def view(self, table: Table) -> View:
        """Return all acknowledged rows of a table."""
        return _shown(self._logged(table))

    def _logged(self, table: Table) -> View:
        """Return all rows of a table, the hot ones as they are in the log."""
        # The rollup has no log of its own: its hot rows are those of the spans that it does not yet count.
        return self._hot.view(table, logged=SPANS if table is SESSION_ROLLUP else None)


def _shown(view: View) -> View:
    return replace(view, hot=session_rollup(view.hot)) if view.table is SESSION_ROLLUP else view


def _database(memory_limit: str, threads: int, *, readable: Path) -> duckdb.DuckDBPyConnection:
    """Return a database that reads one directory, and whose settings can't be changed."""
    database = duckdb.connect(":memory:")
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET python_enable_replacements = false")
    database.execute(f"SET memory_limit = '{memory_limit}'")
    database.execute(f"SET threads = {threads}")
    # Without a place to spill, a statement that outgrows its memory ends; nothing fills the disk.
    database.execute("SET temp_directory = ''")
    # A file is never changed: its footer is read once.
    database.execute("SET parquet_metadata_cache = true")
    database.execute(f"SET allowed_directories = [{quoted(str(readable))}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


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
