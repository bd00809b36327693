"""The segment format: whole frames are read, torn ones end the file, damaged ones are told."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_parts import encoded, read_rows

from schemas.tables import LOGGED_TABLES
from storage.errors import SegmentError
from storage.segments import (
    SCRATCH_BYTES,
    SMALL_FRAME_ROWS,
    Frame,
    SegmentEncoder,
    SegmentReader,
    segment_numbers,
    segment_path,
)

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])


def rows(*numbers: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"n": number, "text": f"row {number}"} for number in numbers], schema=SCHEMA)


ENCODER = SegmentEncoder(SCHEMA)
HEADER = ENCODER.header
FRAMES = [encoded(ENCODER, rows(1, 2)), encoded(ENCODER, rows(3)), encoded(ENCODER, rows(4, 5))]


def read_frames(path: Path) -> list[Frame]:
    return list(SegmentReader(path, SCHEMA).read())


def numbers(batches: list[pa.RecordBatch]) -> list[int]:
    return [number for batch in batches for number in batch["n"].to_pylist()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return segment_path(tmp_path, 1)


def test_frames_are_read_in_the_order_of_their_appends(path: Path) -> None:
    path.write_bytes(HEADER + b"".join(FRAMES))

    frames = read_frames(path)

    assert numbers([frame.rows for frame in frames if frame.rows]) == [1, 2, 3, 4, 5]
    assert frames[0].offset == len(HEADER)
    assert [frame.end for frame in frames[:-1]] == [frame.offset for frame in frames[1:]]
    assert frames[-1].end == path.stat().st_size


def test_a_segment_is_a_plain_arrow_stream_for_others(path: Path) -> None:
    data = HEADER + b"".join(FRAMES)
    path.write_bytes(data)

    from_pyarrow = pa.ipc.open_stream(data).read_all()
    from_polars = pl.read_ipc_stream(io.BytesIO(data))

    assert from_pyarrow["n"].to_pylist() == from_polars["n"].to_list() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("table", LOGGED_TABLES, ids=lambda table: table.name)
def test_rows_of_every_logged_table_come_back(path: Path, table: object) -> None:
    schema = table.schema  # type: ignore[attr-defined]
    batch = pa.RecordBatch.from_pylist([{"project": "p"}, {"project": "日\0"}], schema=schema)
    encoder = SegmentEncoder(schema)
    path.write_bytes(encoder.header + encoded(encoder, batch))

    (found,) = read_rows(path, schema)

    assert found.equals(batch)


@given(st.lists(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1) | st.none(), st.text() | st.none())), max_size=4))
def test_any_rows_come_back(
    tmp_path_factory: pytest.TempPathFactory, appends: list[list[tuple[object, object]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.arrow"
    batches = [
        pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in append], schema=SCHEMA)
        for append in appends
    ]
    path.write_bytes(HEADER + b"".join(encoded(ENCODER, batch) for batch in batches))

    assert read_rows(path, SCHEMA) == batches


def test_a_file_that_ends_anywhere_gives_the_frames_before_its_end(path: Path) -> None:
    data = HEADER + b"".join(FRAMES)
    ends = [len(HEADER) + sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)]
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])

        frames = read_frames(path)

        assert len(frames) == max(sum(end <= size for end in ends) - 1, 0)
        assert all(frame.rows is not None for frame in frames)


def each_flipped_bit(path: Path, begin: int, end: int) -> Iterator[int]:
    """Flip one bit of the file at a time, of the bytes from ``begin`` to ``end``."""
    data = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for bit in range(begin * 8, end * 8):
            place = bit // 8
            os.pwrite(file.fileno(), bytes([data[place] ^ 1 << bit % 8]), place)
            yield bit
            os.pwrite(file.fileno(), data[place : place + 1], place)


def test_a_flipped_bit_of_a_frame_costs_that_frame_and_no_other(path: Path) -> None:
    path.write_bytes(HEADER + b"".join(FRAMES))
    begin = len(HEADER) + len(FRAMES[0])
    end = begin + len(FRAMES[1])
    for _ in each_flipped_bit(path, begin, end):
        # Also where its length was hit: the walk goes on at the next frame that bears the segment's salt.
        assert read_frames(path) == [
            Frame(len(HEADER), begin, rows(1, 2)),
            Frame(begin, end, None),
            Frame(end, end + len(FRAMES[2]), rows(4, 5)),
        ]


def test_a_flipped_bit_of_the_last_frame_is_damage_or_a_torn_end_and_never_rows(path: Path) -> None:
    path.write_bytes(HEADER + b"".join(FRAMES))
    size = path.stat().st_size
    for _ in each_flipped_bit(path, size - len(FRAMES[2]), size):
        frames = read_frames(path)

        assert numbers([frame.rows for frame in frames if frame.rows]) == [1, 2, 3]


@given(
    sizes=st.lists(st.integers(1, 3 * SMALL_FRAME_ROWS), min_size=2, max_size=5),
    flips=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
)
def test_bits_flipped_anywhere_cost_their_frames_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], flips: list[float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.arrow"
    encoder = SegmentEncoder(SCHEMA)
    batches = [rows(*range(size)) for size in sizes]
    frames = [encoded(encoder, batch) for batch in batches]
    data = bytearray(encoder.header + b"".join(frames))
    ends = list(accumulate(map(len, frames), initial=len(encoder.header)))
    hit = set()
    for flip in flips:
        # The header is hit in a test of its own: with it and a frame's length, the salt itself may be lost.
        bit = ends[0] * 8 + int(flip * (len(data) - ends[0]) * 8)
        data[bit // 8] ^= 1 << bit % 8
        hit.add(bisect_right(ends, bit // 8) - 1)
    path.write_bytes(data)

    found = {frame.offset: frame.rows for frame in read_frames(path) if frame.rows is not None}

    # Two flips may undo each other.
    whole = {ends[number]: batch for number, batch in enumerate(batches) if number not in hit}
    undone = {
        ends[number]: batches[number] for number in hit if data[ends[number] : ends[number + 1]] == frames[number]
    }
    assert found == whole | undone


def test_a_frame_within_a_text_of_a_damaged_frame_is_not_taken_for_one(path: Path) -> None:
    """Bytes that a client sends as numbers may look like a right frame; without the segment's salt they are none."""
    schema = pa.schema([("n", pa.int64())])
    forged = SegmentEncoder(schema)
    inner = encoded(forged, pa.RecordBatch.from_pydict({"n": [666]}, schema=schema))
    encoder = SegmentEncoder(schema)
    outer = bytearray(
        encoded(encoder, pa.RecordBatch.from_arrays([pa.array(np.frombuffer(inner, np.int64))], schema=schema))
    )
    last = encoded(encoder, pa.RecordBatch.from_pydict({"n": [1]}, schema=schema))
    outer[4] ^= 8
    path.write_bytes(encoder.header + outer + last)

    frames = list(SegmentReader(path, schema).read())

    assert [frame.rows and frame.rows["n"].to_pylist() for frame in frames] == [None, [1]]


