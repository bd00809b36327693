"""CUPED: against the vectors, and what an adjustment may and may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_moments import MAIN

from analytics.experiments.statistics import (
    CovariateSums,
    RatioSums,
    adjust_by_covariate,
    estimate_difference,
    estimate_ratio,
)

VECTOR = MAIN["cuped_latency_session_mean"]
SESSIONS = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(1, 50), st.integers(-100, 100)), min_size=3, max_size=30
)


def vector_sums() -> tuple[list[RatioSums], list[CovariateSums]]:
    arms = VECTOR["moments"].values()
    return (
        [RatioSums.for_mean(arm["n"], arm["sx"], arm["sxx"]) for arm in arms],
        [CovariateSums.for_mean(arm["sp"], arm["spp"], arm["sxp"]) for arm in arms],
    )


def sums_of(sessions: list[tuple[int, int, int]]) -> tuple[RatioSums, CovariateSums]:
    x, n, p = np.array(sessions, dtype=np.float64).T
    return RatioSums.from_sessions(x, n), CovariateSums.from_sessions(x, n, p)


def test_the_adjusted_comparison_is_that_of_the_vectors() -> None:
    found = adjust_by_covariate(*vector_sums(), centre=0.0)
    assert found is not None
    difference = estimate_difference(*found.estimates)

    assert found.theta == pytest.approx(VECTOR["theta_pooled"], rel=1e-8)
    adjusted = list(VECTOR["adjusted_means"].values())
    assert [estimate.value for estimate in found.estimates] == pytest.approx(adjusted, rel=1e-8)
    assert difference.standard_error == pytest.approx(VECTOR["abs"]["se"], rel=1e-8)
    assert difference.degrees_of_freedom == pytest.approx(VECTOR["abs"]["df"], rel=1e-8)
    assert difference.p_value == pytest.approx(VECTOR["abs"]["p"], rel=1e-8)
    assert found.variance_reduction == pytest.approx(VECTOR["variance_reduction"], rel=1e-8)


def test_moved_to_the_mean_of_the_covariate_the_figures_are_those_of_tea_tasting() -> None:
    found = adjust_by_covariate(*vector_sums())
    assert found is not None

    expected = [VECTOR["tea_tasting"][arm] for arm in ("control", "treatment")]
    assert [estimate.value for estimate in found.estimates] == pytest.approx(expected, rel=1e-8)


def test_the_adjusted_variance_is_that_of_the_residuals() -> None:
    rng = np.random.default_rng(3)
    p, n = rng.normal(5, 2, (2, 80)), rng.integers(1, 9, (2, 80)).astype(np.float64)
    x = n * (3 + 0.5 * p + rng.normal(0, 1, (2, 80)))
    sums = [RatioSums.from_sessions(*arm) for arm in zip(x, n, strict=True)]
    covariates = [CovariateSums.from_sessions(*arm) for arm in zip(x, n, p, strict=True)]

    found = adjust_by_covariate(sums, covariates)

    assert found is not None
    for arm, estimate in enumerate(found.estimates):
        residual = x[arm] - x[arm].sum() / n[arm].sum() * n[arm] - found.theta * p[arm]
        assert estimate.variance == pytest.approx(residual.var(ddof=1) / 80 / n[arm].mean() ** 2, rel=1e-9)
    assert found.variance_reduction is not None
    assert found.variance_reduction > 0.2


@given(SESSIONS, SESSIONS, st.integers(-100, 100))
def test_where_the_covariate_starts_counting_does_not_matter(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]], start: int
) -> None:
    plain, moved = (
        adjust_by_covariate(*zip(*map(sums_of, arms), strict=True))
        for arms in (
            (first, second),
            [[(x, n, p + start) for x, n, p in arm] for arm in (first, second)],
        )
    )

    assert (plain is None) == (moved is None)
    if plain is not None and moved is not None:
        for one, other in zip(plain.estimates, moved.estimates, strict=True):
            assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-6)
            assert other.variance == pytest.approx(one.variance, rel=1e-6, abs=1e-9)


@given(SESSIONS, SESSIONS)
def test_adding_the_parts_gives_the_whole(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    assert sums_of(first)[1] + sums_of(second)[1] == sums_of(first + second)[1]


def test_a_covariate_without_variance_adjusts_nothing() -> None:
    sums, covariate = sums_of([(1, 1, 7), (2, 1, 7), (4, 1, 7)])

    assert adjust_by_covariate([sums, sums], [covariate, covariate]) is None


def test_an_arm_without_a_variance_has_no_adjustment() -> None:
    sums, covariate = sums_of([(1, 1, 7), (2, 1, 8), (4, 1, 9)])
    single = sums_of([(3, 1, 5)])

    assert adjust_by_covariate([sums, single[0]], [covariate, single[1]]) is None


def test_a_covariate_that_says_nothing_leaves_the_figure() -> None:
    sums, covariate = sums_of([(1, 1, 1), (1, 1, -1), (3, 1, 1), (3, 1, -1)])

    found = adjust_by_covariate([sums, sums], [covariate, covariate])

    assert found is not None
    assert found.theta == 0
    assert found.estimates[0] == estimate_ratio(sums)
