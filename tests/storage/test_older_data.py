"""Data of an older version, whose tables have fewer columns: nothing is lost, and what was not known then is NULL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lake_parts import TODAY, Parts, encoded, exposure_rows, read_rows, span_rows
from server_process import ServerProcess

from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from schemas.table import Table
from schemas.tables import TABLES
from storage.data_directory import DataDirectory
from storage.errors import LakeError, SegmentError
from storage.lake import Lake
from storage.rollup import session_rollup
from storage.segments import SegmentEncoder, segment_path
from storage.transaction_log import CHECKPOINT_VERSIONS
from storage.upkeep.compaction import merge
from storage.upkeep.rewrite import Rewriter

LACKING = {
    "spans": ("tool_calls", "uncached_input_tokens", "token_rule"),
    "exposures": ("computed_variant_index", "computed_model", "computed_reason", "content_hash"),
    "session_rollup": ("time_to_first_token_ms_sumsq",),
}
SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string()), ("share", pa.float64())])


def older(table: Table) -> Table:
    """Return the table as it was before some of its columns."""
    lacking = LACKING.get(table.name, ())
    assert set(lacking) < set(table.schema.names)
    fields = [field for field in table.schema if field.name not in lacking]
    return replace(table, schema=pa.schema(fields), identity=tuple(x for x in table.identity if x not in lacking))


def older_rows(table: Table, rows: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([rows.select(older(table).schema.names)]).cast(older(table).schema)


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    """Return what an older version left: two spans and an exposure in the lake, one of each in the log."""
    data = DataDirectory(tmp_path / "data")
    data.create()
    lake = Lake(data.lake)
    for table in TABLES:
        lake.create(older(table))
    spans = span_rows(1, 2)
    rollup = session_rollup(pa.Table.from_batches([spans])).combine_chunks().to_batches()[0]
    committed = ((SPANS, spans), (SESSION_ROLLUP, rollup), (EXPOSURES, exposure_rows(1)))
    for table, rows in committed:
        lake.commit(older(table), older_rows(table, rows), writer_id=data.writer_id(), segment=1)
    for table, rows in ((SPANS, span_rows(3)), (EXPOSURES, exposure_rows(2))):
        path = segment_path(data.log / table.name, 2)
        path.parent.mkdir()
        encoder = SegmentEncoder(older(table).schema)
        (batch,) = older_rows(table, rows).to_batches()
        path.write_bytes(encoder.header + encoded(encoder, batch))
    return data


def asked(parts: Parts, statement: str) -> list[dict[str, Any]]:
    """Return the answer of the product's own statement, which is also that of a user's."""
    own = parts.engine.query(statement, project="p").to_pylist()
    limits = {"timeout_s": 10.0, "rows_max": 100, "bytes_max": 1 << 30}
    assert parts.engine.query_untrusted(statement, project="p", **limits).rows.to_pylist() == own
    return own


def test_rows_of_before_lack_what_was_not_known_and_nothing_else(data: DataDirectory) -> None:
    parts = Parts(data.path)

    spans = asked(parts, "SELECT content_hash, config_key, tool_calls, token_rule FROM spans ORDER BY 1")
    exposures = asked(parts, "SELECT session_id, computed_model, content_hash FROM exposures ORDER BY 1")

    unknown = {"config_key": "config", "tool_calls": None, "token_rule": None}
    assert spans == [{"content_hash": number, **unknown} for number in (1, 2, 3)]
    assert exposures == [{"session_id": f"s{n}", "computed_model": None, "content_hash": None} for n in (1, 2)]
    assert asked(parts, "SELECT sum(calls)::INT AS calls FROM session_rollup") == [{"calls": 3}]


def test_rows_of_both_versions_stand_in_one_table(data: DataDirectory) -> None:
    parts = Parts(data.path)
    new = pa.Table.from_batches([span_rows(7, tool_calls="[]")])
    parts.lake.commit(SPANS, new, writer_id="new", segment=1)

    found = asked(parts, "SELECT content_hash AS n, tool_calls FROM spans WHERE date IS NOT NULL ORDER BY 1")

    assert found == [*({"n": n, "tool_calls": None} for n in (1, 2, 3)), {"n": 7, "tool_calls": "[]"}]
    # As any reader of Delta tables sees it, of what is committed.
    rows = DeltaTable(data.lake / "spans").to_pyarrow_table(columns=["content_hash", "tool_calls"])
    assert sorted(rows.to_pylist(), key=lambda row: row["content_hash"])[-1] == {"content_hash": 7, "tool_calls": "[]"}


def test_columns_are_added_once_and_documented(data: DataDirectory) -> None:
    before = {table.name: DeltaTable(data.lake / table.name).version() for table in TABLES}

    for _ in range(2):
        Parts(data.path)

    for table in TABLES:
        found = DeltaTable(data.lake / table.name)
        assert found.version() == before[table.name] + (table.name in LACKING)
        descriptions = {field.name: field.metadata["description"] for field in found.schema().fields}
        assert descriptions == {field.name: field.metadata[b"description"].decode() for field in table.schema}


def test_a_table_of_this_version_is_left_as_it_is(tmp_path: Path) -> None:
    for _ in range(2):
        parts = Parts(tmp_path / "data")

    assert {DeltaTable(parts.data.lake / table.name).version() for table in TABLES} == {0}
    assert not any(parts.lake.snapshot(table, "w").is_evolved for table in TABLES)


def test_that_columns_were_added_is_known_behind_a_checkpoint(data: DataDirectory) -> None:
    parts = Parts(data.path)
    for number in range(CHECKPOINT_VERSIONS):
        rows = pa.Table.from_batches([exposure_rows(100 + number)])
        parts.lake.commit(EXPOSURES, rows, writer_id="new", segment=number + 1)
    assert list((data.lake / "exposures" / "_delta_log").glob("*.checkpoint.parquet"))

    parts = Parts(data.path)

    assert parts.lake.snapshot(EXPOSURES, "w").is_evolved
    assert parts.count(EXPOSURES, "count(computed_model IS NULL)") == CHECKPOINT_VERSIONS + 2


def test_files_of_both_versions_are_merged(data: DataDirectory) -> None:
    parts = Parts(data.path)
    parts.lake.commit(SPANS, pa.Table.from_batches([span_rows(7, tool_calls="[]")]), writer_id="new", segment=1)
    rewriter = Rewriter(parts.lake, Event())

    assert merge(rewriter, SPANS, rewriter.files(SPANS), datetime.now(UTC))

    assert len(parts.lake.files(SPANS)) == 1
    found = asked(parts, "SELECT content_hash AS n, tool_calls FROM spans ORDER BY 1")
    assert found == [*({"n": n, "tool_calls": None} for n in (1, 2, 3)), {"n": 7, "tool_calls": "[]"}]


def test_a_column_of_another_type_is_refused_and_the_table_left_alone(tmp_path: Path) -> None:
    fields = [pa.field(f.name, pa.string()) if f.name == "variant_index" else f for f in EXPOSURES.schema]
    Lake(tmp_path).create(replace(EXPOSURES, schema=pa.schema(fields)))

    with pytest.raises(LakeError, match="column variant_index is of type string, expected long"):
        Lake(tmp_path).create(EXPOSURES)

    assert DeltaTable(tmp_path / "exposures").version() == 0


def test_columns_of_a_later_version_stay(tmp_path: Path) -> None:
    later = replace(EXPOSURES, schema=EXPOSURES.schema.append(pa.field("mood", pa.string())))
    Lake(tmp_path).create(later)

    Lake(tmp_path).create(EXPOSURES)

    assert [field.name for field in DeltaTable(tmp_path / "exposures").schema().fields][-1] == "mood"


@pytest.mark.parametrize("kept", [["n"], ["text"], ["share", "n"]], ids=",".join)
def test_a_segment_that_lacks_columns_is_read_with_nulls(tmp_path: Path, kept: list[str]) -> None:
    rows = pa.RecordBatch.from_pylist([{"n": 1, "text": "x", "share": 0.5}, {"n": 2, "text": "y"}], schema=SCHEMA)
    written = rows.select(kept)
    encoder = SegmentEncoder(written.schema)
    path = segment_path(tmp_path, 1)
    path.write_bytes(encoder.header + encoded(encoder, written) + encoded(encoder, written))

    first, second = read_rows(path, SCHEMA)

    expected = [{**dict.fromkeys(SCHEMA.names), **row} for row in written.to_pylist()]
    assert first.schema == SCHEMA
    assert first.to_pylist() == second.to_pylist() == expected


@pytest.mark.parametrize(
    "other",
    [pa.schema([("n", pa.string())]), pa.schema([("n", pa.int64()), ("later", pa.int64())])],
    ids=["another type", "another column"],
)
def test_a_segment_of_columns_that_are_not_known_is_refused(tmp_path: Path, other: pa.Schema) -> None:
    encoder = SegmentEncoder(other)
    path = segment_path(tmp_path, 1)
    rows = pa.RecordBatch.from_pylist([dict.fromkeys(other.names)], schema=other)
    path.write_bytes(encoder.header + encoded(encoder, rows))

    with pytest.raises(SegmentError, match="its columns are not those of this version"):
        read_rows(path, SCHEMA)


def test_a_damaged_frame_of_an_older_segment_is_told_and_the_next_is_read(tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pylist([{"n": 1}], schema=pa.schema([("n", pa.int64())]))
    encoder = SegmentEncoder(rows.schema)
    frames = [encoded(encoder, rows) for _ in range(3)]
    damaged = bytearray(frames[1])
    damaged[-8] ^= 1
    path = segment_path(tmp_path, 1)
    path.write_bytes(encoder.header + frames[0] + bytes(damaged) + frames[2])

    assert [batch["n"].to_pylist() for batch in read_rows(path, SCHEMA)] == [[1], [1]]


def test_a_server_goes_on_with_what_an_older_one_left(data: DataDirectory) -> None:
    server = ServerProcess(data.path).start()
    try:
        server.define({"configs": [{"key": "config", "variants": [{"model": "a", "weight": 100}]}]})
        report = {"config_key": "config", "config_version": 1, "session_id": "s9", "assigned_model": "a"}
        assert server.post("/sessions", report)[0] == 200
        status, body = server.get("/debug/pipeline")
    finally:
        code = server.terminate()

    assert code == 0, server.log()
    assert status == 200, body
    parts = Parts(data.path)
    assert parts.count(SPANS) == 3
    assert parts.count(EXPOSURES, "count(DISTINCT session_id)") == 2 + 1
    assert parts.count(SESSION_ROLLUP, "sum(calls)::INT") == 3
    assert parts.segments() == []
    assert parts.count(SPANS, f"count(*) FILTER (date = '{TODAY.date()}')") == 3
