"""Pages of traces and of sessions: found by a filter, sorted, with stable cursors.

Theory of operation. Both are groups of spans, by one column or the other, and so are found alike. A page is made in
three steps, each over few columns: the keys of its rows by their sums, then what a row shows, then the content for its
previews. Files are opened by time alone (``QuerySession.narrow``).

Sorted by time, nobody sorts all: windows of time are looked through from the end that is asked for, the first an hour
long, each next one four times as long while too little is found. A group is found in the window in which its first span
lies; one that began before, by a span of the day before, is left to its own window. So groups whose spans leave a gap
of more than ``APART_US`` come as two. Other orders need all sums of the time asked for, in one statement.

Rows count up to the latest receipt that the first page saw, which its cursor keeps: what arrives later shifts no page.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from analytics.traces import cursor as cursors
from analytics.traces.conditions import Condition, group_condition
from analytics.traces.cursor import Cursor
from schemas.api.traces import ListQuery, SpanFilter
from schemas.spans import SPANS
from storage import sql
from storage.engines.duckdb import QuerySession
from storage.engines.file_bounds import Range
from storage.engines.table_view import quoted

# Between two spans of a group, and between its first and its last, as far as a list shows.
APART_US = 86_400 * 1_000_000
HOUR_US = 3600 * 1_000_000
WINDOW_FACTOR = 4
# After that a page ends where it is, and its cursor goes on from there.
WALK_S_MAX = 3.0
# Of so few groups spans are asked for by name before they are added up.
FEW = 1000
# Filters of spans that ``trace_sums`` has the columns for.
_OF_SUMS = {"config", "session", "variant"}
_US = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The column of times holds no more.
US_MAX = 2**63 // 1000
_NO_KEY = ""
# least() and greatest() pass over NULL: what is not known must not become a bound.
COST = "sum(round(least(greatest(cost, 0), 1e6) * 1e12)::BIGINT) FILTER (is_inference AND cost IS NOT NULL)"
_GREATEST = 2**63 - 2
# By the names of the API.
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "total": "total_tokens",
    "uncached_input": "uncached_input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "visible_output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
}
_VALUES = {
    "time": "start_us",
    "duration": "end_us - start_us",
    "cost": f"CASE WHEN cost_pico IS NOT NULL THEN least(cost_pico, {_GREATEST}) END",
    "tokens": f"CASE WHEN tokens IS NOT NULL THEN least(tokens, {_GREATEST}) END",
}


# What a row of a list is made of.
_SHOWN = (
    *("trace_id", "span_id", "parent_span_id", "start_time", "duration_ns", "name", "operation", "status_code"),
    *("status_message", "error_type", "config_key", "session_id", "customer_id", "tags", "is_inference", "provider"),
    *("request_model", "response_model", "cost", "time_to_first_token_ns", *TOKENS.values()),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is listed: its name, the column that tells one from another, how far back is looked first.

    ``key`` is the column as ``trace_sums`` has it, of the type ``key_type``; ``number`` makes it of a span, ``text``
    shows it.
    """

    name: str
    column: str
    first_window_us: int
    key: str
    key_type: str
    number: str
    text: str


