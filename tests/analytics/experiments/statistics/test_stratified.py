"""Weight epochs: one is what it was, several are combined and not pooled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.statistics import (
    Proportion,
    RatioSums,
    arm_weights,
    critical_value,
    epoch_weights,
    estimate_difference,
    estimate_ratio,
    estimate_stratified_ratio,
    quantile_bounds,
    score_difference,
    score_interval,
    stratified_effective_sessions,
    stratified_quantile_bounds,
    stratified_score_difference,
    stratified_score_interval,
)

SESSIONS = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 50)), min_size=2, max_size=20)
PROPORTIONS = st.integers(2, 200).flatmap(lambda trials: st.builds(Proportion, st.integers(0, trials), st.just(trials)))


def sums_of(sessions: list[tuple[int, int]]) -> RatioSums:
    pairs = np.array(sessions, dtype=np.float64).reshape(-1, 2)
    return RatioSums.from_sessions(pairs[:, 0], pairs[:, 1])


@given(SESSIONS)
def test_one_epoch_is_exactly_the_figure_without_epochs(sessions: list[tuple[int, int]]) -> None:
    sums = sums_of(sessions)

    assert estimate_stratified_ratio([RatioSums.empty(), sums], [0.0, 1.0]) == estimate_ratio(sums)
    assert stratified_effective_sessions([sums], [1.0]) == pytest.approx(sums.effective_sessions)


@given(PROPORTIONS, PROPORTIONS, st.floats(1, 4))
def test_one_epoch_is_exactly_the_score_test_without_epochs(first: Proportion, second: Proportion, c: float) -> None:
    assert stratified_score_difference([(first, second)], [1.0]) == score_difference(first, second)
    assert stratified_score_interval([(first, second)], [1.0], c) == score_interval(first, second, c)


@given(SESSIONS, SESSIONS, st.floats(0.05, 0.95))
def test_estimate_and_variance_are_those_of_the_weighted_sessions(
    first: list[tuple[int, int]], second: list[tuple[int, int]], weight: float
) -> None:
    arms = [np.array(sessions, dtype=np.float64) for sessions in (first, second)]
    weights = [weight, 1 - weight]
    found = estimate_stratified_ratio([sums_of(first), sums_of(second)], weights)

    n = sum(share * arm[:, 1].mean() for share, arm in zip(weights, arms, strict=True))
    if n == 0:
        assert found.status == "no_data"
        return
    value = sum(share * arm[:, 0].mean() for share, arm in zip(weights, arms, strict=True)) / n
    assert found.value == pytest.approx(value, rel=1e-9, abs=1e-9)
    if found.variance is not None:
        residuals = [arm[:, 0] - value * arm[:, 1] for arm in arms]
        variance = sum(share**2 * each.var(ddof=1) / len(each) for share, each in zip(weights, residuals, strict=True))
        assert found.variance == pytest.approx(variance / n**2, rel=1e-6, abs=1e-9)


def test_a_slow_epoch_that_one_arm_has_more_of_is_no_effect() -> None:
    rng = np.random.default_rng(4)

    def sessions(mean: float, count: int) -> RatioSums:
        return RatioSums.from_sessions(rng.normal(mean, 1, count), np.ones(count))

    # The control has nine tenths of the quick epoch and one of the slow one; the treatment the rest.
    control, treatment = ([sessions(10, quick), sessions(20, slow)] for quick, slow in ((900, 100), (100, 900)))
    weights = epoch_weights([[900, 100], [100, 900]])

    combined = estimate_difference(*(estimate_stratified_ratio(arm, weights) for arm in (control, treatment)))
    pooled = estimate_difference(*(estimate_ratio(sum(arm, RatioSums.empty())) for arm in (control, treatment)))

    assert combined.p_value is not None
    assert combined.p_value > 0.05
    assert pooled.p_value is not None
    assert pooled.p_value < 1e-100


def test_the_degrees_of_freedom_are_those_of_the_epochs_together() -> None:
    sums = RatioSums.for_mean(11, 0.0, 11.0)

    found = estimate_stratified_ratio([sums, sums], [0.5, 0.5])

    assert found.degrees_of_freedom == pytest.approx(20)


def test_an_epoch_that_an_arm_is_hardly_in_has_no_weight() -> None:
    assert epoch_weights([[100, 50, 7], [100, 1, 13]]) == pytest.approx([200 / 220, 0, 20 / 220])
    assert epoch_weights([[5, 5], [0, 1]]) == [0.0, 0.0]


def test_an_arms_own_figure_rests_on_the_epochs_that_it_shares_with_the_control() -> None:
    # The third arm joined in the second epoch; before the first the control was alone.
    weights = arm_weights([[40, 60, 50], [0, 40, 50], [0, 0, 100]], control=0)

    assert weights[0] == pytest.approx([0, 100 / 300, 200 / 300])
    assert weights[1] == pytest.approx([0, 100 / 300, 200 / 300])
    assert weights[2] == [0, 0, 1]
    assert arm_weights([[30, 0], [0, 1]], control=0) == [[1, 0], [0, 1]]


def test_a_rate_that_rises_in_both_arms_is_no_difference() -> None:
    epochs = [(Proportion(90, 900), Proportion(10, 100)), (Proportion(50, 100), Proportion(450, 900))]

    found = stratified_score_difference(epochs, epoch_weights([[900, 100], [100, 900]]))

    assert found.estimate == pytest.approx(0)
    assert score_difference(Proportion(140, 1000), Proportion(460, 1000)).p_value == pytest.approx(0, abs=1e-30)


@given(PROPORTIONS, PROPORTIONS, PROPORTIONS, PROPORTIONS, st.floats(0.1, 0.9))
def test_the_stratified_interval_excludes_zero_where_the_stratified_test_rejects(
    first: Proportion, second: Proportion, third: Proportion, fourth: Proportion, weight: float
) -> None:
    epochs, weights = [(first, second), (third, fourth)], [weight, 1 - weight]
    c = critical_value(0.05)
    statistic = stratified_score_difference(epochs, weights).statistic
    interval = stratified_score_interval(epochs, weights, c)

    assert interval is not None
    if statistic is not None and abs(abs(statistic) - c) > 1e-6:
        assert interval.excludes(0.0) == (abs(statistic) > c)


def test_the_quantile_of_two_like_epochs_is_as_sure_as_that_of_both_together() -> None:
    rng = np.random.default_rng(6)
    n = rng.geometric(0.2, 1000).astype(np.float64)
    below = rng.binomial(n.astype(int), 0.9).astype(np.float64)
    halves = [RatioSums.from_sessions(below[part], n[part]) for part in (slice(0, 500), slice(500, 1000))]

    found = stratified_quantile_bounds(halves, [0.5, 0.5], 0.9, 1.96)
    together = quantile_bounds(halves[0] + halves[1], 0.9, 1.96)

    assert found.standard_error == pytest.approx(together.standard_error, rel=0.01)
    assert stratified_quantile_bounds(halves, [0.0, 1.0], 0.9, 1.96) == quantile_bounds(halves[1], 0.9, 1.96)


def test_sums_that_are_no_numbers_have_no_figure() -> None:
    broken = RatioSums(3, float("inf"), 1.0, 3.0, 3.0, 1.0)

    assert estimate_stratified_ratio([broken, RatioSums.for_mean(3, 1.0, 1.0)], [0.5, 0.5]).status == "no_data"
