"""Sums over sessions add, and know how many sessions they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.statistics import RatioSums

SESSIONS = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 50)), max_size=40)


def sums_of(sessions: list[tuple[int, int]]) -> RatioSums:
    pairs = np.array(sessions, dtype=np.float64).reshape(-1, 2)
    return RatioSums.from_sessions(pairs[:, 0], pairs[:, 1])


@given(SESSIONS, SESSIONS)
def test_adding_the_parts_gives_the_whole(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    assert sums_of(first) + sums_of(second) == sums_of(first + second)


@given(SESSIONS)
def test_no_session_adds_nothing(sessions: list[tuple[int, int]]) -> None:
    assert sum([sums_of(sessions)], RatioSums.empty()) == sums_of(sessions)


def test_a_mean_has_the_denominator_one_in_each_session() -> None:
    x = np.array([3.0, 4.0, 8.0])

    assert RatioSums.for_mean(3, 15.0, 89.0) == RatioSums.from_sessions(x, np.ones(3))


def test_sessions_of_equal_size_all_count() -> None:
    assert sums_of([(1, 4)] * 7).effective_sessions == pytest.approx(7)


def test_a_giant_session_leaves_little_but_itself() -> None:
    assert sums_of([(1, 1)] * 99 + [(1, 9901)]).effective_sessions == pytest.approx(1.02, abs=0.001)


def test_without_a_denominator_there_are_no_effective_sessions() -> None:
    assert sums_of([(5, 0), (6, 0)]).effective_sessions is None
