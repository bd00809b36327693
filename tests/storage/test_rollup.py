"""The session rollup: sums of leaf calls, that add up whatever the parts."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.session_rollup import ROLLUP_KEYS, SESSION_ROLLUP
from schemas.spans import SPANS
from storage.rollup import added as added_up
from storage.rollup import negated, session_rollup

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUMS = [name for name in SESSION_ROLLUP.schema.names if name not in (*ROLLUP_KEYS, "first_time", "last_time")]
CALL: dict[str, Any] = {
    "project": "p",
    "date": NOON.date(),
    "config_key": "c",
    "session_id": "s",
    "is_inference": True,
    "status_code": "ok",
    "start_time": NOON,
}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SPANS.schema)


def rollup(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = session_rollup(table([CALL | call for call in calls])).to_pylist()
    return rows


def test_the_sums_of_a_session_are_those_of_its_calls() -> None:
    (row,) = rollup(
        {"duration_ns": 2_000_000, "input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "cost": 0.5},
        {"duration_ns": 3_000_000, "status_code": "error", "start_time": NOON + timedelta(1)},
        {"time_to_first_token_ns": 500_000, "input_tokens": 1, "total_tokens": 1, "start_time": NOON - timedelta(1)},
    )

    assert {name: row[name] for name in SUMS} == {
        "calls": 3,
        "errors": 1,
        "latency_count": 2,
        "latency_ms_sum": 5.0,
        "latency_ms_sumsq": 13.0,
        "time_to_first_token_count": 1,
        "time_to_first_token_ms_sum": 0.5,
        "time_to_first_token_ms_sumsq": 0.25,
        "tokens_count": 2,
        "input_tokens": 4,
        "output_tokens": 4,
        "total_tokens": 8,
        "uncached_input_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "visible_output_tokens": 0,
        "reasoning_tokens": 0,
        "cost_count": 1,
        "cost_sum": 0.5,
        "unpriced_count": 1,
    }
    assert (row["first_time"], row["last_time"]) == (NOON - timedelta(1), NOON + timedelta(1))


def test_the_buckets_of_tokens_add_up_to_their_totals() -> None:
    cached = {"input_tokens": 21, "uncached_input_tokens": 10, "cache_read_tokens": 8, "cache_write_tokens": 3}
    reasoned = {"input_tokens": 5, "uncached_input_tokens": 5, "output_tokens": 9} | {
        "visible_output_tokens": 5,
        "reasoning_tokens": 4,
    }

    (row,) = rollup(cached, reasoned, {})

    assert (row["uncached_input_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]) == (15, 8, 3)
    assert (row["visible_output_tokens"], row["reasoning_tokens"]) == (5, 4)
    assert (row["input_tokens"], row["output_tokens"]) == (15 + 8 + 3, 5 + 4)


@pytest.mark.parametrize(
    "changes", [{"is_inference": False}, {"is_inference": None}, {"session_id": None}, {"config_key": None}], ids=str
)
def test_what_is_no_leaf_call_of_a_session_does_not_count(changes: dict[str, Any]) -> None:
    assert rollup(changes) == []


def test_the_model_that_answered_goes_before_the_one_asked_for() -> None:
    rows = rollup({"request_model": "a", "response_model": "b"}, {"request_model": "a"}, {})

    assert sorted(row["model"] or "" for row in rows) == ["", "a", "b"]


def test_no_spans_make_an_empty_rollup_of_the_right_schema() -> None:
    found = session_rollup(SPANS.schema.empty_table())

    assert (found.num_rows, found.schema) == (0, SESSION_ROLLUP.schema)


def added(rollups: list[pa.Table]) -> dict[tuple[object, ...], dict[str, Any]]:
    """Add up rollup rows by their keys, without the code under test."""
    totals: dict[tuple[object, ...], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in (row for found in rollups for row in found.to_pylist()):
        total = totals[tuple(row[name] for name in ROLLUP_KEYS)]
        for name in SUMS:
            total[name] += row[name]
        total["first_time"] = min(total.get("first_time", row["first_time"]), row["first_time"])
        total["last_time"] = max(total.get("last_time", row["last_time"]), row["last_time"])
    return totals


counts = st.none() | st.integers(0, 10**6)
durations = st.none() | st.integers(0, 10**12)
calls = st.fixed_dictionaries(
    {
        "project": st.sampled_from(["p", "q"]),
        "date": st.sampled_from([date(2026, 11, 20), date(2026, 11, 21)]),
        "config_key": st.sampled_from(["c", "d", None]),
        "session_id": st.sampled_from(["s", "t", None]),
        "response_model": st.sampled_from(["m", None]),
        "request_model": st.sampled_from(["n", None]),
        "prompt_key": st.sampled_from(["x", None]),
        "prompt_variant_index": st.sampled_from([0, 1, None]),
        "is_inference": st.sampled_from([True, True, True, False]),
        "status_code": st.sampled_from(["ok", "error", "unset"]),
        "start_time": st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis takes naive bounds
        "duration_ns": durations,
        "time_to_first_token_ns": durations,
        "input_tokens": counts,
        "cache_read_tokens": counts,
        "reasoning_tokens": counts,
        "output_tokens": counts,
        "total_tokens": counts,
        "cost": st.none() | st.floats(0, 100),
    }
)


@settings(max_examples=40)
@given(st.lists(st.lists(calls, max_size=6), max_size=4))
def test_the_rollups_of_parts_add_up_to_that_of_the_whole(parts: list[list[dict[str, Any]]]) -> None:
    # In chunks, as the frames of a segment are, each of which may lack what another has.
    whole = session_rollup(pa.concat_tables([SPANS.schema.empty_table(), *(table(part) for part in parts)]))

    rollups = [session_rollup(table(part)) for part in parts]
    of_parts = added(rollups)

    of_whole = added([whole])
    assert added([added_up(pa.concat_tables([SESSION_ROLLUP.schema.empty_table(), *rollups]))]).keys() == {
        key for key, total in of_whole.items() if any(total[name] != 0 for name in SUMS)
    }
    assert len(of_whole) == whole.num_rows
    assert of_whole.keys() == of_parts.keys()
    for key, total in of_whole.items():
        for name, value in total.items():
            assert of_parts[key][name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_call_less_another_is_not_nothing() -> None:
    kept, taken_away = (session_rollup(table([CALL | {"duration_ns": ms * 1_000_000}])) for ms in (100, 900))

    # As when a merge finds a call and a correction, and not the call that the correction is of.
    part = added_up(pa.concat_tables([kept, negated(taken_away)]))
    (row,) = added_up(pa.concat_tables([part, taken_away])).to_pylist()

    assert (row["calls"], row["latency_ms_sum"], row["latency_ms_sumsq"]) == (1, 100.0, 10_000.0)
    assert added_up(pa.concat_tables([kept, negated(kept)])).num_rows == 0
