"""The tables of the lake."""

from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table

# What receivers fill, and so what has a log of its own.
LOGGED_TABLES: tuple[Table, ...] = (SPANS, METRICS, EXPOSURES)
TABLES: tuple[Table, ...] = (*LOGGED_TABLES, SESSION_ROLLUP)
