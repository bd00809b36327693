"""What is recognised, beside spans, where it is sent again: exposures, and what is kept of logs and metrics."""

from collections.abc import Mapping

from collector.window import RecentRows, SpanWindow
from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.table import Table
from server.settings import ServerSettings
from storage.engines.duckdb import DuckDBEngine
from storage.recent_spans import recent_rows

# What falls out is stored again, and counted once all the same (docs/assignment.md).
EXPOSURES_REMEMBERED = 250_000


def recent_others(engine: DuckDBEngine, settings: ServerSettings) -> Mapping[str, RecentRows]:
    """Return by table what recognises rows that are sent again; none for what is not kept."""
    kept = ((LOG_RECORDS, settings.keep_logs), (METRIC_POINTS, settings.keep_metrics))
    found = {table.name: _recent(engine, table, settings.dedup_window_spans) for table, is_kept in kept if is_kept}
    return {EXPOSURES.name: _recent(engine, EXPOSURES, EXPOSURES_REMEMBERED), **found}


def _recent(engine: DuckDBEngine, table: Table, rows_max: int) -> RecentRows:
    return RecentRows(SpanWindow(rows_max, table.identity), lambda: recent_rows(engine, table, rows_max))