@pytest.mark.parametrize("mapped", [False, True])
def test_a_sliced_batch_a_large_one_and_a_very_wide_one_come_back(path: Path, mapped: bool) -> None:
    encoder = SegmentEncoder(SCHEMA)
    large = rows(*range(SMALL_FRAME_ROWS * 2))
    wide = pa.RecordBatch.from_pylist([{"n": 1, "text": "x" * (SCRATCH_BYTES + 1)}], schema=SCHEMA)
    batches = [large.slice(7, 3), large, wide, large.slice(1000), rows(1), wide, rows(), rows(2)]
    path.write_bytes(encoder.header + b"".join(encoded(encoder, batch) for batch in batches))

    found = list(SegmentReader(path, SCHEMA).read(mapped=mapped))

    assert [frame.rows for frame in found] == batches
    for frame in found:
        assert frame.rows is not None
        frame.rows.validate(full=True)


def test_a_reader_goes_on_where_it_ended_and_waits_for_a_frame_that_is_being_written(path: Path) -> None:
    path.write_bytes(HEADER + FRAMES[0] + FRAMES[1][:-9])
    reader = SegmentReader(path, SCHEMA)
    first = list(reader.read())
    path.write_bytes(HEADER + FRAMES[0] + FRAMES[1] + FRAMES[2])

    second = list(reader.read())

    assert numbers([frame.rows for frame in first if frame.rows]) == [1, 2]
    assert numbers([frame.rows for frame in second if frame.rows]) == [3, 4, 5]


