"""A lake for tests of its upkeep: rows committed as segments, and what readers see of them."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from lake_parts import span_rows

from schemas.session_rollup import ROLLUP_KEYS, SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.lake import Lake
from storage.rollup import added, rollup_of_each, session_rollup
from storage.upkeep.rewrite import Rewriter

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()


def day(days_ago: int) -> date:
    return TODAY - timedelta(days_ago)


class UpkeepLake:
    """The tables under one folder, one writer, and a rewriter that is never told to stop."""

    def __init__(self, path: Path) -> None:
        self.lake = Lake(path)
        for table in TABLES:
            self.lake.create(table)
        self.rewriter = Rewriter(self.lake, threading.Event())
        self._segments: Counter[str] = Counter()

    def commit(self, table: Table, *batches: pa.RecordBatch) -> None:
        """Commit rows as one segment; spans to their rollup too."""
        rows = pa.Table.from_batches(batches)
        self._segments[table.name] += 1
        number = self._segments[table.name]
        self.lake.commit(table, rows, writer_id="w", segment=number)
        if table is SPANS:
            self.lake.commit(SESSION_ROLLUP, session_rollup(rows), writer_id="w", segment=number)

    def commit_spans(self, *numbers: int, **columns: Any) -> None:
        self.commit(SPANS, span_rows(*numbers, **{"date": TODAY, "start_time": NOW} | columns))

    def rows(self, table: Table = SPANS) -> pa.Table:
        """Return all rows as a reader of Delta tables sees them."""
        return DeltaTable(self.lake.directory / table.name).to_pyarrow_table()

    def numbers(self) -> list[int]:
        """Return the content hashes of all spans."""
        return sorted(self.rows()["content_hash"].to_pylist())

    def file_count(self, table: Table = SPANS) -> int:
        return len(self.lake.files(table))

    def rollup_is_fresh(self) -> bool:
        """Whether the rollup adds up to what the stored spans would make anew."""
        return totals(self.rows(SESSION_ROLLUP)) == totals(rollup_of_each(self.rows()))


def totals(rollup: pa.Table) -> list[dict[str, Any]]:
    sums = added(rollup.select(SESSION_ROLLUP.schema.names).cast(SESSION_ROLLUP.schema))
    floats = [field.name for field in sums.schema if pa.types.is_floating(field.type)]
    for name in floats:
        sums = sums.set_column(sums.schema.get_field_index(name), name, pc.round(sums[name], 6))
    return sums.sort_by([(name, "ascending") for name in ROLLUP_KEYS]).to_pylist()
