"""The parts that keep rows, put together for tests: a data directory, its lake, log, hot rows and engine."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.exporters.lake import LakeExporter
from collector.log import SegmentLog
from collector.log_budget import LogBudget
from collector.window import SpanWindow
from schemas.exposures import EXPOSURES
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import LOGGED_TABLES, TABLES
from storage.data_directory import DataDirectory
from storage.engines.duckdb import DuckDBEngine
from storage.engines.trace_sums import TraceSums
from storage.hot import HotRows
from storage.lake import Lake
from storage.recent_spans import recent_spans
from storage.segments import SegmentEncoder, SegmentReader

NEVER_S = 3600.0
TODAY = datetime.now(UTC)


def read_rows(path: Path, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return the rows of a segment as far as they are whole and their checksums right."""
    return [frame.rows for frame in SegmentReader(path, schema).read() if frame.rows is not None]


def encoded(encoder: SegmentEncoder, rows: pa.RecordBatch) -> bytes:
    """Return the bytes of one append."""
    return b"".join(encoder.frame(rows))


def span_rows(*numbers: int, **columns: Any) -> pa.RecordBatch:
    """Return spans that differ in their ids, all calls to a model of one session."""
    rows = [
        {
            "project": "p",
            "date": TODAY.date(),
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "content_hash": number,
            "config_key": "config",
            "session_id": "session",
            "name": "call",
            "response_model": "gpt-4o",
            "is_inference": True,
            "status_code": "ok",
            "start_time": TODAY,
            "duration_ns": 1_000_000,
            "received_at": datetime.now(UTC),
        }
        | columns
        for number in numbers
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SPANS.schema)


def exposure_rows(*numbers: int, project: str = "p") -> pa.RecordBatch:
    rows = [{"project": project, "config_key": "config", "session_id": f"s{number}"} for number in numbers]
    return pa.RecordBatch.from_pylist(rows, schema=EXPOSURES.schema)


class Parts:
    """One server's storage, without its ports. ``lake``, ``hot`` and ``engine`` are readers of their own."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.data = DataDirectory(path)
        self.data.create()
        self.writer_id = self.data.writer_id()
        self.lake = Lake(self.data.lake)
        for table in TABLES:
            self.lake.create(table)
        self.hot = HotRows(self.data.log, self.lake, self.writer_id)
        self.engine = DuckDBEngine(self.lake, self.hot)
        self.sums: TraceSums | None = None
        self._options: dict[str, Any] = {
            "flush_interval_s": NEVER_S,
            "segment_bytes_max": 1 << 20,
            "log_bytes_max": 1 << 30,
            "window": SpanWindow(10_000),
        } | options

    def exporter(self, **options: Any) -> LakeExporter:
        """Return an exporter that is not started; several are as many lives of the server."""
        return LakeExporter(
            Lake(self.data.lake),
            self.data.log,
            self.writer_id,
            recent_spans=lambda: recent_spans(self.engine, 10_000),
            **self._options | {"window": SpanWindow(10_000)} | options,
        )

    def log(self, table: Table) -> SegmentLog:
        return SegmentLog(
            self.data.log / table.name,
            table.schema,
            segment_bytes_max=1 << 20,
            budget=LogBudget(self.data.log, bytes_max=1 << 30),
        )

    def count(self, table: Table = SPANS, column: str = "count(*)") -> int:
        return int(self.engine.query(f"SELECT {column} AS n FROM {table.name}", project=None)["n"][0].as_py() or 0)

    def keep_sums(self) -> TraceSums:
        """Give the engine the sums of all files that there are, however small; return when they are made."""
        sums = self.sums or TraceSums(self.data.lake / SPANS.name, rows_min=1)
        if self.sums is None:
            self.engine.close()
            self.engine = DuckDBEngine(self.lake, self.hot, trace_sums=sums)
            self.sums = sums
        view = self.hot.view(SPANS)
        deadline = time.monotonic() + 20
        while len(sums.files(view)) < len(view.files):
            assert time.monotonic() < deadline, "sums of some files were not made"
            time.sleep(0.01)
        return sums

    def counts(self) -> tuple[int, int]:
        """Return the spans, and the calls in their rollup."""
        statement = "SELECT count(*) AS n, (SELECT coalesce(sum(calls), 0)::BIGINT FROM session_rollup) AS m FROM spans"
        (row,) = self.engine.query(statement, project=None).to_pylist()
        return row["n"], row["m"]

    def segments(self) -> list[str]:
        """Return the segment files of all logs."""
        return sorted(path.name for table in LOGGED_TABLES for path in (self.data.log / table.name).glob("*.arrow"))


def crash(exporter: LakeExporter) -> None:
    """End the exporter's threads without what ``stop`` does: nothing more is sealed or committed."""
    for committer in exporter._committers.values():
        committer.stop()


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond the size: a write stops in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
