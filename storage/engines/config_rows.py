"""Where the rows of one config are, in each table that says something of an experiment, and whether they have changed.

Theory of operation. Files never change, and a segment of the log only grows. So the rows of a config are the same as
long as the files that may have some are the same, and each segment has as many of them. Files are left out by what the
table's log knows of each: the least and the greatest config in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from storage.engines.file_bounds import may_have, rows_of
from storage.engines.past import is_before, past_view
from storage.hot import View

# The spans after the rollup that is made of them: what comes in between is in neither or in the spans alone.
CONFIG_TABLES = (EXPOSURES, METRICS, SESSION_ROLLUP, SPANS)


@dataclass(frozen=True, slots=True)
class ConfigPart:
    """A table, and the files of it that may have rows of the config. The rollup's hot rows are spans."""

    view: View
    files: frozenset[str]


@dataclass(frozen=True, slots=True)
class ConfigRows:
    """A config's rows at one moment: those of two moments whose ``state`` is equal are the same."""

    parts: tuple[ConfigPart, ...]
    state: tuple[object, ...]


def config_rows(views: Iterable[View], project: str, key: str, column: str = "config_key") -> ConfigRows:
    """Return where the rows are whose ``column`` has the key, in a table that has no such column all of the project."""
    parts = tuple(ConfigPart(view, frozenset(_files(view, project, _column_of(view, column), key))) for view in views)
    state = tuple((part.files, _hot(part.view, project, _column_of(part.view, column), key)) for part in parts)
    return ConfigRows(parts, state)


def past_state(
    rows: ConfigRows, tables: Iterable[Table], project: str, key: str, column: str, before: datetime
) -> object:
    """Return what the rows of these tables, of before a day's start, are known by: what comes later changes nothing.

    Where files are merged it changes though the rows are the same.
    """
    wanted = frozenset(table.name for table in tables)
    found = []
    for part in rows.parts:
        view = part.view
        if view.table.name in wanted:
            files = past_view(replace(view, hot=view.table.schema.empty_table()), before).asked.keys()
            hot = _hot(view, project, _column_of(view, column), key, is_before(view.hot, before))
            found.append((part.files & files, hot))
    return tuple(found)


def row_count(rows: ConfigRows, table: Table) -> int:
    """Return about how many rows there are in the table's files that may have some of the config, and hot."""
    (part,) = (part for part in rows.parts if part.view.table is table)
    known = zip(part.view.files, part.view.statistics, strict=False)
    hot: int = part.view.hot.num_rows
    return hot + sum(rows_of(statistics) for file, statistics in known if file in part.files)


def _column_of(view: View, column: str) -> str | None:
    return column if column in view.table.schema.names else None


def _files(view: View, project: str, column: str | None, key: str) -> Iterable[str]:
    if not view.statistics:
        return view.files
    wanted = (("project", project), *([(column, key)] if column else []))
    return (
        file
        for file, statistics in zip(view.files, view.statistics, strict=True)
        if all(may_have(statistics, name, value) for name, value in wanted)
    )


def _hot(
    view: View, project: str, column: str | None, key: str, among: pa.ChunkedArray | None = None
) -> tuple[tuple[int, int, int], ...]:
    """Return of each segment that has rows of the config, ``among`` those meant, how many, and which reading it is."""
    if not view.hot.num_rows:
        return ()
    is_its = pc.equal(view.hot["project"], project)
    if column is not None:
        is_its = pc.and_(pc.equal(view.hot[column], key), is_its)
    if among is not None:
        is_its = pc.and_(is_its, among)
    until = np.concatenate(([0], np.cumsum(is_its.fill_null(False).to_numpy())))
    ends = np.cumsum([segment.rows for segment in view.segments])
    counts = until[ends] - until[ends - [segment.rows for segment in view.segments]]
    return tuple(
        (segment.number, segment.reading, int(count))
        for segment, count in zip(view.segments, counts, strict=True)
        if count
    )
