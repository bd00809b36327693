"""The ratio of session totals: against the vectors, under invariances, and where there is nothing to divide."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analytics.experiments.statistics import (
    Interval,
    RatioSums,
    critical_value,
    estimate_interval,
    estimate_ratio,
    estimate_ratio_small_sample,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "a_llm_ab" / "main.json").read_text())
METRICS = VECTORS["metrics"]
VARIANTS = ("control", "treatment")
WELL_BEHAVED = st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 60)), min_size=3, max_size=40)


def sums_of_moments(moments: dict[str, Any]) -> RatioSums:
    return RatioSums(*(moments[name] for name in ("k", "sx", "sxx", "sn", "snn", "sxn")))


def arrays(sessions: list[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = np.array(sessions, dtype=np.float64)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("metric", METRICS)
def test_value_and_variance_are_those_of_the_vectors(metric: str, variant: str) -> None:
    estimate = estimate_ratio(sums_of_moments(METRICS[metric]["moments"][variant]))

    assert estimate.status == "ok"
    assert estimate.value == pytest.approx(METRICS[metric]["estimate"][variant], rel=1e-12)
    assert estimate.variance == pytest.approx(METRICS[metric]["var_of_estimate"][variant], rel=1e-8)
    assert estimate.degrees_of_freedom == METRICS[metric]["moments"][variant]["k"] - 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("latency_ms.mean_per_call", "latency_ms"),
        ("ttft_ms.mean_per_call", "ttft_ms"),
        ("cost_usd.per_call", "cost_usd"),
        ("error_rate.per_call", "error"),
    ],
)
def test_sums_over_the_calls_give_the_moments_of_the_vectors(
    metric: str, column: str, variant: str, calls: dict[tuple[str, str], list[NDArray[np.float64]]]
) -> None:
    sessions = calls[column, variant]

    sums = RatioSums.from_sessions(
        np.array([session.sum() for session in sessions]), np.array([float(len(session)) for session in sessions])
    )

    expected = sums_of_moments(METRICS[metric]["moments"][variant])
    assert sums.sessions == expected.sessions
    for name in ("x", "xx", "n", "nn", "xn"):
        assert getattr(sums, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_the_variances_are_those_of_a_regression_clustered_by_session() -> None:
    moments = METRICS["latency_ms.mean_per_call"]["moments"]

    variances = [
        (estimate_ratio(sums_of_moments(moments[variant])).variance or 0.0) * (1 - 1 / moments[variant]["k"])
        for variant in VARIANTS
    ]

    assert math.sqrt(sum(variances)) == pytest.approx(VECTORS["latency_cluster_ols"]["se_CR0"], rel=1e-8)


def test_a_variants_interval_is_its_value_and_c_standard_errors() -> None:
    estimate = estimate_ratio(RatioSums.for_mean(4, 20.0, 112.0))

    found = estimate_interval(estimate, 2.0)

    standard_error = math.sqrt(4 / 4)
    assert estimate.standard_error == pytest.approx(standard_error)
    assert found == Interval(5 - 2 * standard_error, 5 + 2 * standard_error)


@pytest.mark.parametrize(
    ("sums", "status"),
    [
        (RatioSums.empty(), "no_data"),
        (RatioSums(3, 0.0, 0.0, 0.0, 0.0, 0.0), "no_data"),
        (RatioSums(1, 7.0, 49.0, 2.0, 4.0, 14.0), "insufficient_data"),
        (RatioSums(9, 7.0, 49.0, 2.0, 4.0, 14.0), "insufficient_data"),  # one of nine sessions has calls
        (RatioSums.for_mean(5, 10.0, 20.0), "zero_variance"),
        (RatioSums.for_mean(2, math.inf, math.inf), "no_data"),
        (RatioSums.for_mean(2, 1e200, math.inf), "insufficient_data"),
        (RatioSums.for_mean(2, math.nan, math.nan), "no_data"),
    ],
)
def test_what_cannot_be_told_is_none_with_a_status(sums: RatioSums, status: str) -> None:
    estimate = estimate_ratio(sums)

    assert estimate.status == status
    assert (estimate.value is None) == (status == "no_data")
    assert estimate.variance == (0.0 if status == "zero_variance" else None)
    assert estimate_interval(estimate, 1.96) is None


@pytest.mark.parametrize("sessions", [2, 10, 1000, 100_000])
@pytest.mark.parametrize("value", [0.1, 1234.567, -3.3e-7, 1.7e12])
def test_equal_sessions_have_no_variance_though_their_sums_are_rounded(value: float, sessions: int) -> None:
    x = [value] * sessions

    sums = RatioSums.for_mean(sessions, sum(x), sum(item * item for item in x))

    assert estimate_ratio(sums).status == "zero_variance"


def test_sums_that_contradict_each_other_give_no_negative_variance() -> None:
    assert estimate_ratio(RatioSums.for_mean(4, 20.0, 99.0)).variance == 0.0


@pytest.mark.parametrize(("spread", "relative_error"), [(1000.0, 1e-12), (1.0, 1e-9), (0.01, 1e-5)])
def test_precision_falls_with_the_square_of_the_mean_over_the_spread(spread: float, relative_error: float) -> None:
    x = 1000.0 + spread * np.random.default_rng(1).standard_normal(10_000)

    estimate = estimate_ratio(RatioSums.from_sessions(x, np.ones_like(x)))

    exact = [Fraction(item) for item in x.tolist()]
    mean = sum(exact) / len(exact)
    variance = sum((item - mean) ** 2 for item in exact) / (len(exact) - 1) / len(exact)
    assert estimate.variance == pytest.approx(float(variance), rel=relative_error)


@given(WELL_BEHAVED, st.integers(-20, 20))
def test_scaling_x_scales_the_estimate(sessions: list[tuple[int, int]], exponent: int) -> None:
    x, n = arrays(sessions)
    factor = 2.0**exponent

    plain = estimate_ratio(RatioSums.from_sessions(x, n))
    scaled = estimate_ratio(RatioSums.from_sessions(factor * x, n))

    assert scaled.status == plain.status
    assert scaled.value == pytest.approx((plain.value or 0.0) * factor)
    assert scaled.variance == pytest.approx((plain.variance or 0.0) * factor**2)


@given(WELL_BEHAVED, st.integers(-500, 500))
def test_adding_a_constant_to_each_call_moves_the_value_and_keeps_the_variance(
    sessions: list[tuple[int, int]], constant: int
) -> None:
    x, n = arrays(sessions)

    plain = estimate_ratio(RatioSums.from_sessions(x, n))
    shifted = estimate_ratio(RatioSums.from_sessions(x + constant * n, n))

    assert shifted.status == plain.status
    assert shifted.value == pytest.approx((plain.value or 0.0) + constant)
    assert shifted.variance == pytest.approx(plain.variance, rel=1e-8)


@given(WELL_BEHAVED)
def test_the_variance_is_the_one_of_the_three_covariances(sessions: list[tuple[int, int]]) -> None:
    x, n = arrays(sessions)
    covariance = np.cov(x, n)
    value = x.sum() / n.sum()
    by_definition = (covariance[0, 0] - 2 * value * covariance[0, 1] + value**2 * covariance[1, 1]) / (
        len(x) * n.mean() ** 2
    )

    estimate = estimate_ratio(RatioSums.from_sessions(x, n))

    assert estimate.variance == pytest.approx(by_definition, rel=1e-8, abs=1e-9)


@given(st.tuples(st.integers(0, 10**9), *[st.floats() for _ in range(5)]))
def test_no_sums_whatever_give_nan_or_an_error(numbers: tuple[Any, ...]) -> None:
    estimate = estimate_ratio(RatioSums(*numbers))

    assert estimate.value is None or math.isfinite(estimate.value)
    assert estimate.variance is None or 0 <= estimate.variance < math.inf


@given(WELL_BEHAVED, st.integers(1, 9))
def test_for_sessions_of_equal_size_the_small_sample_variance_is_the_usual_one(
    sessions: list[tuple[int, int]], size: int
) -> None:
    x, n = arrays([(total, size) for total, _ in sessions])

    small, usual = estimate_ratio_small_sample(x, n), estimate_ratio(RatioSums.from_sessions(x, n))

    assert small.status == usual.status
    assert small.variance == pytest.approx(usual.variance, rel=1e-9)
    assert small.degrees_of_freedom == pytest.approx(usual.degrees_of_freedom)


def test_the_small_sample_variance_weighs_a_large_session_up() -> None:
    x, n = np.array([2.0, 3.0, 30.0]), np.array([1.0, 1.0, 8.0])

    estimate = estimate_ratio_small_sample(x, n)

    assert estimate.value == pytest.approx(3.5)
    assert estimate.variance == pytest.approx((1.5**2 / 0.9 + 0.5**2 / 0.9 + 2.0**2 / 0.2) / 100)
    assert estimate.degrees_of_freedom == pytest.approx(100 / 66 - 1)


@pytest.mark.parametrize(
    ("x", "n", "status"),
    [
        ([], [], "no_data"),
        ([1.0, 2.0], [0.0, 0.0], "no_data"),
        ([4.0], [2.0], "insufficient_data"),
        ([4.0, 0.0], [2.0, 0.0], "insufficient_data"),
        ([0.1, 0.3, 0.7], [1.0, 3.0, 7.0], "zero_variance"),
        ([math.nan, 1.0], [1.0, 1.0], "no_data"),
    ],
)
def test_a_small_sample_that_tells_nothing_says_so(x: list[float], n: list[float], status: str) -> None:
    assert estimate_ratio_small_sample(np.array(x), np.array(n)).status == status


def coverage(
    estimator: Callable[[NDArray[np.float64], NDArray[np.float64]], Any], *, sessions: int, rounds: int
) -> float:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(rounds):
        n = 1 + rng.poisson(rng.exponential(6.0, sessions)).astype(np.float64)
        x = n * (10.0 + rng.standard_normal(sessions)) + np.sqrt(n) * rng.standard_normal(sessions)
        estimate = estimator(x, n)
        bounds = estimate_interval(estimate, critical_value(0.05, estimate.degrees_of_freedom))
        covered += bounds is not None and not bounds.excludes(10.0)
    return covered / rounds


def test_with_eight_unequal_sessions_the_small_sample_interval_covers_and_the_usual_one_does_not() -> None:
    small = coverage(estimate_ratio_small_sample, sessions=8, rounds=2000)
    usual = coverage(lambda x, n: estimate_ratio(RatioSums.from_sessions(x, n)), sessions=8, rounds=2000)

    assert 0.935 < small < 0.975
    assert usual < 0.93


def test_few_sessions_of_unequal_size_have_the_degrees_of_freedom_of_those_that_weigh() -> None:
    few = RatioSums.from_sessions(np.arange(50.0), np.append(np.ones(49), 51.0))
    many = RatioSums.from_sessions(np.arange(100.0), np.append(np.ones(99), 101.0))

    assert estimate_ratio(few).degrees_of_freedom == pytest.approx(100**2 / (49 + 51**2) - 1)
    assert estimate_ratio(many).degrees_of_freedom == 99
