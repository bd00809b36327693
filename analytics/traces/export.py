"""Spans as a file: JSON lines, or Parquet with the columns of the table; read and written a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.traces.conditions import Condition
from analytics.traces.spans import stored_span
from schemas.api.traces import ExportQuery
from schemas.spans import SPANS
from storage.engines.duckdb import QuerySession

ExportFormat = Literal["jsonl", "parquet"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
# Spans may be of any size; so many are in memory at a time, some times over.
BATCH_ROWS = 500
# A row group of Parquet is held whole before it is written.
ROW_GROUP_BYTES = 16 * 1024 * 1024


def exported(session: QuerySession, wanted: ExportQuery, condition: Condition) -> Iterator[pa.RecordBatch]:
    """Yield the spans that are meant, each once: those that are stored when it begins. Raises QueryError."""
    session.narrow(SPANS, "start_time", wanted.started_from, wanted.started_to)
    parts = [condition.sql] if condition else []
    values = dict(condition.parameters)
    if wanted.started_to is not None:
        # The range has its end in it.
        parts.append("start_time < $started_to")
        values["started_to"] = wanted.started_to
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    # Names from the schema; conditions are ours, their values parameters.
    statement = f"SELECT {', '.join(SPANS.schema.names)} FROM spans{where}"  # noqa: S608
    for batch in session.batches(statement, values, rows=BATCH_ROWS):
        yield batch.cast(SPANS.schema)


def encoded(batches: Iterator[pa.RecordBatch], form: ExportFormat) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of the file, and of how many spans they are."""
    return _parquet(batches) if form == "parquet" else _jsonl(batches)


def _jsonl(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[bytes, int]]:
    for batch in batches:
        yield b"".join(orjson.dumps(stored_span(row)) + b"\n" for row in batch.to_pylist()), batch.num_rows


def _parquet(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[bytes, int]]:
    sink = _Sink()
    writer = pq.ParquetWriter(sink, SPANS.schema, compression="zstd")
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(each.nbytes for each in gathered) >= ROW_GROUP_BYTES:
            yield _row_group(writer, sink, gathered)
            gathered = []
    if gathered:
        yield _row_group(writer, sink, gathered)
    writer.close()
    yield sink.take(), 0


def _row_group(writer: pq.ParquetWriter, sink: _Sink, batches: list[pa.RecordBatch]) -> tuple[bytes, int]:
    rows = pa.Table.from_batches(batches, SPANS.schema)
    writer.write_table(rows, row_group_size=rows.num_rows)
    return sink.take(), rows.num_rows


class _Sink:
    """A file that is only written to; what was written is taken out piece by piece."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._size_bytes += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size_bytes

    def flush(self) -> None:
        """Do nothing: what was written is there to be taken."""

    def close(self) -> None:
        """Do nothing: its end is the writer's."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
