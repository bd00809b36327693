"""Simulated experiments through the comparisons: errors, coverage and power are those promised. Short; seeded."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from simulations.checks import CHECKS, Check


@pytest.mark.parametrize(("check", "experiments"), [(check, short) for check, short, _ in CHECKS if short])
def test_a_promise_of_the_statistics_holds(
    check: Callable[[np.random.Generator, int], Iterator[Check]], experiments: int
) -> None:
    found = list(check(np.random.default_rng(7), experiments))

    assert found
    assert [each for each in found if not each.holds] == []
