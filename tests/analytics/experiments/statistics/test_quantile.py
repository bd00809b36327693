"""Clustered quantiles: the whole way from calls to the comparison, against the vectors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analytics.experiments.statistics import (
    Estimate,
    QuantileBounds,
    RatioSums,
    Status,
    critical_value,
    difference_interval,
    estimate_difference,
    estimate_lift,
    estimate_quantile,
    quantile_bounds,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "a_llm_ab" / "main.json").read_text())["quantiles"]
NORMAL = critical_value(0.05)

Sessions = list[NDArray[np.float64]]
Calls = dict[tuple[str, str], Sessions]


def inverted_cdf(sessions: Sessions, probability: float) -> float:
    return float(np.quantile(np.concatenate(sessions), probability, method="inverted_cdf"))


def sums_at(sessions: Sessions, value: float) -> RatioSums:
    below = [float(np.sum(session <= value)) for session in sessions]
    return RatioSums.from_sessions(np.array(below), np.array([float(len(session)) for session in sessions]))


def analysed(sessions: Sessions, probability: float, c: float) -> tuple[QuantileBounds, Estimate]:
    value = inverted_cdf(sessions, probability)
    bounds = quantile_bounds(sums_at(sessions, value), probability, c)
    lower, upper = (None if end is None else inverted_cdf(sessions, end) for end in (bounds.lower, bounds.upper))
    return bounds, estimate_quantile(value, lower, upper, c)


def column_and_probability(name: str) -> tuple[str, float]:
    column, percentile = name.split(".p")
    return column, int(percentile) / 100


def compared(name: str, calls: Calls, c: float) -> tuple[Estimate, Estimate]:
    column, probability = column_and_probability(name)
    control, treatment = (analysed(calls[column, arm], probability, c)[1] for arm in ("control", "treatment"))
    return control, treatment


@pytest.mark.parametrize("variant", ["control", "treatment"])
@pytest.mark.parametrize("name", VECTORS)
def test_a_variants_quantile_is_that_of_the_vectors(name: str, variant: str, calls: Calls) -> None:
    column, probability = column_and_probability(name)
    sessions, expected = calls[column, variant], VECTORS[name]["arms"][variant]

    bounds, estimate = analysed(sessions, probability, NORMAL)

    assert bounds.standard_error == pytest.approx(expected["sigma"], rel=1e-8)
    assert bounds.effective_observations == pytest.approx(expected["n_eff"], rel=1e-8)
    assert inverted_cdf(sessions, bounds.lower or 0.0) == expected["lo"]
    assert inverted_cdf(sessions, bounds.upper or 0.0) == expected["hi"]
    assert estimate.value == expected["q"]
    assert estimate.standard_error == pytest.approx(expected["se"], rel=1e-8)


@pytest.mark.parametrize("variant", ["control", "treatment"])
@pytest.mark.parametrize("name", VECTORS)
def test_the_sums_of_the_vectors_give_the_same_bounds(name: str, variant: str) -> None:
    expected = VECTORS[name]["arms"][variant]
    sums = RatioSums(*(expected["gb"][key] for key in ("k", "sx", "sxx", "sn", "snn", "sxn")))

    bounds = quantile_bounds(sums, column_and_probability(name)[1], NORMAL)

    assert sums.x / sums.n == pytest.approx(expected["f"], rel=1e-12)
    assert bounds.standard_error == pytest.approx(expected["sigma"], rel=1e-8)


@pytest.mark.parametrize("name", VECTORS)
def test_difference_and_lift_of_quantiles_are_those_of_the_vectors(name: str, calls: Calls) -> None:
    control, treatment = compared(name, calls, NORMAL)
    expected = VECTORS[name]["effect"]

    difference = estimate_difference(control, treatment)
    interval = difference_interval(difference, NORMAL)
    lift = estimate_lift(control, treatment, NORMAL)

    assert difference.estimate == pytest.approx(expected["diff"], rel=1e-8)
    assert difference.standard_error == pytest.approx(expected["se"], rel=1e-8)
    assert difference.p_value == pytest.approx(expected["p"], rel=1e-8)
    assert interval is not None
    assert [interval.lower, interval.upper] == pytest.approx(expected["ci_z"], rel=1e-8)
    assert lift.estimate == pytest.approx(expected["rel"], rel=1e-8)
    assert lift.interval is not None
    assert [lift.interval.lower, lift.interval.upper] == pytest.approx(expected["rel_fieller_ci_z"], rel=1e-8)


@pytest.mark.parametrize("name", VECTORS)
def test_a_wider_critical_value_looks_further_out_or_says_it_cannot(name: str, calls: Calls) -> None:
    expected = VECTORS[name]["effect"]["sequential"]
    c = expected["multiplier"]

    difference = estimate_difference(*compared(name, calls, c))
    interval = difference_interval(difference, c)

    if expected["ci"] is None:
        assert difference.status == "insufficient_data"
        assert interval is None
    else:
        assert interval is not None
        assert [interval.lower, interval.upper] == pytest.approx(expected["ci"], rel=1e-8)


# Not p99: there the vectors' own standard errors, which are met exactly above, are 12 % and 29 % over the bootstrap's.
# Of some 1500 effective calls 15 lie beyond it, and the chord (q_U − q_L)/2c spans a tail that is far from straight.
@pytest.mark.parametrize("name", [name for name in VECTORS if not name.endswith("p99")])
def test_the_standard_error_is_near_that_of_a_bootstrap_of_sessions(name: str, calls: Calls) -> None:
    difference = estimate_difference(*compared(name, calls, NORMAL))

    assert difference.standard_error == pytest.approx(VECTORS[name]["effect"]["bootstrap_se"], rel=0.10)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), min_size=2, max_size=40),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
    st.floats(1, 5),
)
def test_a_quantile_is_estimable_exactly_when_enough_observations_are_effective(
    sessions: list[tuple[int, int]], probability: float, c: float
) -> None:
    below = np.array([float(below) for below, _ in sessions])
    bounds = quantile_bounds(
        RatioSums.from_sessions(below, below + np.array([float(above) for _, above in sessions])), probability, c
    )

    needed = c * c * probability / (1 - probability)
    effective = bounds.effective_observations
    if effective is not None and not math.isclose(effective, needed, rel_tol=1e-6):
        assert (bounds.status == "ok") == (effective > needed)


def test_a_low_quantile_is_not_estimable_where_its_lower_end_leaves_the_range() -> None:
    sessions = [np.array([1.0]), np.array([2.0, 3.0]), *[np.array([float(i)]) for i in range(4, 20)]]

    bounds, estimate = analysed(sessions, 0.05, NORMAL)

    assert bounds.status == "insufficient_data"
    assert bounds.lower is None
    assert estimate.status == "insufficient_data"
    assert estimate.value == 1.0


def test_the_largest_of_a_few_calls_is_not_taken_for_a_certain_quantile() -> None:
    sessions = [np.array([float(i)]) for i in range(10)]

    bounds, estimate = analysed(sessions, 0.95, NORMAL)

    assert bounds.standard_error == pytest.approx(math.sqrt(0.95 * 0.05 / 10))
    assert estimate == Estimate.of(9.0, None)


def test_calls_all_alike_have_no_variance() -> None:
    _, estimate = analysed([np.full(3, 8.0)] * 100, 0.95, NORMAL)

    assert estimate.status == "zero_variance"


@pytest.mark.parametrize(
    ("sums", "status"),
    [
        (RatioSums.empty(), "no_data"),
        (RatioSums(5, 0.0, 0.0, 0.0, 0.0, 0.0), "no_data"),
        (RatioSums(1, 5.0, 25.0, 10.0, 100.0, 50.0), "insufficient_data"),
    ],
)
def test_too_few_sessions_have_no_bounds(sums: RatioSums, status: Status) -> None:
    assert quantile_bounds(sums, 0.5, NORMAL) == QuantileBounds(status, None, None, None, None)


def test_no_value_is_no_data() -> None:
    assert estimate_quantile(None, None, None, NORMAL) == Estimate.of(None, None)
