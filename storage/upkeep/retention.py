"""Retention: rows of days that are too old are dropped, from all tables.

Tables with a partition of their own for each day lose whole files. Of the others a row is as old as its receipt, which
is the server's own time, unlike that of an event: a file of which all is too old is dropped, one that is old in part is
rewritten, at most once a day for each file.
"""

from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.table import TIMESTAMP, Table
from schemas.tables import TABLES
from storage.data_file import DataFile
from storage.upkeep.rewrite import Rewriter
from storage.upkeep.steps import take_all

AGE_COLUMN = "received_at"


def drop_old_days(rewriter: Rewriter, *, days: int, today: date) -> int:
    """Drop the rows of all tables of before that many days; return how many files went or were rewritten."""
    first_kept = today - timedelta(days)
    return sum(
        take_all(
            partial(_drop_partitions if table.partition_by else _drop_received, rewriter, table, first_kept)
            for table in TABLES
        )
    )


def _drop_partitions(rewriter: Rewriter, table: Table, first_kept: date) -> int:
    old = [
        file
        for file in rewriter.lake.files(table)
        if (day := file.partition["date"]) is not None and day < first_kept.isoformat()
    ]
    # What has changed meanwhile is dropped in the next round.
    if old and rewriter.lake.replace(table, old, [], operation="DELETE", data_change=True):
        return len(old)
    return 0


def _drop_received(rewriter: Rewriter, table: Table, first_kept: date) -> int:
    begin = datetime(first_kept.year, first_kept.month, first_kept.day, tzinfo=UTC)
    rewritten = take_all(
        partial(rewriter.rewrite, table, [file], operation="DELETE", keep=lambda rows: _is_kept(rows, begin))
        for file in rewriter.lake.files(table)
        if (oldest := _oldest(file)) is not None and oldest < begin
    )
    return sum(removed is not None for removed in rewritten)


def _is_kept(rows: pa.Table, begin: datetime) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = (
        pc.greater_equal(rows[AGE_COLUMN], pa.scalar(begin, TIMESTAMP)).fill_null(fill_value=True).to_numpy()
    )
    return kept


def _oldest(file: DataFile) -> datetime | None:
    """Return the earliest receipt in the file; None where it has none."""
    least_values = file.statistics().get("minValues")
    least = least_values.get(AGE_COLUMN) if isinstance(least_values, dict) else None
    return datetime.fromisoformat(least) if isinstance(least, str) else None
