"""No text of a CSV file is a formula; all others are as they were."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest

from storage.engines.answer_formats import rendered
from storage.engines.answer_limits import Answer
from storage.spreadsheet import inert


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1", "\r\n=1", "＝1", "-", "+1-1", "-1\n=1"]
)
def test_a_formula_is_a_text(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "a=1", "-1", "+1.5", "-1e-9", "-.5", str(-(2**100)), "'=1", "[-1]", "2026-11-22", "gpt-4o"]
)
def test_other_texts_stay(text: str) -> None:
    assert inert(text) == text


def test_an_answer_in_csv_has_no_formula_in_rows_or_head() -> None:
    table = pa.table({"=name": ["=1+1", "plain", "-7"], "number": [-1.5, 2.0, None]})
    stream = io.BytesIO()

    size, send = rendered(Answer(table, truncated=False), "csv")
    send(stream)

    assert len(stream.getvalue()) == size
    assert list(csv.reader(io.StringIO(stream.getvalue().decode(), newline=""))) == [
        ["'=name", "number"],
        ["'=1+1", "-1.5"],
        ["plain", "2.0"],
        ["-7", ""],
    ]
