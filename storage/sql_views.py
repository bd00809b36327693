"""The views that users' SQL has beside the tables: a file each in ``sql/views/``, which also describes each column."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.metrics import METRICS
from schemas.table import Table
from schemas.tables import TABLES
from storage import sql

# By the brief name goes what is asked for most: the table of that name in the lake has another one in SQL.
TABLE_NAMES = {table.name: "metric_values" if table is METRICS else table.name for table in TABLES}
TABLES_BY_NAME = {TABLE_NAMES[table.name]: table for table in TABLES}
LABELS = "session_labels"
"""The rows that analytics makes of each config's exposures: what ``experiment_sessions`` is over."""
NAMES = ("llm_calls", "sessions", "metrics", "experiment_sessions")

_COLUMN = re.compile(r"(\w+): (.+)")
_WORD = re.compile(r"\w+")
_OF_ALL = re.compile(r"information_schema|duckdb_\w+|pg_\w+|sqlite_\w+|\bshow\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlView:
    """A view: what it shows, what each column means, its SELECT."""

    name: str
    description: str
    columns: dict[str, str]
    statement: str


@dataclass(frozen=True, slots=True)
class Used:
    """What a statement needs: tables by their names in SQL, views in the order of their making.

    Those of ``listed`` need no rows: the statement asks which there are.
    """

    tables: tuple[tuple[str, Table], ...]
    views: tuple[SqlView, ...]
    has_labels: bool
    listed: tuple[tuple[str, Table], ...] = ()


def _view(name: str) -> SqlView:
    text = sql.load(f"views/{name}")
    comments = [line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--")]
    separator = comments.index("")
    columns = {found[1]: found[2] for line in comments[separator:] if (found := _COLUMN.fullmatch(line))}
    return SqlView(name, " ".join(comments[:separator]), columns, text)


VIEWS = tuple(_view(name) for name in NAMES)


def used_by(statement: str) -> Used:
    """Return what the statement names, and what that is over; where it asks which there are, also the others."""
    names = _words([statement])
    views = tuple(view for view in VIEWS if view.name in names)
    names |= _words(re.sub(r"--.*", "", view.statement) for view in views)
    tables = tuple((name, table) for name, table in TABLES_BY_NAME.items() if name in names)
    if not _OF_ALL.search(statement):
        return Used(tables, views, has_labels=LABELS in names)
    others = tuple((name, table) for name, table in TABLES_BY_NAME.items() if name not in names)
    return Used(tables, VIEWS, has_labels=LABELS in names, listed=others)


def _words(texts: Iterable[str]) -> set[str]:
    return {word.lower() for text in texts for word in _WORD.findall(text)}
