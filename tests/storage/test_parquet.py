"""Parquet files: sorted, complete, readable by anyone, and of the encodings that the schema asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_parts import span_rows

from schemas.metrics import METRICS
from schemas.spans import SPANS
from schemas.tables import TABLES
from storage import parquet
from storage.parquet import encoded, sort_order, without_duplicates, write_file

texts = st.none() | st.sampled_from(["", "a", "b", "ab", "é", "日", "z" * 300])
times = st.none() | st.datetimes(datetime(1969, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis takes naive bounds
rows = st.lists(
    st.fixed_dictionaries({"project": texts, "config_key": texts, "session_id": texts, "start_time": times}),
    max_size=30,
)


def table(found: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(found, schema=SPANS.schema)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(1, 5))
def test_the_order_is_that_of_the_values_with_null_first(found: list[dict[str, Any]], chunks: int) -> None:
    whole = table(found)
    pieces = pa.concat_tables([whole.slice(start, chunks) for start in range(0, len(found), chunks)] or [whole])

    order = sort_order(encoded(pieces, SPANS), SPANS.sort_by)

    def key(place: int) -> list[tuple[bool, Any]]:
        values = (found[place][name] for name in SPANS.sort_by)
        return [(value is not None, value.encode() if isinstance(value, str) else value or 0) for value in values]

    # Stable: rows that are alike stay in the order in which they came.
    assert order.tolist() == sorted(range(len(found)), key=key)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pq"), texts, texts, st.none() | st.integers(-1, 2)), max_size=20))
def test_of_rows_with_the_same_identity_the_first_stays(found: list[tuple[Any, ...]]) -> None:
    spans = table([dict(zip(SPANS.identity, row, strict=True), name=str(place)) for place, row in enumerate(found)])
    first = {row: place for place, row in reversed(list(enumerate(found)))}

    kept = without_duplicates(spans, SPANS.identity)["name"].to_pylist()

    assert kept == [str(place) for place, row in enumerate(found) if None in row or first[row] == place]


def test_a_file_has_every_value_as_it_was(tmp_path: Path) -> None:
    given = pa.Table.from_batches(
        [span_rows(1, session_id="b", tags=["a", "日"], cost=0.1, events="[]"), span_rows(2, session_id=None, tags=[])]
    )

    written = write_file(tmp_path / "x" / "a.parquet", SPANS, [given])

    expected = given.drop(["date"]).take([1, 0]).to_pylist()
    assert written.rows == 2
    assert written.size_bytes == written.path.stat().st_size
    assert pq.read_table(written.path, partitioning=None).to_pylist() == expected
    assert pq.read_schema(written.path).field("session_id").type == pa.string()
    statement = f"SELECT tags FROM read_parquet('{written.path}')"
    assert duckdb.connect().execute(statement).fetchall() == [([],), (["a", "日"],)]
    assert pl.read_parquet(written.path)["session_id"].to_list() == [None, "b"]


def test_a_file_without_rows_is_a_file_all_the_same(tmp_path: Path) -> None:
    for found in TABLES:
        written = write_file(tmp_path / found.name / "a.parquet", found, [])

        assert (written.rows, pq.read_metadata(written.path).num_rows) == (0, 0)


def test_columns_are_written_as_what_their_values_are(tmp_path: Path) -> None:
    written = write_file(tmp_path / "a.parquet", SPANS, [pa.Table.from_batches([span_rows(*range(100), input="x")])])

    group = pq.read_metadata(written.path).row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    assert "RLE_DICTIONARY" in columns["session_id"].encodings
    assert "RLE_DICTIONARY" not in columns["trace_id"].encodings
    assert "RLE_DICTIONARY" not in columns["input"].encodings
    assert columns["trace_id"].statistics is not None
    assert columns["input"].statistics is None
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_ids_are_found_by_bloom_filter(tmp_path: Path) -> None:
    spans = pa.Table.from_batches([span_rows(number, session_id=f"s{number:03}") for number in range(0, 200, 2)])
    written = write_file(tmp_path / "a.parquet", SPANS, [spans])
    probe = "SELECT bloom_filter_excludes FROM parquet_bloom_probe($file, $column, $value)"

    def excludes(column: str, value: str) -> bool:
        found = (
            duckdb.connect().execute(probe, {"file": str(written.path), "column": column, "value": value}).fetchall()
        )
        return all(row[0] for row in found)

    for number in range(0, 200, 2):
        assert not excludes("session_id", f"s{number:03}")
        assert not excludes("trace_id", f"{number:032x}")
    # Where it lies between the least and the greatest, only the filter tells that a value is not there.
    excluded = sum(excludes("session_id", f"s{number:03}") for number in range(1, 199, 2))
    assert excluded > 90


def test_large_parts_become_several_row_groups_and_each_is_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS_MAX", 10)
    spans = pa.Table.from_batches([span_rows(number, session_id=f"s{(number * 7) % 25:02}") for number in range(25)])

    written = write_file(tmp_path / "a.parquet", SPANS, [spans, spans])

    metadata = pq.read_metadata(written.path)
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [9, 9, 7] * 2
    sessions = pq.read_table(written.path, partitioning=None)["session_id"].to_pylist()
    assert sessions == [f"s{number:02}" for number in range(25)] * 2


def test_what_fails_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    def chunks() -> Any:
        yield pa.Table.from_batches([span_rows(1)])
        raise ValueError("the source failed")

    with pytest.raises(ValueError, match="the source failed"):
        write_file(tmp_path / "a.parquet", SPANS, chunks())

    assert list(tmp_path.iterdir()) == []


def test_long_texts_do_not_get_into_the_log(tmp_path: Path) -> None:
    metrics = [
        {"project": "p" * 1000, "name": "n", "event_time": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(0, 0, 7)}
    ]

    written = write_file(tmp_path / "a.parquet", METRICS, [pa.Table.from_pylist(metrics, schema=METRICS.schema)])

    assert "ppp" not in written.stats
    assert '"event_time":"2026-01-01T00:00:00.000007Z"' in written.stats
