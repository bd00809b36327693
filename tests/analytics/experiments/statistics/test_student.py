"""Student's t against scipy's distribution objects."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from analytics.experiments.statistics import critical_value, two_sided_p_value


@pytest.mark.parametrize("alpha", [1e-9, 0.001, 0.05, 0.5])
@pytest.mark.parametrize("degrees_of_freedom", [1.5, 30.0, 790.5, 1e6])
def test_the_critical_value_cuts_off_alpha_in_both_tails(degrees_of_freedom: float, alpha: float) -> None:
    c = critical_value(alpha, degrees_of_freedom)

    assert c == pytest.approx(stats.t.isf(alpha / 2, degrees_of_freedom), rel=1e-8)
    assert two_sided_p_value(c, degrees_of_freedom) == pytest.approx(alpha, rel=1e-8)
    assert two_sided_p_value(-c, degrees_of_freedom) == pytest.approx(alpha, rel=1e-8)


def test_infinite_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert critical_value(0.05) == pytest.approx(1.959963984540054, rel=1e-12)
    assert two_sided_p_value(1.959963984540054, math.inf) == pytest.approx(0.05, rel=1e-12)


def test_a_p_value_far_out_is_small_but_not_zero() -> None:
    assert two_sided_p_value(30.0) == pytest.approx(2 * stats.norm.sf(30.0), rel=1e-8)
