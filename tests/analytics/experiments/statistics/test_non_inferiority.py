"""Guardrails: against the vectors, and what each verdict needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from vector_moments import FOLDER, variants

from analytics.experiments.statistics import Estimate, non_inferiority

CASES: dict[str, Any] = json.loads((FOLDER / "b_multi_arm" / "noninferiority_mde.json").read_text())["noninferiority"]
VALUES = st.floats(-1e3, 1e3).filter(lambda value: abs(value) > 1e-3)
ESTIMATES = st.builds(Estimate.of, VALUES, st.floats(1e-3, 1e3), st.floats(1, 1e4))


@pytest.mark.parametrize("name", CASES)
def test_tests_and_verdicts_are_those_of_the_vectors(name: str) -> None:
    expected = CASES[name]

    found = non_inferiority(*variants(name.split("@")[0]), expected["margin_rel"], lower_is_better=True)

    # Theirs counts from the limit upwards, where lower is better.
    assert found.statistic == pytest.approx(-expected["t"], rel=1e-8)
    assert found.degrees_of_freedom == pytest.approx(expected["df"], rel=1e-8)
    assert found.p_value == pytest.approx(expected["p_noninferior"], rel=1e-8)
    assert found.harm_p_value == pytest.approx(expected["p_harm_one_sided"], rel=1e-8)
    assert found.verdict(0.05) == expected["verdict"]


@given(ESTIMATES, ESTIMATES, st.floats(0, 0.9))
def test_turning_sign_and_direction_changes_nothing(control: Estimate, treatment: Estimate, margin: float) -> None:
    def turned(estimate: Estimate) -> Estimate:
        return Estimate.of(-(estimate.value or 0.0), estimate.variance, estimate.degrees_of_freedom)

    plain = non_inferiority(control, treatment, margin, lower_is_better=True)
    other = non_inferiority(turned(control), turned(treatment), margin, lower_is_better=False)

    assert (other.p_value, other.harm_p_value) == pytest.approx((plain.p_value, plain.harm_p_value))


@given(ESTIMATES, ESTIMATES, st.booleans())
def test_without_a_margin_either_it_is_better_or_harm(control: Estimate, treatment: Estimate, lower: bool) -> None:
    found = non_inferiority(control, treatment, 0.0, lower_is_better=lower)
    assume(found.p_value is not None and found.harm_p_value is not None)

    assert (found.p_value or 0.0) + (found.harm_p_value or 0.0) == pytest.approx(1)


def test_a_treatment_within_the_margin_passes_though_it_is_worse() -> None:
    found = non_inferiority(Estimate.of(1.0, 1e-6, 1e4), Estimate.of(1.05, 1e-6, 1e4), 0.1, lower_is_better=True)

    assert found.harm_p_value is not None
    assert found.harm_p_value < 0.001
    assert found.verdict(0.05) == "pass"


def test_where_more_is_better_a_fall_beyond_the_margin_fails() -> None:
    found = non_inferiority(Estimate.of(1.0, 1e-6, 1e4), Estimate.of(0.8, 1e-6, 1e4), 0.1, lower_is_better=False)

    assert found.verdict(0.05) == "fail"


def test_without_variance_nothing_is_concluded() -> None:
    found = non_inferiority(Estimate.of(0.0, 0.0, 9), Estimate.of(0.0, 0.0, 9), 0.1, lower_is_better=True)

    assert (found.statistic, found.p_value, found.harm_p_value) == (None, None, None)
    assert found.verdict(0.05) == "inconclusive"
