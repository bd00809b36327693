"""Pages of traces and sessions, against the same made of all rows in Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_parts import Parts, exposure_rows, span_rows

from analytics.traces.conditions import UnknownVariantError, span_condition
from analytics.traces.cursor import CursorError
from analytics.traces.listing import SESSIONS, TRACES, Kind, Listing, page_of
from analytics.traces.rows import answered
from analytics.traces.totals import Totals
from schemas.api.traces import ListQuery
from storage.registry.resources import ConfigVersion

DAYS = 6
TRACES_MADE = 50
LAST = datetime(2026, 5, 20, 12, tzinfo=UTC)
MODELS = ("gpt-4o", "gpt-4o-mini", None)

Row = dict[str, Any]


def made_spans(source: random.Random) -> list[Row]:
    """Return the spans of some days' traces, a few of which go on over midnight, have no root, or no cost."""
    rows = []
    for number in range(TRACES_MADE):
        start = LAST - timedelta(days=source.random() * DAYS)
        has_root = source.random() < 0.8
        session = source.randrange(12)
        for place in range(source.randint(1, 5)):
            # Some alike in what they are sorted by: the key decides.
            began = start + timedelta(minutes=place * source.choice((0, 1, 200)))
            cost = source.choice((0.25, 0.5, None))
            rows.append(
                {
                    "trace_id": f"{number:032x}",
                    "span_id": f"{number:08x}{place:08x}",
                    "parent_span_id": None if place == 0 and has_root else f"{number:016x}",
                    "content_hash": number * 100 + place,
                    "date": began.date(),
                    "start_time": began,
                    "start_time_unix_nano": int(began.timestamp() * 1e6) * 1000,
                    "duration_ns": source.choice((1, 5, 60)) * 1_000_000_000,
                    "name": f"step-{place}",
                    "session_id": f"session-{session}",
                    "customer_id": f"customer-{session % 7}",
                    "config_key": f"config-{session % 3}",
                    "response_model": source.choice(MODELS),
                    "is_inference": source.random() < 0.8,
                    "status_code": source.choice(("ok", "ok", "ok", "error")),
                    "error_type": "RateLimitError",
                    "cost": cost,
                    "total_tokens": source.choice((10, 1000, None)),
                    "tags": source.choice((["beta"], ["beta", "web"], None)),
                    "metadata": source.choice(('{"tier":"pro","a/b":1}', '{"tier":"free"}', None)),
                    "input": '[{"role":"user","content":"Where is my \\"order\\" ' + str(number) + '?"}]',
                    "output": f"It is on its way, {number}.",
                    "received_at": LAST + timedelta(seconds=len(rows)),
                }
            )
    return rows


ROWS = made_spans(random.Random(5))


@pytest.fixture(scope="module", params=["hot", "committed", "both", "summed"])
def parts(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Parts]:
    made = Parts(tmp_path_factory.mktemp("listing"))
    exporter = made.exporter()
    exporter.start()
    half = len(ROWS) // 2
    for place, part in enumerate((ROWS[:half], ROWS[half:])):
        exporter.consume("spans", pa.concat_batches([span_rows(1, **row) for row in part]))
        if request.param in ("committed", "summed") or (request.param == "both" and place == 0):
            exporter.flush()
    if request.param == "summed":
        made.keep_sums()
    yield made
    exporter.stop()
    made.engine.close()


def pages(parts: Parts, kind: Kind, **asked: Any) -> list[list[Row]]:
    """Return all pages, each from the cursor of the one before."""
    found: list[list[Row]] = []
    cursor = None
    while True:
        wanted = ListQuery.model_validate({**asked, "cursor": cursor})
        with parts.engine.session("p") as session:
            page = page_of(session, Listing(kind, wanted, span_condition(wanted)))
            found.append(answered(session, kind, page.rows, page.as_of))
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(found) < 1000


def keys(parts: Parts, kind: Kind = TRACES, **asked: Any) -> list[str]:
    return [row[kind.column] for page in pages(parts, kind, **asked) for row in page]


def groups(kind: Kind = TRACES) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in ROWS:
        found.setdefault(row[kind.column], []).append(row)
    return found


def started(rows: list[Row]) -> datetime:
    return min(row["start_time"] for row in rows)


