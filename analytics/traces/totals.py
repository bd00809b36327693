"""Totals of a list, added up day by day, newest first, as far as the time allows; what is at rest is kept.

Theory of operation. Sums over spans add up, and so do counts of groups that began in a span of time. The time asked for
is cut at midnight, older parts into weeks. A part whose files are the same as when it was added up, and that has no row
that is not committed, has the same totals: these are kept, so that the next question reads only what is new.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from analytics.rows import json_value
from analytics.traces.conditions import group_condition
from analytics.traces.cursor import digest_of
from analytics.traces.listing import (
    APART_US,
    COST,
    TOKENS,
    Listing,
    any_meets,
    bounds_us,
    matching,
    moment,
    narrow,
    newest_receipt,
)
from analytics.traces.rows import tokens_of
from schemas.spans import SPANS
from storage import sql
from storage.engines.duckdb import QuerySession
from storage.engines.file_bounds import Range, covering
from storage.errors import QueryTimeoutError

KEPT_MAX = 10_000
DAY_US = 86_400 * 1_000_000
# Files of the last days are still merged.
DAYS_ALONE = 3
DAYS_TOGETHER = 7

_Sums = dict[str, Any]
_SUMMED = ("count", "spans", "errors", "calls", "unpriced_calls", *TOKENS.values(), "cost")


@dataclass(slots=True)
class Totals:
    """Adds up, and keeps what may be asked again. Thread-safe."""

    _kept: OrderedDict[tuple[object, ...], _Sums] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, session: QuerySession, listing: Listing, as_of: datetime, timeout_s: float) -> dict[str, Any]:
        """Return the totals, of the newest part alone where the time is over before all is added up."""
        ends_at = time.monotonic() + timeout_s
        total: _Sums = dict.fromkeys(_SUMMED)
        total |= dict.fromkeys(_SUMMED[:5], 0)
        since_us: int | None = None
        for from_us, to_us in _parts(session, listing):
            try:
                sums = self._part(session, listing, as_of, from_us, to_us, ends_at - time.monotonic())
            except QueryTimeoutError:
                since_us = to_us
                break
            for name in _SUMMED:
                if sums[name] is not None:
                    total[name] = sums[name] + (total[name] or 0)
        return {
            **{name: total[name] for name in ("count", "errors", "spans", "calls", "unpriced_calls")},
            "tokens": tokens_of(total),
            "cost": json_value(total["cost"]),
            "complete": since_us is None,
            "since": None if since_us is None else moment(since_us).isoformat(),
        }

    def _part(
        self, session: QuerySession, listing: Listing, as_of: datetime, from_us: int, to_us: int, left_s: float
    ) -> _Sums:
        key = _key(session, listing, as_of, from_us, to_us)
        with self._lock:
            if key is not None and key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if left_s <= 0:
            raise QueryTimeoutError("no time is left")
        with session.deadline(left_s):
            sums = _added(session, listing, as_of, from_us, to_us)
        if key is not None:
            with self._lock:
                self._kept[key] = sums
                while len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
        return sums


def _parts(session: QuerySession, listing: Listing) -> Iterator[tuple[int, int]]:
    """Yield from and to of the parts, newest first; only where rows may be."""
    bounds = bounds_us(session)
    from_us = max(listing.from_us, min((least for least, _ in bounds), default=0))
    to_us = min(listing.to_us, max((greatest for _, greatest in bounds), default=0) + 1)
    alone_us = (to_us // DAY_US - DAYS_ALONE) * DAY_US
    while to_us > from_us:
        days = 1 if to_us > alone_us else DAYS_TOGETHER
        # Weeks begin at the same days whenever it is asked.
        begin_us = max((to_us - 1) // (days * DAY_US) * days * DAY_US, from_us)
        if any_meets(bounds, begin_us, to_us):
            yield begin_us, to_us
            to_us = begin_us
        else:
            to_us = max((greatest + 1 for _, greatest in bounds if greatest < to_us), default=from_us)


def _key(
    session: QuerySession, listing: Listing, as_of: datetime, from_us: int, to_us: int
) -> tuple[object, ...] | None:
    """Return what tells these totals from others; None where they may change."""
    least, greatest = max(from_us - APART_US, 0), to_us + APART_US
    view = session.taken(SPANS)
    hot = bounds_us(session)[len(view.files) :]
    # A variant's sessions are those of the exposures, which change without the spans.
    if any_meets(hot, least, greatest) or listing.wanted.variant is not None or newest_receipt(session) > as_of:
        return None
    files = covering(view, Range("start_time", moment(least), moment(greatest)))
    of_any_time = {"started_from": None, "started_to": None, "sort": "time", "order": "desc"}
    digest = digest_of(listing.kind.name, listing.wanted.model_copy(update=of_any_time))
    return session.project, digest, from_us, to_us, files


def _added(session: QuerySession, listing: Listing, as_of: datetime, from_us: int, to_us: int) -> _Sums:
    groups = group_condition(listing.wanted)
    narrow(session, from_us - APART_US, to_us - 1 + APART_US, as_of)
    statement = sql.load("listed_totals").format(
        key=listing.kind.column,
        cost=COST if "cost_pico" in groups.sql else "NULL",
        matching=matching(listing),
        group_condition=f"AND {groups.sql}" if groups else "",
        kept_condition=f"AND {listing.kind.column} IN (SELECT key FROM kept)" if groups else "",  # noqa: S608 - a column of ours
    )
    parameters = {
        **listing.spans.parameters,
        **groups.parameters,
        "from_us": from_us,
        "to_us": to_us,
    }
    (sums,) = session.query(statement, parameters).to_pylist()
    return {
        name: int(value) if name in TOKENS.values() and value is not None else value for name, value in sums.items()
    }
