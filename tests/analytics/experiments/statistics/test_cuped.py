"""CUPED: against the vectors, and what an adjustment may and may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_moments import MAIN

from analytics.experiments.statistics import (
    Adjustment,
    CovariateSums,
    RatioSums,
    adjust_by_covariate,
    arm_weights,
    estimate_difference,
    estimate_ratio,
    estimate_stratified_ratio,
)

VECTOR = MAIN["cuped_latency_session_mean"]
SESSIONS = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(1, 50), st.integers(-100, 100)), min_size=3, max_size=30
)
Pair = tuple[RatioSums, CovariateSums]


def vector_arms() -> list[list[Pair]]:
    return [
        [
            (
                RatioSums.for_mean(arm["n"], arm["sx"], arm["sxx"]),
                CovariateSums.for_mean(arm["n"], arm["sp"], arm["spp"], arm["sxp"]),
            )
        ]
        for arm in VECTOR["moments"].values()
    ]


def sums_of(sessions: list[tuple[int, int, int]]) -> Pair:
    x, n, p = np.array(sessions, dtype=np.float64).T
    return RatioSums.from_sessions(x, n), CovariateSums.from_sessions(x, n, p)


def adjusted(*arms: list[Pair], centre: float | None = None) -> Adjustment:
    found = adjust_by_covariate(arms, centre=centre)
    assert found is not None
    return found


def test_the_adjusted_comparison_is_that_of_the_vectors() -> None:
    found = adjusted(*vector_arms(), centre=0.0)
    estimates = [estimate_ratio(sums) for (sums,) in found.arms]
    difference = estimate_difference(*estimates)

    assert found.theta == pytest.approx(VECTOR["theta_pooled"], rel=1e-8)
    assert [each.value for each in estimates] == pytest.approx(list(VECTOR["adjusted_means"].values()), rel=1e-8)
    assert difference.standard_error == pytest.approx(VECTOR["abs"]["se"], rel=1e-8)
    assert difference.degrees_of_freedom == pytest.approx(VECTOR["abs"]["df"], rel=1e-8)
    assert difference.p_value == pytest.approx(VECTOR["abs"]["p"], rel=1e-8)


def test_moved_to_the_mean_of_the_covariate_the_figures_are_those_of_tea_tasting() -> None:
    found = adjusted(*vector_arms())

    expected = [VECTOR["tea_tasting"][arm] for arm in ("control", "treatment")]
    assert [estimate_ratio(sums).value for (sums,) in found.arms] == pytest.approx(expected, rel=1e-8)


def test_of_a_ratio_the_adjusted_sums_are_those_of_the_adjusted_sessions() -> None:
    rng = np.random.default_rng(3)
    p, n = rng.normal(5, 2, (2, 80)), rng.integers(1, 9, (2, 80)).astype(np.float64)
    x = n * (3 + 0.5 * p + rng.normal(0, 1, (2, 80)))
    arms = [
        [(RatioSums.from_sessions(x[arm], n[arm]), CovariateSums.from_sessions(x[arm], n[arm], p[arm]))]
        for arm in range(2)
    ]

    found = adjusted(*arms)

    y = x - x.sum() / n.sum() * n
    theta = float(np.cov(y.ravel(), p.ravel())[0, 1] / p.var(ddof=1))
    assert found.theta == pytest.approx(theta, rel=1e-9)
    for arm, (sums,) in enumerate(found.arms):
        wanted = RatioSums.from_sessions(x[arm] - theta * (p[arm] - p.mean()), n[arm])
        assert estimate_ratio(sums).value == pytest.approx(estimate_ratio(wanted).value, rel=1e-9)
        variance, plain = estimate_ratio(sums).variance, estimate_ratio(arms[arm][0][0]).variance
        assert variance == pytest.approx(estimate_ratio(wanted).variance, rel=1e-9)
        assert variance is not None
        assert plain is not None
        assert variance < 0.8 * plain


def test_over_epochs_each_is_moved_to_its_own_mean_by_the_slope_within_them() -> None:
    rng = np.random.default_rng(5)
    sizes = ((60, 40), (25, 90))
    # The covariate rises from epoch to epoch, and the figure falls: pooled, the slope would have the wrong sign.
    p = [[rng.normal(10 * epoch, 2, size) for epoch, size in enumerate(arm)] for arm in sizes]
    x = [[0.7 * of - 20 * epoch + rng.normal(0, 1, len(of)) for epoch, of in enumerate(arm)] for arm in p]
    ones = [[np.ones(size) for size in arm] for arm in sizes]
    arms = [
        [
            (RatioSums.from_sessions(*each[:2]), CovariateSums.from_sessions(*each))
            for each in zip(x[arm], ones[arm], p[arm], strict=True)
        ]
        for arm in range(2)
    ]

    found = adjusted(*arms)

    means = [np.concatenate([p[arm][epoch] for arm in range(2)]).mean() for epoch in range(2)]
    within = [np.concatenate([x[arm][epoch] for arm in range(2)]) for epoch in range(2)]
    centred = [np.concatenate([p[arm][epoch] for arm in range(2)]) - means[epoch] for epoch in range(2)]
    theta = sum(float(q @ y) for q, y in zip(centred, within, strict=True)) / sum(float(q @ q) for q in centred)
    assert found.theta == pytest.approx(theta, rel=1e-9)
    assert found.theta > 0.5
    assert found.centres == pytest.approx(means, rel=1e-9)
    weights = arm_weights(sizes, 0)
    for arm in range(2):
        moved = [x[arm][epoch] - theta * (p[arm][epoch] - means[epoch]) for epoch in range(2)]
        estimate = estimate_stratified_ratio(found.arms[arm], weights[arm])
        wanted = sum(w * each.mean() for w, each in zip(weights[arm], moved, strict=True))
        variance = sum(w * w * each.var(ddof=1) / len(each) for w, each in zip(weights[arm], moved, strict=True))
        assert estimate.value == pytest.approx(wanted, rel=1e-9)
        assert estimate.variance == pytest.approx(variance, rel=1e-9)


@given(SESSIONS, SESSIONS, st.integers(-100, 100))
def test_where_the_covariate_starts_counting_does_not_matter(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]], start: int
) -> None:
    plain, moved = (
        adjust_by_covariate([[sums_of(arm)] for arm in arms])
        for arms in (
            (first, second),
            [[(x, n, p + start) for x, n, p in arm] for arm in (first, second)],
        )
    )

    assert (plain is None) == (moved is None)
    if plain is not None and moved is not None:
        for (one,), (other,) in zip(plain.arms, moved.arms, strict=True):
            for name in ("x", "xx", "n", "nn", "xn"):
                assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6, abs=1e-6)


@given(SESSIONS, SESSIONS)
def test_adding_the_parts_gives_the_whole(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    assert sums_of(first)[1] + sums_of(second)[1] == sums_of(first + second)[1]


def test_a_covariate_without_variance_adjusts_nothing() -> None:
    pair = sums_of([(1, 1, 7), (2, 1, 7), (4, 1, 7)])

    assert adjust_by_covariate([[pair], [pair]]) is None


def test_an_arm_without_sessions_stays_empty() -> None:
    pair = sums_of([(1, 1, 7), (2, 1, 8), (4, 1, 9)])

    found = adjusted([pair], [(RatioSums.empty(), CovariateSums.empty())])

    assert found.arms[1] == (RatioSums.empty(),)


def test_what_is_foreseen_whole_has_no_variance_left() -> None:
    rng = np.random.default_rng(1)
    p = rng.normal(0, 1e6, 200)
    arms = [[(RatioSums.from_sessions(p[a], np.ones(100)), CovariateSums.from_sessions(p[a], np.ones(100), p[a]))]
            for a in (slice(100), slice(100, 200))]  # fmt: skip

    assert [estimate_ratio(sums).status for (sums,) in adjusted(*arms).arms] == ["zero_variance"] * 2


def test_a_covariate_beyond_what_a_float_holds_adjusts_nothing() -> None:
    sums, _ = sums_of([(1, 1, 7), (2, 1, 8), (4, 1, 9)])

    assert adjust_by_covariate([[(sums, CovariateSums(3, 1e308, float("inf"), 1e308, 1e308))]] * 2) is None


def test_a_covariate_that_says_nothing_leaves_the_figure() -> None:
    pair = sums_of([(1, 1, 1), (1, 1, -1), (3, 1, 1), (3, 1, -1)])

    found = adjusted([pair], [pair])

    assert found.theta == 0
    assert found.arms[0] == (pair[0],)