def duration(rows: list[Row]) -> timedelta:
    ends = [row["start_time"] + timedelta(microseconds=row["duration_ns"] / 1000) for row in rows]
    return max(ends) - started(rows)


def sum_of(rows: list[Row], name: str) -> float | None:
    known = [row[name] for row in rows if row["is_inference"] and row[name] is not None]
    return sum(known) if known else None


def value_of(rows: list[Row], sort: str) -> Any:
    match sort:
        case "time":
            return started(rows)
        case "duration":
            return duration(rows)
        case _:
            return sum_of(rows, {"cost": "cost", "tokens": "total_tokens"}[sort])


def expected_order(found: dict[str, list[Row]], sort: str, order: str) -> list[str]:
    """Return the keys by value, then by themselves; those whose value is not known last."""
    known = [(value_of(rows, sort), key) for key, rows in found.items() if value_of(rows, sort) is not None]
    unknown = sorted((key for key, rows in found.items() if value_of(rows, sort) is None), reverse=order == "desc")
    return [key for _, key in sorted(known, reverse=order == "desc")] + unknown


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("sort", ["time", "duration", "cost", "tokens"])
def test_pages_hold_each_trace_once_in_order(parts: Parts, sort: str, order: str) -> None:
    found = pages(parts, TRACES, sort=sort, order=order, limit=13)

    assert [len(page) for page in found[:-1]] == [13] * (len(found) - 1)
    assert [row["trace_id"] for page in found for row in page] == expected_order(groups(), sort, order)


@pytest.mark.parametrize("sort", ["duration", "cost"])
def test_pages_hold_each_session_once_in_order(parts: Parts, sort: str) -> None:
    assert keys(parts, SESSIONS, sort=sort, limit=4) == expected_order(groups(SESSIONS), sort, "desc")


def test_by_time_a_session_comes_again_only_behind_a_days_gap(parts: Parts) -> None:
    found = keys(parts, SESSIONS, limit=3)

    assert set(found) == set(groups(SESSIONS))
    for key in set(found):
        times = sorted(row["start_time"] for row in groups(SESSIONS)[key])
        gaps = sum(later - earlier > timedelta(days=1) for earlier, later in pairwise(times))
        assert found.count(key) <= 1 + gaps


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"config": "config-1"}, lambda row: row["config_key"] == "config-1"),
        ({"model": "gpt-4o"}, lambda row: row["response_model"] == "gpt-4o"),
        (
            {"status": "error", "model": "gpt-4o"},
            lambda row: (row["status_code"], row["response_model"]) == ("error", "gpt-4o"),
        ),
        ({"customer": "customer-3"}, lambda row: row["customer_id"] == "customer-3"),
        ({"session": "session-3"}, lambda row: row["session_id"] == "session-3"),
        ({"name": "step-4"}, lambda row: row["name"] == "step-4"),
        ({"error_type": "Nothing"}, lambda row: False),
        ({"tag": ["beta", "web"]}, lambda row: row["tags"] == ["beta", "web"]),
        ({"metadata": ["tier=pro"]}, lambda row: "pro" in (row["metadata"] or "")),
        ({"metadata": ["tier=pro", "a/b=1"]}, lambda row: "pro" in (row["metadata"] or "")),
        ({"metadata": ["tier=free", "a/b=1"]}, lambda row: False),
        ({"text": 'my "ORDER" 7?'}, lambda row: int(row["trace_id"], 16) == 7),
        ({"text": "on its way, 11."}, lambda row: int(row["trace_id"], 16) == 11),
        ({"text": "%"}, lambda row: False),
    ],
)
@pytest.mark.parametrize("sort", ["time", "cost"])
def test_a_trace_is_found_by_any_of_its_spans(parts: Parts, asked: Row, holds: Any, sort: str) -> None:
    expected = {key: rows for key, rows in groups().items() if any(map(holds, rows))}

    assert keys(parts, **asked, sort=sort, limit=15) == expected_order(expected, sort, "desc")


