"""A database for notebooks: the rows of one project, in files that a server may be writing to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from storage.data_directory import DataDirectory
from storage.engines.duckdb import DuckDBEngine
from storage.engines.file_columns import FileColumns
from storage.engines.table_view import define_table
from storage.errors import DataDirectoryError
from storage.hot import HotRows, View
from storage.lake import Lake
from storage.session_labels import SESSION_LABELS
from storage.sql_views import LABELS, TABLES_BY_NAME, VIEWS

SNAPSHOT = "snapshot"


def open_snapshot(data_dir: Path, project: str, *, hot: bool, labels: pa.Table | None) -> duckdb.DuckDBPyConnection:
    """Return what ``storage.connect`` promises."""
    data = DataDirectory(data_dir)
    if not data.lake.is_dir():
        raise DataDirectoryError(f"{data.path} is no data directory: it has no lake/")
    lake = Lake(data.lake)
    engine = DuckDBEngine(lake, HotRows(data.log, lake, data.writer_id()))
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    columns, hot_rows = FileColumns(), 0
    for name, table in TABLES_BY_NAME.items():
        view = engine.view(table)
        if not hot:
            view = View(table, view.files, table.schema.empty_table(), view.is_evolved)
        hot_rows += view.hot.num_rows
        define_table(connection, name, view, columns, project)
    engine.close()
    connection.register(LABELS, SESSION_LABELS.empty_table() if labels is None else labels)
    for each in VIEWS:
        if each.name != "experiment_sessions" or labels is not None:
            connection.execute(f"CREATE TEMP VIEW {each.name} AS {each.statement}")
    connection.register(SNAPSHOT, _snapshot(data.path, project, hot=hot, hot_rows=hot_rows))
    return connection


def _snapshot(path: Path, project: str, *, hot: bool, hot_rows: int) -> pa.Table:
    row = {
        "data_dir": str(path),
        "project": project,
        "taken_at": datetime.now(UTC),
        "has_hot_rows": hot,
        "hot_rows": hot_rows,
    }
    return pa.Table.from_pylist([row])
