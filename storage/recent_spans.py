"""The rows received lately, spans and others, by their identities."""

import pyarrow as pa

from schemas.table import Table
from storage import sql
from storage.engines.duckdb import DuckDBEngine


def recent_spans(engine: DuckDBEngine, spans_max: int) -> pa.Table:
    """Return the identities of the latest spans of all projects, latest first: a client may still send them again."""
    with engine.session(None) as session:
        newest = session.query(sql.load("newest_span"))["newest"][0].as_py()
        return session.query(sql.load("recent_spans"), {"limit": spans_max, "newest": newest})


def recent_rows(engine: DuckDBEngine, table: Table, rows_max: int) -> pa.Table:
    """Return the identities of the latest rows of a table, likewise."""
    names = ", ".join(table.identity)
    with engine.session(None) as session:
        newest = session.query(f"SELECT max(received_at) AS newest FROM {table.name}")["newest"][0].as_py()  # noqa: S608 - names from the schema
        statement = sql.load("recent_rows").format(columns=names, table=table.name)
        return session.query(statement, {"limit": rows_max, "newest": newest})
