"""What the table's log knows of a file's columns: their least and greatest values. What is outside is not there.

Other programs may write the log too: what is not as it should be tells nothing, and the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from storage.hot import View

FILES_KEPT_MAX = 20_000
# The condition that holds for every row.
ALL = "true"
BOUNDED = ("config_key", "start_time", "event_time", "received_at")
"""What users' statements ask for a part of. Not the project: whose a row is, is looked up in the row."""
# Delta's statistics need not be finer, and then the greatest is cut down.
_TIME_UNIT = timedelta(milliseconds=1)
_IS_FINE = re.compile(r"\.[0-9]{6}")

Bounds = tuple[str, str, str]
"""A column, its least and its greatest value: texts as they are, times in ISO 8601."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values of a column of times from the least to the greatest, both included; None where it has no end."""

    column: str
    least: datetime | None
    greatest: datetime | None

    def meets(self, other: Range) -> bool:
        """Return whether the two have a value in common, or may have."""
        return not (
            (self.least is not None and other.greatest is not None and self.least > other.greatest)
            or (self.greatest is not None and other.least is not None and self.greatest < other.least)
        )

    def holds(self, other: Range) -> bool:
        """Return whether all values of the other are known to lie within."""
        return (self.least is None or (other.least is not None and self.least <= other.least)) and (
            self.greatest is None or (other.greatest is not None and other.greatest <= self.greatest)
        )

    @property
    def condition(self) -> str:
        """Return what holds, in SQL, for rows within."""
        bounds = ((">=", self.least), ("<=", self.greatest))
        tests = [f"{self.column} {sign} TIMESTAMPTZ '{value.isoformat()}'" for sign, value in bounds if value]
        return " AND ".join(tests) or ALL


def covering(view: View, within: Range) -> tuple[str, ...]:
    """Return the files that may have rows within."""
    return tuple(conditions(view, [[within]]))


def conditions(view: View, within: Sequence[Sequence[Range]]) -> dict[str, str]:
    """Return the files that may have rows in one range of each of ``within``, with what such rows are told by, in SQL.

    Of the ranges that a file meets that is from the first to the last: what lies between them is close to both.
    """
    if not view.statistics:
        return dict.fromkeys(view.files, " AND ".join(_hull(ranges).condition for ranges in within) or ALL)
    found: dict[str, str] = {}
    for file, statistics in zip(view.files, view.statistics, strict=True):
        tests = []
        for ranges in within:
            of_file = time_range(statistics, ranges[0].column)
            met = [bound for bound in ranges if bound.meets(of_file)]
            if not met:
                break
            if not (hull := _hull(met)).holds(of_file):
                tests.append(hull.condition)
        else:
            found[file] = " AND ".join(tests) or ALL
    return found


def _hull(ranges: Sequence[Range]) -> Range:
    """Return the range from the first to the last of them."""
    least = [bound.least for bound in ranges if bound.least is not None]
    greatest = [bound.greatest for bound in ranges if bound.greatest is not None]
    return Range(
        ranges[0].column,
        min(least) if len(least) == len(ranges) else None,
        max(greatest) if len(greatest) == len(ranges) else None,
    )


def ranges_of(view: View, column: str) -> list[Range]:
    """Return the range of each file's column, as far as it is known, and that of the hot rows."""
    found = [time_range(statistics, column) for statistics in view.statistics]
    hot: pa.ChunkedArray = view.hot[column]
    if hot.null_count < len(hot):
        bounds = pc.min_max(hot).as_py()
        found.append(Range(column, bounds["min"], bounds["max"]))
    return found


def files_of(view: View, project: str) -> Mapping[str, str]:
    """Return the files that may have rows of the project, each with its statistics."""
    statistics = view.statistics or ("{}",) * len(view.files)
    return {
        file: known for file, known in zip(view.files, statistics, strict=True) if may_have(known, "project", project)
    }


@lru_cache(2 * FILES_KEPT_MAX)
def text_bounds(statistics: str, column: str) -> tuple[str, str] | None:
    """Return the least and greatest text of the column; None where that is not known."""
    least, greatest = _ends(_document(statistics), column)
    return (least, greatest) if least is not None and greatest is not None else None


def may_have(statistics: str, column: str, value: str) -> bool:
    """Return whether the text may stand in the column."""
    known = text_bounds(statistics, column)
    # As UTF-8, which is how Parquet and Delta order texts.
    return known is None or known[0].encode() <= value.encode() <= known[1].encode()


@lru_cache(FILES_KEPT_MAX)
def bounds_of(statistics: str, columns: frozenset[str] = frozenset(BOUNDED)) -> tuple[Bounds, ...]:
    """Return the bounds of those of the columns that have a value in each row."""
    document = _document(statistics)
    counts = document.get("nullCount")
    found = []
    for column in sorted(columns):
        least, greatest = _ends(document, column)
        if least is None or greatest is None or not isinstance(counts, dict) or counts.get(column) != 0:
            continue
        if column != "config_key":
            least, greatest = _moment(least), _moment(greatest, _TIME_UNIT)
            if least is None or greatest is None:
                continue
        found.append((column, least, greatest))
    return tuple(found)


@lru_cache(FILES_KEPT_MAX)
def time_range(statistics: str, column: str) -> Range:
    """Return the range of a column of times, with no end where that is not known."""
    least, greatest = _ends(_document(statistics), column)
    if least is None or greatest is None:
        return Range(column, None, None)
    first, last = _moment(least), _moment(greatest, timedelta(0) if _IS_FINE.search(greatest) else _TIME_UNIT)
    if first is None or last is None:
        return Range(column, None, None)
    return Range(column, datetime.fromisoformat(first), datetime.fromisoformat(last))


def rows_of(statistics: str) -> int:
    """Return how many rows the file has; 0 where that is not known."""
    count = _document(statistics).get("numRecords")
    return count if isinstance(count, int) else 0


def _document(statistics: str) -> dict[str, Any]:
    try:
        document = orjson.loads(statistics)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _ends(document: Mapping[str, Any], column: str) -> tuple[str | None, str | None]:
    sides = (document.get(side) for side in ("minValues", "maxValues"))
    least, greatest = (side.get(column) if isinstance(side, dict) else None for side in sides)
    return (least, greatest) if isinstance(least, str) and isinstance(greatest, str) else (None, None)


def _moment(text: str, more: timedelta = timedelta(0)) -> str | None:
    try:
        moment = datetime.fromisoformat(text) + more
    except (ValueError, OverflowError):
        return None
    return None if moment.tzinfo is None else moment.isoformat()