@pytest.mark.parametrize("sort", ["time", "tokens"])
def test_bounds_are_of_the_whole_trace(parts: Parts, sort: str) -> None:
    expected = {
        key: rows
        for key, rows in groups().items()
        if (sum_of(rows, "cost") or 0) >= 0.75 and duration(rows) <= timedelta(hours=4)
    }

    found = keys(parts, cost_min=0.75, duration_max_ms=4 * 3_600_000, sort=sort, limit=15)

    assert 0 < len(expected) < TRACES_MADE
    assert found == expected_order(expected, sort, "desc")


@pytest.mark.parametrize("sort", ["time", "duration"])
def test_a_trace_is_of_the_time_in_which_it_began(parts: Parts, sort: str) -> None:
    first, last = LAST - timedelta(days=4, hours=3), LAST - timedelta(days=1, hours=1)
    expected = {key: rows for key, rows in groups().items() if first <= started(rows) < last}

    found = keys(parts, **{"from": first, "to": last}, sort=sort, limit=15)

    assert 0 < len(expected) < TRACES_MADE
    assert found == expected_order(expected, sort, "desc")


def test_a_row_shows_what_its_spans_come_to(parts: Parts) -> None:
    by_id = {row["trace_id"]: row for page in pages(parts, TRACES) for row in page}

    for trace_id, rows in groups().items():
        row = by_id[trace_id]
        calls = [found for found in rows if found["is_inference"]]
        assert (row["spans"], row["calls"]) == (len(rows), len(calls))
        assert row["errors"] == sum(found["status_code"] == "error" for found in rows)
        assert row["cost"] == sum_of(rows, "cost")
        assert row["tokens"]["total"] == sum_of(rows, "total_tokens")
        assert row["tokens"]["reasoning"] is None
        assert row["unpriced_calls"] == sum(
            found["cost"] is None and found["status_code"] != "error" for found in calls
        )
        assert row["start_time"] == started(rows).isoformat()
        assert row["duration_ms"] == pytest.approx(duration(rows) / timedelta(milliseconds=1))
        assert row["input_preview"] == f'Where is my "order" {int(trace_id, 16)}?'
        assert row["output_preview"] == f"It is on its way, {int(trace_id, 16)}."
        roots = [found for found in rows if found["parent_span_id"] is None]
        heads = roots or sorted(rows, key=lambda found: (found["start_time"], found["span_id"]))
        assert row["name"] == heads[0]["name"]


@pytest.mark.parametrize("asked", [{}, {"status": "error"}, {"cost_min": 0.75}])
def test_totals_are_of_all_pages(parts: Parts, asked: Row) -> None:
    wanted = ListQuery(**asked)
    listing = Listing(TRACES, wanted, span_condition(wanted))
    totals = Totals()
    with parts.engine.session("p") as session:
        first = totals.of(session, listing, LAST + timedelta(days=1), 10)
        again = totals.of(session, listing, LAST + timedelta(days=1), 10)
    of_pages = [row for page in pages(parts, TRACES, **asked) for row in page]

    assert first["count"] == len(of_pages)
    assert first["complete"]
    assert again == first
    if not asked:
        assert first["spans"] == len(ROWS)
        assert first["cost"] == pytest.approx(sum_of(ROWS, "cost"))
        assert first["tokens"]["total"] == sum_of(ROWS, "total_tokens")


def test_totals_that_find_no_time_say_from_when_on_they_are(parts: Parts) -> None:
    wanted = ListQuery()
    with parts.engine.session("p") as session:
        found = Totals().of(session, Listing(TRACES, wanted, span_condition(wanted)), LAST + timedelta(days=1), 0)

    assert (found["complete"], found["count"]) == (False, 0)
    assert found["since"] is not None


def test_rows_that_arrive_later_shift_no_page(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(*range(1, 21), start_time=LAST, received_at=LAST))
    wanted = ListQuery(limit=5, sort="cost")

    def page(cursor: str | None) -> tuple[list[str], str | None]:
        asked = wanted.model_copy(update={"cursor": cursor})
        with parts.engine.session("p") as session:
            found = page_of(session, Listing(TRACES, asked, span_condition(asked)))
        return [row["key"] for row in found.rows], found.next_cursor

    first, cursor = page(None)
    # More of a trace that was not told yet, and new ones, before and after.
    later = {"received_at": LAST + timedelta(seconds=1), "start_time": LAST, "cost": 1.0}
    exporter.consume("spans", span_rows(*range(1, 41), **later, span_id="f" * 16))
    second, _ = page(cursor)

    assert first == [f"{number:032x}" for number in range(20, 15, -1)]
    assert second == [f"{number:032x}" for number in range(15, 10, -1)]
    exporter.stop()


