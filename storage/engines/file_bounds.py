"""The least and greatest values of a file's columns, by what the table's log knows of it: what is outside is not there.

Other programs may write the log too: what is not as it should be tells nothing, and the file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from storage.engines.file_ranges import FILES_KEPT_MAX
from storage.hot import View

BOUNDED = ("config_key", "start_time", "event_time", "received_at")
"""What users' statements ask for a part of. Not the project: whose a row is, is looked up in the row."""
# Delta's statistics need not be finer, and then the greatest is cut down.
_TIME_UNIT = timedelta(milliseconds=1)

Bounds = tuple[str, str, str]
"""A column, its least and its greatest value: texts as they are, times in ISO 8601."""


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
