"""Adjusted p-values: against the vectors, and their order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_moments import FOLDER

from analytics.experiments.statistics import benjamini_hochberg, bonferroni, holm

FOUR_ARMS: dict[str, Any] = json.loads((FOLDER / "b_multi_arm" / "multi_arm.json").read_text())
FAMILY = FOUR_ARMS["family_example"]
P_VALUES = st.lists(st.none() | st.floats(0, 1), max_size=12)


@pytest.mark.parametrize(
    ("p_values", "expected", "adjust"),
    [
        (FOUR_ARMS["p"], FOUR_ARMS["holm"], holm),
        (FOUR_ARMS["p"], FOUR_ARMS["bh"], benjamini_hochberg),
        (FOUR_ARMS["p"], FOUR_ARMS["bonferroni"], bonferroni),
        (FAMILY["p"], FAMILY["holm"], holm),
        (FAMILY["p"], FAMILY["fdr_bh"], benjamini_hochberg),
        (FAMILY["p"], FAMILY["bonferroni"], bonferroni),
    ],
)
def test_adjusted_p_values_are_those_of_the_vectors(p_values: Any, expected: Any, adjust: Any) -> None:
    assert adjust(p_values) == pytest.approx(expected, rel=1e-8)


def test_order_does_not_matter_and_what_is_no_test_is_left_out() -> None:
    turned = [None, *reversed(FAMILY["p"]), None]

    for adjust in (bonferroni, holm, benjamini_hochberg):
        assert adjust(turned)[1:-1] == pytest.approx(adjust(FAMILY["p"])[::-1])
        assert adjust(turned)[0] is adjust(turned)[-1] is None


def test_a_family_may_be_larger_than_what_is_at_hand() -> None:
    assert bonferroni([0.01, None, 0.4], 4) == [0.04, None, 1.0]


@given(P_VALUES)
def test_what_guarantees_more_adjusts_more(p_values: list[float | None]) -> None:
    rows = zip(p_values, benjamini_hochberg(p_values), holm(p_values), bonferroni(p_values), strict=True)
    for row in rows:
        if row[0] is not None:
            assert all(low <= high + 1e-12 for low, high in itertools.pairwise(row))
            assert row[-1] <= 1
