"""Weights of any sum become percentages, and the clients' walk over them gives the split that was meant."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fallom.assignment import BUCKET_COUNT, effective_shares, walk
from storage.registry.percentages import percentages, served_variants

weights = st.integers(0, 1_000_000_000) | st.floats(0, 1e9) | st.sampled_from([0, 0.1, 0.7, 1, 3, 33.3, 1e-9])
positive = st.lists(weights, min_size=1, max_size=40).filter(lambda found: sum(found) > 0)


def buckets_meant(given_weights: list[float]) -> list[int]:
    """Return the buckets of each variant by exact arithmetic: its share ends at the ceiling of the exact sum."""
    exact = [Fraction(repr(float(weight))) for weight in given_weights]
    ends = [math.ceil(end * BUCKET_COUNT / sum(exact)) for end in accumulate(exact)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


@settings(max_examples=500)
@given(positive.filter(lambda found: sum(map(Fraction, map(repr, map(float, found)))) != 100))
@example([1, 1, 1])
@example([0.1] * 3)
@example([3, 0, 0])
@example([1e9, 1e-9])
@example([1] * 7 + [0])
def test_the_walk_gives_each_variant_the_buckets_that_were_meant(given_weights: list[float]) -> None:
    served = percentages(given_weights)

    assert [round(share * BUCKET_COUNT) for share in effective_shares(served)] == buckets_meant(given_weights)
    assert sum(served) == pytest.approx(100)


@given(positive)
def test_a_variant_of_weight_0_gets_no_session_wherever_it_stands(given_weights: list[float]) -> None:
    served = percentages([*given_weights, 0])

    assert all(share == 0 for share, weight in zip(served, [*given_weights, 0], strict=True) if weight == 0)
    assert walk(served, BUCKET_COUNT - 1) < len(given_weights)


@pytest.mark.parametrize("given_weights", [[50, 50], [33.3, 33.3, 33.4], [99.9, 0.1], [100], [12.5, 0, 87.5]])
def test_weights_that_sum_to_100_are_served_as_written(given_weights: list[float]) -> None:
    assert percentages(given_weights) == given_weights


def test_a_sum_of_anything_else_is_scaled() -> None:
    assert percentages([1, 1]) == [50, 50]
    assert percentages([160, 40]) == [80, 20]
    assert percentages([0.5, 0.5, 1]) == [25, 25, 50]


def test_variants_keep_their_form_and_order() -> None:
    by_name = {"z": {"model": "m", "weight": 1}, "a": {"model": "n", "weight": 3}}

    assert list(served_variants(by_name).items()) == [
        ("z", {"model": "m", "weight": 25}),
        ("a", {"model": "n", "weight": 75}),
    ]
    assert served_variants(list(by_name.values())) == [{"model": "m", "weight": 25}, {"model": "n", "weight": 75}]
