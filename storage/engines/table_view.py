"""A table as a view: those of its files that are meant, read natively, and its hot rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import duckdb

from storage import sql
from storage.engines.file_columns import FileColumns
from storage.engines.file_ranges import ALL, Range, conditions
from storage.hot import View


def define_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    view: View,
    columns: FileColumns,
    project: str | None,
    *,
    within: Sequence[Sequence[Range]] = (),
    files: frozenset[str] | None = None,
) -> None:
    """Make ``name`` the project's rows of the table, or all where it is None, in a connection that reads its files.

    ``files`` are those that are meant, all where it is None. Of each of ``within``, the ranges of one column, a row has
    to lie in one, or between two that a file meets; a file is asked only what its statistics don't answer.
    """
    table = view.table
    names = ", ".join(table.schema.names)
    partition = ", hive_partitioning = true, hive_types = {'date': DATE}" if table.partition_by else ""
    asked = conditions(view, within)
    sources = []
    for present, paths in columns.alike(view):
        found = ", ".join(column if column in present else f"NULL AS {column}" for column in table.schema.names)
        alike = defaultdict(list)
        for path in paths:
            if path in asked and (files is None or path in files):
                alike[asked[path]].append(quoted(path))
        sources += [
            f"SELECT {found} FROM read_parquet([{', '.join(listed)}]{partition}) WHERE {condition}"  # noqa: S608 - paths are quoted
            for condition, listed in alike.items()
        ]
    if view.hot.num_rows or not sources:
        connection.register(f"hot_{name}", view.hot)
        hot = " AND ".join(f"({' OR '.join(bound.condition for bound in bounds)})" for bounds in within)
        sources.append(f"SELECT {names} FROM hot_{name} WHERE {hot or 'true'}")  # noqa: S608 - names from the schema
    of_project = "true" if project is None else f"project = {quoted(project)}"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM ({' UNION ALL '.join(sources)}) WHERE {of_project}"  # noqa: S608 - likewise
    )


def define_sums(
    connection: duckdb.DuckDBPyConnection,
    view: View,
    columns: FileColumns,
    project: str | None,
    *,
    within: Sequence[Sequence[Range]],
    side_files: Mapping[str, str],
) -> None:
    """Make ``trace_sums`` what the project's spans within the bounds add to the sums of their traces.

    A file that lies within as a whole is read from its side file, where it has one.
    """
    whole = [file for file, asked in conditions(view, within).items() if asked == ALL and file in side_files]
    define_table(
        connection, "spans_in_turn", view, columns, project, within=within, files=frozenset(view.files) - set(whole)
    )
    sources = [sql.load("span_sums").format(spans="spans_in_turn")]
    if whole:
        listed = ", ".join(quoted(side_files[file]) for file in whole)
        of_project = ALL if project is None else f"project = {quoted(project)}"
        sources.append(f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false) WHERE {of_project}")  # noqa: S608 - paths are quoted
    connection.execute(f"CREATE OR REPLACE TEMP VIEW trace_sums AS {' UNION ALL BY NAME '.join(sources)}")


def quoted(text: str) -> str:
    """Return the text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