TRACES = Kind(
    "traces",
    "trace_id",
    HOUR_US,
    key="trace_key",
    key_type="UUID",
    number="try_cast(trace_id AS UUID)",
    text="replace(key::VARCHAR, '-', '')",
)
SESSIONS = Kind(
    "sessions", "session_id", 24 * HOUR_US, key="session_id", key_type="VARCHAR", number="session_id", text="key"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A row of a page, by its key: when its first and its last span began, and what it is sorted by."""

    key: str
    start_us: int
    last_us: int
    value: int


@dataclass(frozen=True, slots=True)
class _Matched:
    """A table of keys, how many they are, and when their spans began."""

    name: str
    count: int
    start_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Page:
    """The summaries of a page's groups in their order, and where the next page begins.

    ``searched_until`` is up to which moment was searched, where the search ended before the page was full.
    """

    rows: list[dict[str, Any]]
    next_cursor: str | None
    as_of: datetime
    searched_until: datetime | None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its kind, what is asked for, and the condition for its spans."""

    kind: Kind
    wanted: ListQuery
    spans: Condition

    @property
    def digest(self) -> str:
        """Return what its cursors are bound to."""
        return cursors.digest_of(self.kind.name, self.wanted)

    @property
    def from_us(self) -> int:
        """Return the first moment that is asked for."""
        return 0 if self.wanted.started_from is None else max(microseconds(self.wanted.started_from), 0)

    @property
    def to_us(self) -> int:
        """Return the moment before which is asked."""
        return US_MAX if self.wanted.started_to is None else max(microseconds(self.wanted.started_to), 0)

    @property
    def of_sums(self) -> bool:
        """Return whether ``trace_sums`` can tell which spans are meant: they have no other column to ask."""
        asked = self.wanted.model_dump(exclude_none=True, exclude_defaults=True).keys() & SpanFilter.model_fields.keys()
        return asked <= _OF_SUMS

    @property
    def is_descending(self) -> bool:
        """Return whether the greatest comes first."""
        return self.wanted.order == "desc"


def page_of(session: QuerySession, listing: Listing) -> Page:
    """Return the page that is asked for. Raises CursorError, QueryError."""
    wanted = listing.wanted
    after = cursors.decode(wanted.cursor, listing.digest) if wanted.cursor else None
    as_of = moment(after.as_of_us) if after else newest_receipt(session)
    finder = _Finder(session, listing, as_of)
    found, is_more = finder.by_time(after) if wanted.sort == "time" else finder.by_sums(after)
    last = found[-1] if found else None
    end = finder.reached or (last and Cursor(last.value, last.key, microseconds(as_of)))
    next_cursor = end.encode(listing.digest) if is_more and end else None
    searched_until = moment(finder.reached.value) if finder.reached else None
    return Page(finder.rows(found), next_cursor, as_of, searched_until)


def newest_receipt(session: QuerySession) -> datetime:
    """Return the latest receipt of any span."""
    known = [found.greatest for found in session.ranges(SPANS, "received_at") if found.greatest is not None]
    return max(known, default=datetime.now(UTC))


def microseconds(moment: datetime) -> int:
    """Return µs since 1970."""
    return (moment - _EPOCH) // _US


def moment(us: int) -> datetime:
    """Return the moment of µs since 1970."""
    return _EPOCH + us * _US


class _Finder:
    """Finds the keys of one page."""

    def __init__(self, session: QuerySession, listing: Listing, as_of: datetime) -> None:
        self._session = session
        self._listing = listing
        self._as_of = as_of
        self._matches = 0
        self.reached: Cursor | None = None

    def by_sums(self, after: Cursor | None) -> tuple[list[Key], bool]:
        """Return the page's keys by their sums, and whether there are more."""
        limit = self._listing.wanted.limit
        found = self._keys(self._listing.from_us, self._listing.to_us, APART_US, after, limit + 1)
        return found[:limit], len(found) > limit

    def by_time(self, after: Cursor | None) -> tuple[list[Key], bool]:
        """Return the page's keys by when they began, and whether there are more."""
        limit = self._listing.wanted.limit
        ends_at = time.monotonic() + WALK_S_MAX
        # Sums decide on them: they are made of all spans, and those lie around the window.
        apart_us = APART_US if group_condition(self._listing.wanted) else 0
        found: list[Key] = []
        searched: tuple[int, int] | None = None
        for from_us, to_us in self._windows(after):
            if searched is not None and time.monotonic() > ends_at:
                self.reached = self._end_of_window(*searched)
                return found, True
            searched = from_us, to_us
            of_window = after
            while len(found) <= limit:
                wanted = limit + 1 - len(found)
                keys = self._keys(from_us, to_us, apart_us, of_window, wanted)
                found += self._begun(keys, from_us, to_us)
                if len(keys) < wanted:
                    break
                of_window = Cursor(keys[-1].value, keys[-1].key, 0)
            if len(found) > limit:
                return found[:limit], True
        return found, False

    def rows(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """Return what is shown of the groups of these keys, in their order."""
        if not keys:
            return []
        rows = summaries(self._session, self._listing.kind, keys, self._as_of)
        found = {(row["key"], row["first_us"]): row for row in rows}
        return [found[key.key, key.start_us] for key in keys if (key.key, key.start_us) in found]

    def _begun(self, keys: list[Key], from_us: int, to_us: int) -> list[Key]:
        """Return those that have no span before the window, with the time of all their spans."""
        if not keys:
            return []
        rows = extents_of(
            self._session,
            self._listing.kind,
            [key.key for key in keys],
            from_us - APART_US,
            to_us - 1 + APART_US,
            self._as_of,
        )
        extents = {row["key"]: row for row in rows if row["start_us"] >= from_us}
        return [replace(key, last_us=extents[key.key]["last_us"]) for key in keys if key.key in extents]

    def _end_of_window(self, from_us: int, to_us: int) -> Cursor:
        # The key that no other comes between, at the first moment of what is not looked through yet.
        value = from_us if self._listing.is_descending else to_us
        return Cursor(value, _NO_KEY, microseconds(self._as_of))

    def _windows(self, after: Cursor | None) -> Iterator[tuple[int, int]]:
        """Yield from and to of the windows, from the end that is asked for; only where rows may be."""
        listing = self._listing
        bounds = bounds_us(self._session)
        from_us = max(listing.from_us, min((least for least, _ in bounds), default=0))
        to_us = min(listing.to_us, max((greatest for _, greatest in bounds), default=0) + 1)
        size_us = listing.kind.first_window_us
        if listing.is_descending:
            to_us = min(to_us, after.value + 1) if after else to_us
            while to_us > from_us:
                begin_us = max(to_us - size_us, from_us)
                if any_meets(bounds, begin_us, to_us):
                    yield begin_us, to_us
                    size_us *= WINDOW_FACTOR
                    to_us = begin_us
                else:
                    to_us = max((greatest + 1 for _, greatest in bounds if greatest < to_us), default=from_us)
        else:
            from_us = max(from_us, after.value) if after else from_us
            while from_us < to_us:
                end_us = min(from_us + size_us, to_us)
                if any_meets(bounds, from_us, end_us):
                    yield from_us, end_us
                    size_us *= WINDOW_FACTOR
                    from_us = end_us
                else:
                    from_us = min((least for least, _ in bounds if least >= from_us), default=to_us)

    def _keys(self, from_us: int, to_us: int, apart_us: int, after: Cursor | None, limit: int) -> list[Key]:
        listing = self._listing
        if from_us >= to_us:
            return []
        groups = group_condition(listing.wanted)
        matched = self._matched(from_us, to_us) if listing.spans else None
        if matched is not None and not matched.count:
            return []
        least_us, greatest_us = from_us - apart_us, to_us - 1 + apart_us
        if matched is not None:
            # What matches lies in a part of the time, and so does all that belongs to it.
            least_us = max(from_us, matched.start_us) - APART_US
            greatest_us = min(greatest_us, matched.last_us + APART_US)
        among = None
        if matched is not None and matched.count <= FEW:
            among = f"{listing.kind.column} IN (SELECT {listing.kind.text} FROM {matched.name})"  # noqa: S608 - names of ours
        narrow_sums(self._session, least_us, greatest_us, self._as_of, among)
        sign, direction = ("<", "DESC") if listing.is_descending else (">", "ASC")
        statement = sql.load("listed_keys").format(
            key=listing.kind.key,
            text=listing.kind.text,
            matching=f"AND {listing.kind.key} IN (SELECT key FROM {matched.name})" if matched else "",  # noqa: S608 - names of ours
            value=_VALUES[listing.wanted.sort],
            # What is not known comes last.
            unknown="-1" if listing.is_descending else str(2**63 - 1),
            group_condition=f"AND {groups.sql}" if groups else "",
            beyond=sign,
            direction=direction,
        )
        parameters = {
            **groups.parameters,
            "from_us": from_us,
            "to_us": to_us,
            "after_key": after.key if after else None,
            "after_value": after.value if after else None,
            "limit": limit,
        }
        return [Key(**row) for row in self._session.query(statement, parameters).to_pylist()]

    def _matched(self, from_us: int, to_us: int) -> _Matched:
        """Keep the keys of the groups that have a span as it is asked for, which may begin in the time."""
        listing = self._listing
        # Such a span may lie after the window in which its group begins, and none before it.
        least_us, greatest_us = from_us, to_us - 1 + APART_US
        if listing.of_sums:
            narrow_sums(self._session, least_us, greatest_us, self._as_of)
            key, source = listing.kind.key, "trace_sums"
        else:
            narrow(self._session, least_us, greatest_us, self._as_of)
            key = listing.kind.number
            source = "(SELECT *, epoch_us(start_time) AS start_us, epoch_us(start_time) AS last_us FROM spans)"
        self._matches += 1
        name = f"matched_{self._matches}"
        statement = sql.load("listed_matches").format(key=key, source=source, condition=listing.spans.sql)
        self._session.keep(name, statement, listing.spans.parameters)
        (extent,) = self._session.query_with(
            {},
            f"SELECT count(*) AS count, min(start_us) AS start_us, max(last_us) AS last_us FROM {name}",  # noqa: S608 - a name of ours
        ).to_pylist()
        return _Matched(name, **extent)


def narrow(session: QuerySession, least_us: int, greatest_us: int, as_of: datetime) -> None:
    """Let ``spans`` be those that began from the one moment to the other, both included, and came by ``as_of``."""
    session.within(SPANS, *_bounds(least_us, greatest_us, as_of))


def _bounds(least_us: int, greatest_us: int, as_of: datetime) -> tuple[list[Range], list[Range]]:
    least = moment(least_us) if least_us > 0 else None
    greatest = moment(greatest_us) if greatest_us < US_MAX - 1 else None
    return [Range("start_time", least, greatest)], [Range("received_at", None, as_of)]


def narrow_sums(
    session: QuerySession, least_us: int, greatest_us: int, as_of: datetime, among: str | None = None
) -> None:
    """Let ``trace_sums`` be those of the spans that ``narrow`` would leave; ``among`` may leave some out."""
    session.sums_within(*_bounds(least_us, greatest_us, as_of), among=among)


def extents_of(
    session: QuerySession, kind: Kind, keys: Sequence[str], least_us: int, greatest_us: int, as_of: datetime
) -> list[dict[str, Any]]:
    """Return of each group that has spans in the time when they began, the first and the last, µs since 1970."""
    among = f"{kind.column} IN ({', '.join(quoted(key) for key in keys)})"
    narrow_sums(session, least_us, greatest_us, as_of, among)
    statement = sql.load("listed_extents").format(key=kind.key, type=kind.key_type, text=kind.text)
    return session.query(statement, {"keys": list(keys)}).to_pylist()  # type: ignore[no-any-return]


def summaries(session: QuerySession, kind: Kind, keys: Sequence[Key], as_of: datetime) -> list[dict[str, Any]]:
    """Return what is shown of the groups of these keys."""
    statement = sql.load("listed_rows").format(key=kind.column, found=found_spans(session, kind, keys, as_of, _SHOWN))
    return session.query(  # type: ignore[no-any-return]
        statement,
        {
            "keys": [key.key for key in keys],
            "first_us": [key.start_us for key in keys],
            "final_us": [key.last_us for key in keys],
        },
    ).to_pylist()


def found_spans(session: QuerySession, kind: Kind, keys: Sequence[Key], as_of: datetime, columns: Sequence[str]) -> str:
    """Return ``found AS (…)``: the spans of these groups, and of others, that came by ``as_of``."""
    # A session may be there twice, behind a gap: it is all from the first to the last.
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for key in keys:
        starts[key.key] = min(key.start_us, starts.get(key.key, key.start_us))
        ends[key.key] = max(key.last_us, ends.get(key.key, key.last_us))
    times = {name: Range("start_time", moment(start), moment(ends[name])) for name, start in starts.items()}
    return session.rows_of_groups(SPANS, kind.column, times, Range("received_at", None, as_of), only=columns)


def matching(listing: Listing) -> str:
    """Return the rest of a condition: the group has a span that is meant."""
    if not listing.spans:
        return ""
    key = listing.kind.column
    return f"AND {key} IN (SELECT {key} FROM spans WHERE {listing.spans.sql})"  # noqa: S608 - columns of ours; values are parameters


def bounds_us(session: QuerySession) -> list[tuple[int, int]]:
    """Return the first and the last start in each file, and of the hot rows, µs since 1970; the widest if unknown."""
    return [
        (
            0 if found.least is None else microseconds(found.least),
            US_MAX if found.greatest is None else microseconds(found.greatest),
        )
        for found in session.ranges(SPANS, "start_time")
    ]


def any_meets(bounds: Sequence[tuple[int, int]], from_us: int, to_us: int) -> bool:
    """Return whether any of the bounds has a moment in the time."""
    return any(least < to_us and greatest >= from_us for least, greatest in bounds)
