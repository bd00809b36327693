"""Columns as arrays and as codes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from collector.processors.columns import FEW, Coded, booleans, integers, validity

PARTS = st.tuples(st.integers(0, 12), st.integers(0, 3 * FEW))


def part(values: list[object], data_type: pa.DataType, bounds: tuple[int, int]) -> tuple[pa.Array, list[object]]:
    start, length = bounds
    repeated = values * FEW
    return pa.array(repeated, data_type).slice(start, length), repeated[start : start + length]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=40), PARTS)
def test_integers_are_those_of_the_column_and_0_where_it_has_none(
    values: list[object], bounds: tuple[int, int]
) -> None:
    column, expected = part(values, pa.int64(), bounds)

    assert integers(column).tolist() == [value or 0 for value in expected]
    assert validity(column).tolist() == [value is not None for value in expected]


@given(st.lists(st.none() | st.booleans(), max_size=40), PARTS)
def test_booleans_are_those_of_the_column_and_false_where_it_has_none(
    values: list[object], bounds: tuple[int, int]
) -> None:
    column, expected = part(values, pa.bool_(), bounds)

    assert booleans(column).tolist() == [bool(value) for value in expected]


@given(st.lists(st.none() | st.sampled_from("abc") | st.text(max_size=3), max_size=40), PARTS)
def test_texts_are_coded_and_taken_as_they_were(values: list[object], bounds: tuple[int, int]) -> None:
    column, expected = part(values, pa.string(), bounds)

    coded = Coded.of(column)

    assert coded.take(coded.texts).to_pylist() == expected
    assert coded.take(coded.texts).type == pa.string()
    assert coded.flags([text is None for text in coded.texts]).tolist() == [value is None for value in expected]


def test_what_lies_in_the_place_of_a_null_is_not_read() -> None:
    numbers = pa.py_buffer(np.array([7, 8, 9], np.int64).tobytes())
    bits = pa.py_buffer(b"\x07")

    column = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x05"), numbers])
    flags = pa.Array.from_buffers(pa.bool_(), 3, [pa.py_buffer(b"\x05"), bits])

    assert integers(column).tolist() == [7, 0, 9]
    assert booleans(flags).tolist() == [True, False, True]


def test_a_text_fills_the_rows_that_it_is_meant_for() -> None:
    coded = Coded.of(pa.array(["a", None, "b", None])).filled(np.array([False, True, False, False]), "c")

    assert coded.take(coded.texts).to_pylist() == ["a", "c", "b", None]
