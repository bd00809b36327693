"""The tables of the lake."""

from schemas.evaluations import EVALUATION_TABLES
from schemas.exposures import EXPOSURES
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table

# What receivers fill, and so what has a log of its own.
LOGGED_TABLES: tuple[Table, ...] = (SPANS, METRICS, EXPOSURES, LOG_RECORDS, METRIC_POINTS, *EVALUATION_TABLES)
TABLES: tuple[Table, ...] = (*LOGGED_TABLES, SESSION_ROLLUP)
