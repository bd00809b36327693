"""Results as CSV: a line a comparison."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import orjson

from analytics.reports.columns import COLUMNS, row_of
from analytics.reports.comparisons import compared
from analytics.reports.printable import printable
from storage.spreadsheet import inert


def csv_of(results: Mapping[str, Any]) -> str:
    """Return the comparisons as CSV (RFC 4180) with a header; what is not known is empty.

    Texts that a spreadsheet would compute begin with an apostrophe, and control characters are escaped.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(column.name for column in COLUMNS)
    for each in compared(results):
        writer.writerow(map(_cell, row_of(each).values()))
    return file.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    return inert(printable(value))
