"""The window of spans lately taken: what is sent again is left out, what is new is not."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_parts import span_rows

from collector.window import IDENTITY, SpanWindow, _mark_fresh, _slot_count
from schemas.spans import SPANS


def fresh(window: SpanWindow, *numbers: int, **columns: Any) -> list[int]:
    spans = window.fresh(span_rows(*numbers, **columns))
    window.remember(spans.keys)
    found: list[int] = spans.rows["content_hash"].to_pylist()
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

    assert first.rows.num_rows == again.rows.num_rows == 1


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


class Model:
    """What the window must do, in plain Python."""

    def __init__(self, spans_max: int) -> None:
        self.spans_max = spans_max
        self.seen: OrderedDict[tuple[int, int], None] = OrderedDict()

    def fresh(self, keys: list[tuple[int, int]]) -> list[bool]:
        in_batch: set[tuple[int, int]] = set()
        mask = []
        for key in keys:
            mask.append(key not in self.seen and key not in in_batch)
            in_batch.add(key)
        for key, is_fresh in zip(keys, mask, strict=True):
            if is_fresh:
                self.seen[key] = None
                while len(self.seen) > self.spans_max:
                    self.seen.popitem(last=False)
        return mask


# Few beginnings of probes, at the ends of the table too, so that every key meets others on its way.
crowded_keys = st.tuples(st.sampled_from([0, 1, 2, 2**32 - 1, 2**32 - 2]), st.integers(0, 3), st.integers(0, 2)).map(
    lambda parts: (parts[0] << 32 | parts[1], parts[2])
)


@given(st.integers(0, 12), st.lists(st.lists(crowded_keys, max_size=10), max_size=30))
def test_the_table_does_what_its_model_does_however_crowded(
    spans_max: int, batches: list[list[tuple[int, int]]]
) -> None:
    window, model = SpanWindow(spans_max), Model(spans_max)
    for batch in batches:
        keys = np.array(batch, np.uint64).reshape(len(batch), 2)
        mask = np.empty(len(batch), np.bool_)
        seen = np.zeros(_slot_count(len(batch)), np.uint32)
        count = _mark_fresh(keys, window._slots, window._ring, seen, mask)
        window.remember(keys[mask])

        assert mask.tolist() == model.fresh(batch)
        assert count == sum(mask)


def test_over_many_spans_exactly_the_latest_are_remembered() -> None:
    window = SpanWindow(1000)
    for start in range(0, 20_000, 250):
        assert len(fresh(window, *range(start, start + 250))) == 250

    assert window.fresh(span_rows(*range(19_000, 20_000))).rows.num_rows == 0
    assert window.fresh(span_rows(*range(18_000, 19_000))).rows.num_rows == 1000


def test_a_batch_larger_than_the_window_leaves_its_latest() -> None:
    window = SpanWindow(3)
    fresh(window, *range(10))

    assert fresh(window, 7, 8, 9) == []


def test_without_a_window_only_the_batch_itself_is_looked_at() -> None:
    window = SpanWindow(0)

    assert fresh(window, 1, 1) == [1]
    assert fresh(window, 1) == [1]


def test_a_slice_of_a_batch_is_known_by_its_own_rows() -> None:
    window = SpanWindow(10)
    batch = span_rows(1, 2, 3, 4, 5)
    window.remember(window.fresh(batch.slice(1, 2)).keys)

    assert window.fresh(batch).rows["content_hash"].to_pylist() == [1, 4, 5]
    assert window.fresh(batch.slice(2)).rows["content_hash"].to_pylist() == [4, 5]
    assert window.fresh(batch.slice(5)).rows.num_rows == 0


@given(st.lists(st.lists(st.text(st.sampled_from("ab\0é"), max_size=20), min_size=3, max_size=3), max_size=20))
def test_only_the_same_strings_in_the_same_places_are_alike(texts: list[list[str]]) -> None:
    spans = [dict(zip(IDENTITY, (*row, 7), strict=True)) for row in texts]
    rows = pa.RecordBatch.from_pylist(spans, schema=pa.schema([SPANS.schema.field(name) for name in IDENTITY]))

    assert SpanWindow(10).fresh(rows).rows.num_rows == len({tuple(row) for row in texts})


def test_a_filled_window_knows_the_latest_in_the_order_of_their_receipt() -> None:
    window = SpanWindow(3)
    latest_first = pa.Table.from_batches([span_rows(5, 4), span_rows(3, 2)])
    window.fill(latest_first.select(IDENTITY))

    assert window.fresh(span_rows(2, 3, 4, 5)).rows["content_hash"].to_pylist() == [2]
    assert fresh(window, 6) == [6]
    assert window.fresh(span_rows(3, 4, 5)).rows["content_hash"].to_pylist() == [3]


def test_two_windows_hash_the_same_span_differently() -> None:
    assert SpanWindow(1).fresh(span_rows(1)).keys[0, 0] != SpanWindow(1).fresh(span_rows(1)).keys[0, 0]
