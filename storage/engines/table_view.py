"""A table as a view in a database of a user's own: all its files, read natively, and its hot rows."""

from __future__ import annotations

import duckdb

from storage.engines.file_columns import FileColumns
from storage.hot import View


def define_table(
    connection: duckdb.DuckDBPyConnection, name: str, view: View, columns: FileColumns, project: str | None
) -> None:
    """Make ``name`` the project's rows of the table, or all where it is None, in a connection that reads its files."""
    table = view.table
    names = ", ".join(table.schema.names)
    sources = [f"SELECT {names} FROM hot_{name}"]  # noqa: S608 - names from the schema
    partition = ", hive_partitioning = true, hive_types = {'date': DATE}" if table.partition_by else ""
    for present, paths in columns.alike(view):
        files = ", ".join(quoted(path) for path in paths)
        found = ", ".join(column if column in present else f"NULL AS {column}" for column in table.schema.names)
        sources.append(f"SELECT {found} FROM read_parquet([{files}]{partition})")  # noqa: S608 - paths are quoted
    condition = "true" if project is None else f"project = {quoted(project)}"
    connection.register(f"hot_{name}", view.hot)
    connection.execute(
        f"CREATE TEMP VIEW {name} AS SELECT * FROM ({' UNION ALL '.join(sources)}) WHERE {condition}"  # noqa: S608 - likewise
    )


def quoted(text: str) -> str:
    """Return the text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
