"""What an exporter tells of the rows that it has stored."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from lake_parts import Parts, exposure_rows, file_size_limit, span_rows

from collector.component import CollectorError


def test_rows_are_told_once_when_they_are_visible(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    told: list[tuple[str, int, int]] = []

    def tell(table: str, rows: pa.RecordBatch) -> None:
        told.append((table, rows.num_rows, parts.count()))

    exporter.on_stored = tell
    exporter.start()
    exporter.consume("spans", span_rows(1, 2))
    exporter.consume("spans", span_rows(2, 3))
    exporter.consume("exposures", exposure_rows(1))
    exporter.stop()

    assert told == [("spans", 2, 2), ("spans", 1, 3), ("exposures", 1, 3)]


def test_rows_that_could_not_be_stored_are_not_told(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    told: list[str] = []
    exporter.on_stored = lambda table, _: told.append(table)
    exporter.start()
    with file_size_limit(100), pytest.raises(CollectorError):
        exporter.consume("spans", span_rows(1, 2))

    assert told == []
    exporter.stop()