@pytest.mark.parametrize("written", [0, 1, len(HEADER) - 1, len(HEADER), len(HEADER) + 1])
def test_a_reader_waits_for_a_header_that_is_being_written(path: Path, written: int) -> None:
    whole = HEADER + FRAMES[0] + FRAMES[1]
    path.write_bytes(whole[:written])
    reader = SegmentReader(path, SCHEMA)
    assert list(reader.read()) == []
    path.write_bytes(whole)

    found = list(reader.read())

    assert numbers([frame.rows for frame in found if frame.rows]) == [1, 2, 3]


def test_no_flipped_bit_of_a_header_costs_a_row(path: Path) -> None:
    path.write_bytes(HEADER + FRAMES[0])
    for _ in each_flipped_bit(path, 0, len(HEADER)):
        assert read_rows(path, SCHEMA) == [rows(1, 2)]


def test_zeros_where_a_crash_kept_the_size_but_not_the_bytes_end_the_file(path: Path) -> None:
    path.write_bytes(HEADER + FRAMES[0] + bytes(4096))

    assert numbers(read_rows(path, SCHEMA)) == [1, 2]


def test_an_arrow_stream_without_checksums_is_not_trusted(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_batch(rows(1))

    (frame,) = read_frames(path)

    assert frame.rows is None


def test_text_that_looks_like_a_checksum_misleads_nobody(path: Path) -> None:
    batch = pa.RecordBatch.from_pylist([{"n": 1, "text": "checksum xxh3_64:0000000000000000"}], schema=SCHEMA)
    path.write_bytes(HEADER + encoded(ENCODER, batch))

    assert read_rows(path, SCHEMA) == [batch]


def test_a_segment_of_other_columns_is_an_error_that_names_both(path: Path) -> None:
    path.write_bytes(HEADER + FRAMES[0])

    with pytest.raises(SegmentError, match=r"expected \['other'\], got \['n', 'text'\]"):
        read_rows(path, pa.schema([("other", pa.int64())]))


def test_an_empty_file_has_no_rows_and_a_missing_one_is_told(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"")

    assert read_rows(path, SCHEMA) == []
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "missing", SCHEMA)


def test_segments_are_listed_by_number_and_other_files_are_not(tmp_path: Path) -> None:
    for number in (10, 9, 123_456_789_012_345):
        segment_path(tmp_path, number).touch()
    for name in ("x.arrow", "1.bytes", ".probe-1", "-1.arrow"):
        (tmp_path / name).touch()

    assert segment_numbers(tmp_path) == [9, 10, 123_456_789_012_345]


WRITER = """
import os, sys, pyarrow as pa
from storage.segments import SegmentEncoder
schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
file = open(sys.argv[1], "ab", buffering=0)
encoder = SegmentEncoder(schema)
file.write(encoder.header)
for number in range(300):
    rows = pa.RecordBatch.from_pylist([{"n": number, "text": "x" * 2000}], schema=schema)
    frame = b"".join(encoder.frame(rows))
    # In pieces, so that a reader meets torn frames.
    for start in range(0, len(frame), 700):
        file.write(frame[start : start + 700])
"""


def test_a_reader_sees_a_growing_prefix_of_what_another_process_writes(path: Path) -> None:
    path.touch()
    root = Path(__file__).parents[2]
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=root)
    lengths = []
    try:
        while writer.poll() is None:
            seen = numbers(read_rows(path, SCHEMA))
            lengths.append(len(seen))
            assert seen == list(range(len(seen)))
    finally:
        writer.wait()

    assert writer.returncode == 0
    assert lengths == sorted(lengths)
    assert numbers(read_rows(path, SCHEMA)) == list(range(300)), json.dumps(lengths)
