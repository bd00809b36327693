"""A table as it was before a moment: the rows of what had happened by then, whenever they came.

Theory of operation. A row of ``exposures`` or ``metrics`` is of its ``event_time``. A span is of its ``date``, and
within the moment's own day of its ``start_time``: so the sums of sessions, which are kept a day, hold as they are for
the days before, and those of the moment's day are made anew from its spans. At a day's end none are. The date is the
day of the start, but for spans of clocks that are far off, which are of the nearest day that may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.engines.file_bounds import ALL, Range, conditions
from storage.hot import View

_MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(r"[/\\]date=(\d{4}-\d{2}-\d{2})[/\\]")


@dataclass(frozen=True, slots=True)
class PastView:
    """A table's rows before a moment: of its files those that meet their condition, in SQL, and hot ones."""

    view: View
    asked: Mapping[str, str]


def past_view(view: View, before: datetime, *, day_sums: pa.Table | None = None) -> PastView:
    """Return the table as it was before a moment; ``day_sums`` are the rollup's rows of the moment's own day."""
    if view.table is SPANS:
        return _spans(view, before)
    if view.table is SESSION_ROLLUP:
        return _rollup(view, before, day_sums)
    last = Range("event_time", None, before - _MICROSECOND)
    is_before = pc.less(view.hot["event_time"], pa.scalar(before)).fill_null(False)
    return PastView(replace(view, hot=view.hot.filter(is_before), segments=()), conditions(view, [[last]]))


def has_begun(before: datetime) -> date | None:
    """Return the day of which a part lies before the moment; None where it is a day's first."""
    moment = before.astimezone(UTC)
    return None if moment == moment.replace(hour=0, minute=0, second=0, microsecond=0) else moment.date()


def _spans(view: View, before: datetime) -> PastView:
    day = before.astimezone(UTC).date()
    began_before = f"start_time < TIMESTAMPTZ '{before.isoformat()}'"
    asked = {file: ALL if of < day else began_before for file, of in _dates(view).items() if of <= day}
    dates, starts = view.hot["date"], view.hot["start_time"]
    is_of_the_day = pc.and_(pc.equal(dates, pa.scalar(day)), pc.less(starts, pa.scalar(before)))
    hot = view.hot.filter(pc.or_(pc.less(dates, pa.scalar(day)), is_of_the_day).fill_null(False))
    return PastView(replace(view, hot=hot, segments=()), asked)


def _rollup(view: View, before: datetime, day_sums: pa.Table | None) -> PastView:
    day = before.astimezone(UTC).date()
    hot = view.hot.filter(pc.less(view.hot["date"], pa.scalar(day)).fill_null(False))
    if day_sums is not None:
        hot = pa.concat_tables([hot, day_sums])
    return PastView(replace(view, hot=hot, segments=()), {file: ALL for file, of in _dates(view).items() if of < day})


def _dates(view: View) -> dict[str, date]:
    """Return the day of each file's rows, by the folder that it is in."""
    found = {file: _DATE.search(file) for file in view.files}
    return {file: date.fromisoformat(match[1]) for file, match in found.items() if match is not None}


def is_before(rows: pa.Table, before: datetime) -> pa.ChunkedArray:
    """Return of each hot row whether it is of before a day's start: by its date, where it has one, else by its time."""
    if "date" in rows.schema.names:
        return pc.less(rows["date"], pa.scalar(before.astimezone(UTC).date())).fill_null(False)
    return pc.less(rows["event_time"], pa.scalar(before)).fill_null(False)
