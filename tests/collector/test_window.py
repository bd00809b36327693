"""The window of spans lately taken: what is sent again is left out, what is new is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_parts import span_rows

from collector.window import SpanWindow, identities


def fresh(window: SpanWindow, *numbers: int, **columns: Any) -> list[int]:
    rows = window.fresh(span_rows(*numbers, **columns))
    window.remember(identities(rows))
    found: list[int] = rows["content_hash"].to_pylist()
    return found


def test_a_span_is_fresh_once_in_a_batch_and_across_batches() -> None:
    window = SpanWindow(10)

    assert fresh(window, 1, 2, 1) == [1, 2]
    assert fresh(window, 2, 3) == [3]


@pytest.mark.parametrize(
    "changes", [{"project": "q"}, {"trace_id": "f"}, {"span_id": "f"}, {"content_hash": 9}], ids=str
)
def test_a_span_that_differs_in_anything_is_another(changes: dict[str, Any]) -> None:
    window = SpanWindow(10)
    fresh(window, 1)

    assert len(fresh(window, 1, **changes)) == 1


def test_what_is_fresh_is_not_remembered_until_it_is_on_disk() -> None:
    window = SpanWindow(10)

    first = window.fresh(span_rows(1))
    again = window.fresh(span_rows(1))

    assert first.num_rows == again.num_rows == 1


def test_the_oldest_fall_out_of_a_full_window() -> None:
    window = SpanWindow(2)
    fresh(window, 1, 2, 3)

    assert fresh(window, 2, 3) == []
    assert fresh(window, 1) == [1]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6))
def test_in_a_window_that_is_large_enough_every_span_is_fresh_exactly_once(batches: list[list[int]]) -> None:
    window = SpanWindow(10)

    found = [number for batch in batches for number in fresh(window, *batch)]

    assert sorted(found) == sorted({number for batch in batches for number in batch})
