"""Confidence sequences: against the vectors, and p-values and intervals against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from vector_moments import METRICS, variants

from analytics.experiments.statistics import ConfidenceSequence, estimate_difference

SEQUENCE = ConfidenceSequence(0.05, 5000)
SEQUENCES = st.builds(ConfidenceSequence, st.floats(1e-6, 0.5), st.floats(10, 1e7))
SESSIONS = st.integers(1, 10**9)
STATISTICS = st.floats(-50, 50)


@pytest.mark.parametrize("metric", METRICS)
def test_multiplier_and_p_value_are_those_of_the_vectors(metric: str) -> None:
    expected = METRICS[metric]["sequential"]
    statistic = estimate_difference(*variants(metric)).statistic
    assert statistic is not None

    assert SEQUENCE.critical_value(expected["n"]) == pytest.approx(expected["multiplier"], rel=1e-8)
    assert SEQUENCE.p_value(statistic, expected["n"]) == pytest.approx(expected["p"], rel=1e-8)


@given(SEQUENCES, STATISTICS, SESSIONS, st.floats(1, 50))
def test_the_p_value_is_at_most_the_level_exactly_where_the_interval_excludes_zero(
    sequence: ConfidenceSequence, statistic: float, sessions: int, family: float
) -> None:
    level = sequence.alpha / family
    c = sequence.critical_value(sessions, level)
    assume(abs(abs(statistic) - c) > 1e-9 * c)

    assert (sequence.p_value(statistic, sessions) <= level) == (abs(statistic) >= c)


@given(SEQUENCES, STATISTICS, STATISTICS, SESSIONS)
def test_a_larger_statistic_never_has_the_larger_p_value(
    sequence: ConfidenceSequence, first: float, second: float, sessions: int
) -> None:
    small, large = sorted((first, second), key=abs)
    assert sequence.p_value(large, sessions) <= sequence.p_value(small, sessions)
    low, high = sorted((first, second))
    assert sequence.one_sided_p_value(high, sessions) <= sequence.one_sided_p_value(low, sessions) * (1 + 1e-12)


@given(SEQUENCES, st.floats(0, 50), SESSIONS)
def test_one_side_takes_between_half_and_all_of_both(
    sequence: ConfidenceSequence, statistic: float, sessions: int
) -> None:
    both, one = sequence.p_value(statistic, sessions), sequence.one_sided_p_value(statistic, sessions)
    assert both / 2 * (1 - 1e-9) <= one <= both * (1 + 1e-9)


def test_in_the_wrong_direction_nothing_is_shown() -> None:
    assert SEQUENCE.one_sided_p_value(-5.0, 5000) == 1.0


def test_the_sequence_is_tightest_near_its_sessions() -> None:
    # The interval of a mean is c(N)/√N wide; against one tuned elsewhere, N* is where it is least.
    best = min((500, 5000, 50_000), key=lambda n_star: ConfidenceSequence(0.05, n_star).critical_value(5000))
    assert best == 5000


@pytest.mark.parametrize(("statistic", "sessions"), [(1e200, 5), (-1e200, 10**18), (0.0, 10**300), (3.0, 1e-300)])
def test_nothing_overflows(statistic: float, sessions: float) -> None:
    for p_value in (SEQUENCE.p_value(statistic, sessions), SEQUENCE.one_sided_p_value(statistic, sessions)):
        assert 0.0 <= p_value <= 1.0
    assert SEQUENCE.critical_value(sessions) > 1.96


def test_without_a_session_nothing_is_known() -> None:
    assert SEQUENCE.critical_value(0) == math.inf
    assert SEQUENCE.p_value(9.0, 0) == 1.0


@pytest.mark.parametrize(("alpha", "n_star"), [(0.0, 5000), (1.0, 5000), (0.05, 0), (0.05, math.inf), (math.nan, 5000)])
def test_a_level_or_a_size_that_cannot_be_is_refused(alpha: float, n_star: float) -> None:
    with pytest.raises(ValueError, match="expected, got"):
        ConfidenceSequence(alpha, n_star)


def test_at_any_of_a_thousand_looks_it_is_wrong_in_less_than_five_percent() -> None:
    rng = np.random.default_rng(31)
    looks = np.arange(10, 10_001, 10)
    paths = np.cumsum(rng.normal(0, math.sqrt(10), (2000, len(looks))), axis=1) / np.sqrt(looks)
    c = np.array([SEQUENCE.critical_value(look) for look in looks])

    either = (np.abs(paths) >= c).any(axis=1).mean()
    upper = np.array([[SEQUENCE.one_sided_p_value(z, n) < 0.05 for z, n in zip(path[::20], looks[::20], strict=True)]
                      for path in paths[:500]]).any(axis=1).mean()  # fmt: skip

    assert 0.005 < either <= 0.05
    assert 0.005 < upper <= 0.05
    # With 1.96 instead, looking that often finds something in most experiments.
    assert (np.abs(paths) >= 1.96).any(axis=1).mean() > 0.4
