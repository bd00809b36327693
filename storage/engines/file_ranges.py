"""Which files of a table can hold rows of some time, by what the table's log knows of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from storage.hot import View

FILES_KEPT_MAX = 20_000


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

    @property
    def condition(self) -> str:
        """Return the rest of a condition in SQL that holds for rows within."""
        bounds = (("least", ">=", self.least), ("greatest", "<=", self.greatest))
        return "".join(
            f" AND {self.column} {sign} TIMESTAMPTZ '{value.isoformat()}'" for _, sign, value in bounds if value
        )


def covering(view: View, within: Range) -> tuple[str, ...]:
    """Return the files that may have rows within."""
    if not view.statistics:
        return view.files
    return tuple(
        file
        for file, statistics in zip(view.files, view.statistics, strict=True)
        if _range(statistics, within.column).meets(within)
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
