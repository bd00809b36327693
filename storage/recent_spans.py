"""The spans received lately, by their identities."""

import pyarrow as pa

from storage import sql
from storage.engines.duckdb import DuckDBEngine


def recent_spans(engine: DuckDBEngine, spans_max: int) -> pa.Table:
    """Return the identities of the latest spans of all projects, latest first: a client may still send them again."""
    with engine.session(None) as session:
        newest = session.query(sql.load("newest_span"))["newest"][0].as_py()
        return session.query(sql.load("recent_spans"), {"limit": spans_max, "newest": newest})
