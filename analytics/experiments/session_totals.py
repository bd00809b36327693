"""The table that metrics are expressions over: one row a session that counts, with its arm, epoch and calls' sums.

What is made of a session's sums stands in one statement. The sums come from one of two places, which give the same:
compiled code adds up those of all sessions of an experiment, SQL those of the sessions that a statement tells.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.cohorts import Cohort
from analytics.experiments.session_sums import MEASURES, SessionSums, chunked
from storage import sql
from storage.engines.duckdb import QuerySession

_FLAGS = {"has_fallback": "false", "has_succeeded": "NULL::BOOLEAN"}


def show_totals(session: QuerySession, cohort: Cohort, sums: SessionSums, successes: pa.ChunkedArray | None) -> None:
    """Let ``session_totals`` be the table of all sums that were read, ``session_sums`` these as they were added up.

    ``successes`` are the ids of the sessions that succeeded: where it is None, those with a call, and none that failed.
    """
    rows, count = sums.to_table(cohort), len(sums.began)
    if len(sums.fallbacks):
        rows = rows.append_column("has_fallback", pa.array(_flags(count, sums.fallbacks)))
    if successes is not None:
        found = _flags(count, cohort.index.find(successes.combine_chunks()))
        rows = rows.append_column("has_succeeded", pa.array(found))
    show_sums(session, rows, name="session")


def show_sums(session: QuerySession, rows: pa.Table, *, name: str) -> None:
    """Let ``{name}_sums`` be sums by session, those that are missing 0, and ``{name}_totals`` the table over them."""
    session.add(f"{name}_read", chunked(rows))
    # What no row has, is known without a column of it.
    missing = sorted({*MEASURES, *_FLAGS} - {*rows.column_names})
    columns = "".join(f", {_FLAGS.get(column, '0')} AS {column}" for column in missing)
    session.show(f"{name}_sums", f"SELECT *{columns} FROM {name}_read")  # noqa: S608 - names of ours
    session.show(f"{name}_totals", sql.load("session_totals").format(sums=f"{name}_sums"))


def totals_of(sessions: str, *, success_is_declared: bool) -> tuple[str, dict[str, object]]:
    """Return the statement of the table over ``config_totals``, and its parameters; ``sessions`` is like ``cohort``."""
    sums = sql.load("session_sums").format(sessions=sessions)
    return sql.load("session_totals").format(sums=f"({sums})"), {"success_is_declared": success_is_declared}


def _flags(count: int, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which of the sessions these are."""
    flags = np.zeros(count, np.bool_)
    flags[numbers[numbers >= 0]] = True
    return flags
