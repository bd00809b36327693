"""Files end to end: every reader finds in the one file what it found in the many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_parts import exposure_rows, span_rows

from schemas.exposures import EXPOSURES
from schemas.spans import SPANS
from storage import parquet, thrift
from storage.concatenation import UnlikeError, concatenate
from storage.errors import LakeError
from storage.parquet import WrittenFile, write_file
from storage.thrift import DOUBLE, ThriftReader, Value, encode_struct


def written(path: Path, *batches: pa.RecordBatch) -> WrittenFile:
    return write_file(path, SPANS, [pa.Table.from_batches(batches)])


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[WrittenFile]:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS_MAX", 40)
    return [
        written(tmp_path / "a.parquet", span_rows(*range(100), input="x" * 100, tags=["a"])),
        written(tmp_path / "b.parquet", span_rows(100, session_id=None, project="q")),
        written(tmp_path / "c.parquet", span_rows(*range(101, 150), session_id="other", cost=0.5)),
    ]


def together(path: Path, sources: list[WrittenFile]) -> WrittenFile:
    return concatenate(path, [file.path for file in sources], [file.stats for file in sources])


def query(statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(statement).fetchall()


def test_all_readers_find_all_rows_in_their_order(tmp_path: Path, sources: list[WrittenFile]) -> None:
    found = together(tmp_path / "new" / "all.parquet", sources)

    parts = pa.concat_tables([pq.read_table(file.path, partitioning=None) for file in sources])
    assert pq.read_table(found.path, partitioning=None).equals(parts)
    assert pl.read_parquet(found.path).equals(pl.concat([pl.read_parquet(file.path) for file in sources]))
    answer = query(f"SELECT trace_id, input FROM read_parquet('{found.path}')")
    assert answer == [tuple(row.values()) for row in parts.select(["trace_id", "input"]).to_pylist()]
    assert (found.rows, found.size_bytes) == (150, found.path.stat().st_size)
    assert pq.read_metadata(found.path).num_row_groups == 6


def test_bloom_filters_and_bounds_hold_at_their_new_places(tmp_path: Path, sources: list[WrittenFile]) -> None:
    found = together(tmp_path / "all.parquet", sources)

    for number in (0, 99, 100, 149):
        statement = f"SELECT content_hash FROM read_parquet('{found.path}') WHERE trace_id = '{number:032x}'"
        assert query(statement) == [(number,)]
        probe = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{found.path}', 'trace_id', '{number:032x}')"
        assert [row[0] for row in query(probe)].count(False) >= 1
    absent = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{found.path}', 'trace_id', '{'f' * 32}')"
    assert [row[0] for row in query(absent)] == [True] * 6
    places = pq.ParquetFile(found.path)
    groups = [places.read_row_group(number)["session_id"].to_pylist() for number in range(6)]
    for number, values in enumerate(groups):
        statistics = places.metadata.row_group(number).column(places.schema_arrow.names.index("session_id")).statistics
        assert statistics.null_count == values.count(None)


def test_the_log_s_statistics_are_those_of_all(tmp_path: Path, sources: list[WrittenFile]) -> None:
    everything = pa.concat_tables(
        [
            pq.read_table(file.path, partitioning=None).append_column("date", pa.nulls(file.rows, pa.date32()))
            for file in sources
        ]
    ).select(SPANS.schema.names)

    assert (
        together(tmp_path / "all.parquet", sources).stats
        == write_file(tmp_path / "anew.parquet", SPANS, [everything]).stats
    )


def test_concatenated_files_can_be_concatenated(tmp_path: Path, sources: list[WrittenFile]) -> None:
    once = together(tmp_path / "once.parquet", sources[:2])

    twice = together(tmp_path / "twice.parquet", [once, sources[2], once])

    assert pq.read_table(twice.path, partitioning=None)["content_hash"].to_pylist() == [
        *(values := pq.read_table(once.path, partitioning=None)["content_hash"].to_pylist()),
        *pq.read_table(sources[2].path, partitioning=None)["content_hash"].to_pylist(),
        *values,
    ]


def test_files_of_other_columns_are_refused_and_leave_nothing(tmp_path: Path, sources: list[WrittenFile]) -> None:
    other = write_file(tmp_path / "other.parquet", EXPOSURES, [pa.Table.from_batches([exposure_rows(1)])])

    with pytest.raises(UnlikeError):
        together(tmp_path / "new.parquet", [sources[0], other])

    assert not (tmp_path / "new.parquet").exists()


@pytest.mark.parametrize("kept", [0, 7, 100, -1, -9, -100])
def test_a_torn_file_is_an_error_and_leaves_nothing(tmp_path: Path, sources: list[WrittenFile], kept: int) -> None:
    sources[1].path.write_bytes(sources[1].path.read_bytes()[:kept])

    with pytest.raises(LakeError):
        together(tmp_path / "new.parquet", sources)

    assert not (tmp_path / "new.parquet").exists()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_footer_of_any_bytes_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    try:
        ThriftReader(data.draw(st.binary(max_size=200))).struct()
    except LakeError:
        return


numbers = st.integers(-(2**63), 2**63 - 1)
contents: dict[int, st.SearchStrategy[Any]] = {
    thrift.I16: st.integers(-(2**15), 2**15 - 1),
    thrift.I32: st.integers(-(2**31), 2**31 - 1),
    thrift.I64: numbers,
    thrift.BINARY: st.binary(max_size=20),
    DOUBLE: st.binary(min_size=8, max_size=8),
    thrift.BYTE: st.integers(0, 255),
}
scalars = st.sampled_from(sorted(contents)).flatmap(lambda kind: st.builds(Value, st.just(kind), contents[kind]))
truths = st.booleans().map(lambda value: Value(thrift.TRUE if value else thrift.FALSE, value))
lists = st.sampled_from(sorted(contents)).flatmap(
    lambda kind: st.lists(contents[kind], max_size=20).map(lambda found: Value(thrift.LIST, (kind, found)))
)
structs = st.recursive(
    st.dictionaries(st.integers(1, 400), scalars | truths | lists, max_size=5),
    lambda inner: st.dictionaries(
        st.integers(1, 30),
        inner.map(lambda fields: Value(thrift.STRUCT, fields))
        | st.lists(inner, max_size=16).map(lambda found: Value(thrift.LIST, (thrift.STRUCT, found))),
        max_size=4,
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(structs)
def test_what_is_written_is_read_as_it_was(fields: thrift.Struct) -> None:
    assert ThriftReader(encode_struct(fields)).struct() == fields


def test_a_footer_of_arrow_is_written_byte_for_byte(sources: list[WrittenFile]) -> None:
    data = sources[0].path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]

    assert encode_struct(ThriftReader(footer).struct()) == footer
