"""A table as a view: those of its files that are meant, read natively, and its hot rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import duckdb

from storage.engines.file_columns import FileColumns
from storage.engines.file_ranges import Range, conditions
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


def quoted(text: str) -> str:
    """Return the text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