def test_another_project_sees_nothing(parts: Parts) -> None:
    with parts.engine.session("other") as session:
        for kind in (TRACES, SESSIONS):
            wanted = ListQuery()
            assert page_of(session, Listing(kind, wanted, span_condition(wanted))).rows == []


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "WzFd", "e30", "bnVsbA", "!", "é"])
def test_what_is_no_cursor_is_refused(parts: Parts, cursor: str) -> None:
    wanted = ListQuery(cursor=cursor or "====")
    with parts.engine.session("p") as session, pytest.raises(CursorError):
        page_of(session, Listing(TRACES, wanted, span_condition(wanted)))


def test_a_cursor_of_another_list_is_refused(parts: Parts) -> None:
    with parts.engine.session("p") as session:
        wanted = ListQuery(limit=1)
        cursor = page_of(session, Listing(TRACES, wanted, span_condition(wanted))).next_cursor
        for kind, other in ((TRACES, ListQuery(cursor=cursor, order="asc")), (SESSIONS, ListQuery(cursor=cursor))):
            with pytest.raises(CursorError, match="another filter or order"):
                page_of(session, Listing(kind, other, span_condition(other)))


def test_a_variant_is_that_of_the_first_exposure(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    exporter = parts.exporter()
    exporter.start()
    for number in range(4):
        exporter.consume("spans", span_rows(number + 1, session_id=f"s{number}"))
    exposures = exposure_rows(0, 1, 2, 3).to_pylist()
    for number, exposure in enumerate(exposures):
        exposure |= {"config_version": 1 + number // 2, "variant_index": number % 2, "event_time": LAST}
    later = exposures[0] | {"variant_index": 1, "event_time": LAST + timedelta(hours=1), "content_hash": 9}
    for exposure in (later, *exposures):
        exporter.consume("exposures", exposure_rows(0).from_pylist([exposure], exposure_rows(0).schema))
    body = {"variants": {"control": {"model": "a", "weight": 50}, "new": {"model": "b", "weight": 50}}}
    turned = {"variants": dict(reversed(body["variants"].items()))}
    versions = [ConfigVersion(1, LAST, body), ConfigVersion(2, LAST, turned)]

    def sessions(variant: str) -> set[str]:
        wanted = ListQuery(config="config", variant=variant)
        condition = span_condition(wanted, versions=versions)
        with parts.engine.session("p") as session:
            return {row["head"]["session_id"] for row in page_of(session, Listing(TRACES, wanted, condition)).rows}

    assert sessions("control") == {"s0", "s3"}
    assert sessions("new") == {"s1", "s2"}
    assert sessions("0") == {"s0", "s2"}
    with pytest.raises(UnknownVariantError, match=r"no variant 'newest'.* 0 \(new\), 1 \(control\)"):
        sessions("newest")
    exporter.stop()


def test_a_search_that_ends_early_says_how_far_it_has_come(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.traces.listing.WALK_S_MAX", 0)
    kind = replace(TRACES, first_window_us=24 * 3600 * 1_000_000)
    found: list[str] = []
    reached: list[datetime] = []
    cursor = None
    while True:
        wanted = ListQuery.model_validate({"model": "gpt-4o", "limit": 500, "cursor": cursor})
        with parts.engine.session("p") as session:
            page = page_of(session, Listing(kind, wanted, span_condition(wanted)))
        found += [row["key"] for row in page.rows]
        if page.searched_until is not None:
            reached.append(page.searched_until)
            assert all(started(groups()[key]) >= page.searched_until for key in found)
        cursor = page.next_cursor
        if cursor is None:
            break

    assert len(reached) > 1
    assert reached == sorted(reached, reverse=True)
    assert len(found) == len(set(found))
    assert set(found) == {
        key for key, rows in groups().items() if any(row["response_model"] == "gpt-4o" for row in rows)
    }
