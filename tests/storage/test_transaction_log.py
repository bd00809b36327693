"""A table's log that others wrote, or a disk damaged: what can't be read is an error that names the file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_parts import exposure_rows

from schemas.exposures import EXPOSURES
from storage.errors import LakeError
from storage.lake import Lake
from storage.transaction_log import TransactionLog

ADD: dict[str, Any] = {
    "path": "date=2026-01-01/part-0.parquet",
    "partitionValues": {"date": "2026-01-01"},
    "size": 10,
    "modificationTime": 1,
    "dataChange": True,
    "stats": '{"numRecords": 1}',
}
ACTIONS: dict[str, dict[str, Any]] = {
    "add": ADD,
    "remove": {"path": ADD["path"], "dataChange": True},
    "txn": {"appId": "w", "version": 5},
    "protocol": {"minReaderVersion": 1, "minWriterVersion": 2},
    "metaData": {"id": "x"},
    "commitInfo": {"timestamp": 1},
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged_actions(draw: st.DrawFn) -> object:
    """Return an action with one of its values, or all of it, made another."""
    name = draw(st.sampled_from(list(ACTIONS)))
    if draw(st.booleans()):
        return {name: draw(anything)}
    field = draw(st.sampled_from([*ACTIONS[name], "deletionVector"]))
    return {name: {**ACTIONS[name], field: draw(anything)}}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.create(EXPOSURES)
    lake.commit(EXPOSURES, pa.Table.from_batches([exposure_rows(1)]), writer_id="w", segment=1)
    return lake.directory / EXPOSURES.name


@contextmanager
def with_entry(table: Path, content: bytes) -> Iterator[tuple[Path, Path]]:
    """Give a copy of the table with one more entry, and the entry."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "lake" / table.name
        shutil.copytree(table, copy)
        entry = copy / "_delta_log" / f"{2:020}.json"
        entry.write_bytes(content)
        yield copy, entry


@given(action=anything | damaged_actions())
def test_an_entry_is_read_or_is_an_error_that_names_it(table: Path, action: object) -> None:
    with with_entry(table, orjson.dumps(action)) as (copy, entry):
        log = TransactionLog(copy)
        try:
            state = log.refresh()
        except LakeError as error:
            assert str(entry) in str(error)  # noqa: PT017 - that it is read is as right
        else:
            assert state.version == 2
            for file in state.files.values():
                assert (copy / file.path).resolve().is_relative_to(copy.resolve())
                assert file.size_bytes >= 0


@given(action=anything | damaged_actions())
def test_a_start_goes_on_or_ends_with_an_error_of_storage(table: Path, action: object) -> None:
    with with_entry(table, orjson.dumps(action)) as (copy, _):
        lake = Lake(copy.parent)
        try:
            lake.create(EXPOSURES)
            lake.snapshot(EXPOSURES, "w")
        except LakeError as error:
            assert "exposures" in str(error)  # noqa: PT017 - likewise


@pytest.mark.parametrize("path", ["../spans/x.parquet", "/etc/passwd", "a/../../x", "%2Fetc%2Fpasswd", "", "a%00b"])
def test_a_file_outside_of_the_table_is_none_of_it(table: Path, path: str) -> None:
    with (
        with_entry(table, orjson.dumps({"add": {**ADD, "path": path}})) as (copy, entry),
        pytest.raises(LakeError, match=f"{entry}: path: a file within the table expected"),
    ):
        TransactionLog(copy).refresh()


@pytest.mark.parametrize("stats", ["[]", "no JSON", '{"minValues": 5}'])
def test_statistics_that_are_none_are_an_error_or_unknown(table: Path, stats: str) -> None:
    with with_entry(table, orjson.dumps({"add": {**ADD, "stats": stats}})) as (copy, _):
        file = TransactionLog(copy).refresh().files[ADD["path"]]
        if stats.startswith("{"):
            assert file.rows is None
        else:
            with pytest.raises(LakeError, match="its statistics are no JSON"):
                _ = file.rows


def test_for_a_damaged_entry_no_good_checkpoint_is_set_aside(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.create(EXPOSURES)
    for segment in range(1, 102):
        lake.commit(EXPOSURES, pa.Table.from_batches([exposure_rows(segment)]), writer_id="w", segment=segment)
    log = tmp_path / EXPOSURES.name / "_delta_log"
    entry = log / f"{102:020}.json"
    entry.write_bytes(b'{"add":5}\n')

    with pytest.raises(LakeError, match=f"{entry}: add: an object expected, got 5"):
        Lake(tmp_path).create(EXPOSURES)

    assert len(list(log.glob("*.checkpoint.parquet"))) == 1
    entry.unlink()
    again = Lake(tmp_path)
    again.create(EXPOSURES)
    assert again.committed_segment(EXPOSURES, "w") == 101


@pytest.mark.parametrize(
    "name", ["x.checkpoint.parquet", f"{1:020}.checkpoint.x.parquet", f"{1:020}.checkpoint.a.b.parquet"]
)
def test_a_file_that_only_looks_like_a_checkpoint_is_none(table: Path, name: str) -> None:
    with with_entry(table, b"") as (copy, entry):
        entry.unlink()
        entry.with_name(name).write_bytes(b"anything")

        assert TransactionLog(copy).refresh().transactions == {"w": 1}
