"""Difference and lift of two variants: against the vectors, their symmetries, and their agreement with each other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.experiments.statistics import (
    Estimate,
    RatioSums,
    critical_value,
    difference_interval,
    estimate_difference,
    estimate_lift,
    estimate_ratio,
)

FOLDER = Path(__file__).parent / "vectors" / "a_llm_ab"
METRICS = json.loads((FOLDER / "main.json").read_text())["metrics"]
GBSTATS = json.loads((FOLDER / "gbstats_080.json").read_text())["results"]

VALUES = st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-6)
ESTIMATES = st.builds(Estimate.of, VALUES, st.floats(1e-9, 1e9), st.floats(1, 1e6))
POSITIVE = st.builds(Estimate.of, st.floats(1, 1e6), st.floats(1e-9, 1e9), st.floats(1, 1e6))
CRITICAL_VALUES = st.floats(0.5, 20)


def variants(metric: str) -> tuple[Estimate, Estimate]:
    moments: dict[str, dict[str, Any]] = METRICS[metric]["moments"]
    names = ("k", "sx", "sxx", "sn", "snn", "sxn")
    control, treatment = (
        estimate_ratio(RatioSums(*(moments[arm][name] for name in names))) for arm in ("control", "treatment")
    )
    return control, treatment


def bounds(found: Any) -> list[float]:
    return [found.lower, found.upper]


@pytest.mark.parametrize("metric", METRICS)
def test_difference_and_test_are_those_of_the_vectors(metric: str) -> None:
    expected = METRICS[metric]["abs"]

    difference = estimate_difference(*variants(metric))

    assert difference.status == "ok"
    assert difference.estimate == pytest.approx(expected["diff"], rel=1e-8)
    assert difference.standard_error == pytest.approx(expected["se"], rel=1e-8)
    assert difference.degrees_of_freedom == pytest.approx(expected["df"], rel=1e-8)
    assert difference.statistic == pytest.approx(expected["t"], rel=1e-8)
    assert difference.p_value == pytest.approx(expected["p"], rel=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_fixed_horizon_intervals_are_those_of_the_vectors(metric: str) -> None:
    control, treatment = variants(metric)
    difference = estimate_difference(control, treatment)
    c = critical_value(0.05, difference.degrees_of_freedom)

    lift = estimate_lift(control, treatment, c)

    assert bounds(difference_interval(difference, c)) == pytest.approx(METRICS[metric]["abs"]["ci"], rel=1e-8)
    assert lift.estimate == pytest.approx(METRICS[metric]["rel"]["lift"], rel=1e-8)
    assert bounds(lift.interval) == pytest.approx(METRICS[metric]["rel"]["fieller_ci_t"], rel=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_with_the_critical_value_of_a_confidence_sequence_the_intervals_are_its(metric: str) -> None:
    control, treatment = variants(metric)
    expected = METRICS[metric]["sequential"]
    c = expected["multiplier"]

    interval = difference_interval(estimate_difference(control, treatment), c)
    lift = estimate_lift(control, treatment, c)

    assert bounds(interval) == pytest.approx(expected["ci_abs"], rel=1e-8)
    assert bounds(lift.interval) == pytest.approx(expected["fieller_ci_rel"], rel=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_gbstats_finds_the_same_absolute_difference(metric: str) -> None:
    expected = GBSTATS[metric]["ttest_absolute"]
    difference = estimate_difference(*(as_in_gbstats(metric, variant) for variant in variants(metric)))

    interval = difference_interval(difference, critical_value(0.05, difference.degrees_of_freedom))

    assert difference.estimate == pytest.approx(expected["expected"], rel=1e-8)
    assert bounds(interval) == pytest.approx(expected["ci"], rel=1e-8)
    # gbstats takes p from 1 − CDF, which has no digits below 1e-16.
    assert difference.p_value == pytest.approx(expected["pValue"], rel=1e-8, abs=1e-15)


def as_in_gbstats(metric: str, estimate: Estimate) -> Estimate:
    """Return the estimate with the divisor K where gbstats has it: for proportions, elsewhere it has K − 1."""
    if metric not in ("conversion.rate", "user_satisfaction.response_rate"):
        return estimate
    sessions = estimate.degrees_of_freedom + 1
    return Estimate.of(estimate.value, (estimate.variance or 0.0) * (1 - 1 / sessions), sessions - 1)


@given(ESTIMATES, ESTIMATES)
def test_swapping_the_variants_turns_the_difference_and_keeps_its_p_value(first: Estimate, second: Estimate) -> None:
    forward, backward = estimate_difference(first, second), estimate_difference(second, first)

    assert backward.estimate == -(forward.estimate or 0.0)
    assert backward.standard_error == forward.standard_error
    assert backward.p_value == pytest.approx(forward.p_value, rel=1e-9)


@given(POSITIVE, POSITIVE, CRITICAL_VALUES)
def test_swapping_the_variants_turns_the_ends_of_the_ratio_into_their_inverses(
    first: Estimate, second: Estimate, c: float
) -> None:
    forward = estimate_lift(first, second, c).interval
    backward = estimate_lift(second, first, c).interval
    assume(forward is not None and backward is not None)

    assert forward is not None
    assert backward is not None
    assert (1 + forward.lower) * (1 + backward.upper) == pytest.approx(1, rel=1e-5)
    assert (1 + forward.upper) * (1 + backward.lower) == pytest.approx(1, rel=1e-5)


@given(ESTIMATES, ESTIMATES, CRITICAL_VALUES)
def test_the_lift_excludes_zero_exactly_when_the_absolute_test_rejects(
    control: Estimate, treatment: Estimate, c: float
) -> None:
    difference = estimate_difference(control, treatment)
    interval = estimate_lift(control, treatment, c).interval
    assume(interval is not None and difference.statistic is not None)
    assume(abs(abs(difference.statistic or 0.0) - c) > 1e-6 * c)

    assert interval is not None
    assert interval.excludes(0.0) == (abs(difference.statistic or 0.0) > c)


@given(ESTIMATES, ESTIMATES, CRITICAL_VALUES)
def test_a_lift_has_an_interval_exactly_when_the_control_is_told_from_zero(
    control: Estimate, treatment: Estimate, c: float
) -> None:
    told = abs(control.value or 0.0) / (control.standard_error or 1.0)
    assume(abs(told - c) > 1e-6 * c)

    assert (estimate_lift(control, treatment, c).interval is not None) == (told > c)


@given(ESTIMATES, ESTIMATES, st.integers(-20, 20), CRITICAL_VALUES)
def test_a_change_of_unit_scales_the_difference_and_keeps_the_lift(
    control: Estimate, treatment: Estimate, exponent: int, c: float
) -> None:
    factor = 2.0**exponent

    def scaled(estimate: Estimate) -> Estimate:
        return Estimate.of(
            (estimate.value or 0) * factor, (estimate.variance or 0) * factor**2, estimate.degrees_of_freedom
        )

    plain, other = (
        estimate_difference(control, treatment),
        estimate_difference(scaled(control), scaled(treatment)),
    )

    assert other.estimate == (plain.estimate or 0.0) * factor
    assert other.p_value == pytest.approx(plain.p_value, rel=1e-9)
    assert estimate_lift(scaled(control), scaled(treatment), c) == estimate_lift(control, treatment, c)


@given(ESTIMATES, ESTIMATES, CRITICAL_VALUES)
def test_turning_all_signs_turns_the_lift(control: Estimate, treatment: Estimate, c: float) -> None:
    def turned(estimate: Estimate) -> Estimate:
        return Estimate.of(-(estimate.value or 0.0), estimate.variance, estimate.degrees_of_freedom)

    plain, other = estimate_lift(control, treatment, c), estimate_lift(turned(control), turned(treatment), c)

    assert other.estimate == -(plain.estimate or 0.0)
    assert (other.interval is None) == (plain.interval is None)
    if plain.interval is not None:
        assert bounds(other.interval) == [-plain.interval.upper, -plain.interval.lower]


def test_the_ends_of_a_lift_are_the_ratios_that_the_test_just_does_not_reject() -> None:
    control, treatment, c = Estimate.of(-10.0, 1.0, 50), Estimate.of(-12.0, 4.0, 60), 2.5

    lift = estimate_lift(control, treatment, c)

    assert lift.estimate == pytest.approx(-0.2)
    for end in bounds(lift.interval):
        ratio = 1 - end
        assert abs(-12 + 10 * ratio) == pytest.approx(c * math.sqrt(4 + ratio**2))


@pytest.mark.parametrize(
    ("control", "treatment", "status"),
    [
        (Estimate.of(None, None), Estimate.of(1.0, 1.0, 9), "no_data"),
        (Estimate.of(1.0, 1.0, 9), Estimate.of(None, None), "no_data"),
        (Estimate.of(1.0, None), Estimate.of(2.0, 1.0, 9), "insufficient_data"),
        (Estimate.of(1.0, 0.0, 9), Estimate.of(2.0, 0.0, 9), "zero_variance"),
    ],
)
def test_what_cannot_be_compared_has_a_status_and_no_interval(
    control: Estimate, treatment: Estimate, status: str
) -> None:
    difference = estimate_difference(control, treatment)

    assert difference.status == status
    assert difference.p_value is None
    assert difference_interval(difference, 1.96) is None
    assert estimate_lift(control, treatment, 1.96).interval is None


def test_one_variant_without_variance_is_compared_all_the_same() -> None:
    difference = estimate_difference(Estimate.of(1.0, 0.0, 9), Estimate.of(2.0, 0.25, 19))

    assert difference.status == "ok"
    assert difference.statistic == 2.0
    assert difference.degrees_of_freedom == 19


def test_a_control_of_zero_has_a_difference_but_no_lift() -> None:
    control, treatment = Estimate.of(0.0, 0.0, 9), Estimate.of(0.02, 1e-4, 9)

    assert estimate_difference(control, treatment).status == "ok"
    assert estimate_lift(control, treatment, 1.96).estimate is None


def test_variances_too_small_to_square_still_have_degrees_of_freedom() -> None:
    difference = estimate_difference(Estimate.of(1e-150, 1e-300, 10), Estimate.of(2e-150, 1e-300, 10))

    assert difference.degrees_of_freedom == pytest.approx(20)


@given(*[st.builds(Estimate.of, st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e308))] * 2)
def test_no_finite_estimates_give_nan_or_an_error(control: Estimate, treatment: Estimate) -> None:
    difference, lift = estimate_difference(control, treatment), estimate_lift(control, treatment, 3.0)

    figures = (difference.estimate, difference.standard_error, difference.statistic, difference.p_value, lift.estimate)
    assert not any(figure is not None and math.isnan(figure) for figure in figures)
    for interval in (difference_interval(difference, 3.0), lift.interval):
        assert interval is None or -math.inf < interval.lower <= interval.upper < math.inf
