"""Which files of a table can hold rows of some time, by what the table's log knows of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from storage.hot import View

FILES_KEPT_MAX = 20_000
# The condition that holds for every row.
ALL = "true"


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
            of_file = _range(statistics, ranges[0].column)
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
    found = [_range(statistics, column) for statistics in view.statistics]
    hot: pa.ChunkedArray = view.hot[column]
    if hot.null_count < len(hot):
        bounds = pc.min_max(hot).as_py()
        found.append(Range(column, bounds["min"], bounds["max"]))
    return found


@lru_cache(FILES_KEPT_MAX)
def _range(statistics: str, column: str) -> Range:
    try:
        document = orjson.loads(statistics)
        least, greatest = (document[side][column] for side in ("minValues", "maxValues"))
        return Range(column, datetime.fromisoformat(least), datetime.fromisoformat(greatest))
    except (ValueError, KeyError, TypeError):
        # Another program has written it so, or nothing of it: any row may be in the file.
        return Range(column, None, None)
