"""What can be found: against the vectors, and at any look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_moments import FOLDER, variants

from analytics.experiments.statistics import (
    ConfidenceSequence,
    critical_value,
    days_remaining,
    estimate_difference,
    minimum_detectable_lift,
    minimum_duration_days,
    sessions_needed,
)

CASES: dict[str, Any] = json.loads((FOLDER / "b_multi_arm" / "noninferiority_mde.json").read_text())["mde"]
Z = critical_value(0.05)
SEQUENCE = ConfidenceSequence(0.05, 5000)


@pytest.mark.parametrize("metric", CASES)
def test_lifts_and_sessions_are_those_of_the_vectors(metric: str) -> None:
    expected = CASES[metric]
    control, treatment = variants(metric)
    error = estimate_difference(control, treatment).standard_error

    lift = minimum_detectable_lift(error, control.value, Z, 0.8)
    assert lift is not None
    needed = sessions_needed(
        expected["n"], lift, expected["target_mde_rel"], critical_value=lambda sessions: Z, power=0.8
    )

    assert lift == pytest.approx(expected["mde_rel_now"], rel=1e-8)
    assert needed == pytest.approx(expected["n_required"], rel=1e-8)


@given(st.integers(20, 10**6), st.floats(0.01, 3), st.floats(0.01, 1))
def test_with_the_sessions_needed_a_sequence_finds_the_target(sessions: int, lift: float, target: float) -> None:
    needed = sessions_needed(sessions, lift, target, critical_value=SEQUENCE.critical_value, power=0.8)
    assert needed is not None

    unit = lift / (SEQUENCE.critical_value(sessions) + 0.8416212335729143) * sessions**0.5
    then = unit / needed**0.5 * (SEQUENCE.critical_value(needed) + 0.8416212335729143)

    # It takes one session at least.
    assert then == pytest.approx(target, rel=1e-6) or (needed == pytest.approx(1) and then < target)
    assert (needed <= sessions * (1 + 1e-9)) == (lift <= target * (1 + 1e-9))


def test_what_would_take_forever_has_no_number() -> None:
    assert sessions_needed(10, 1e9, 1e-3, critical_value=lambda sessions: Z, power=0.8) is None


def test_days_are_those_of_the_missing_sessions() -> None:
    assert days_remaining(400, 1000, 100) == 6
    assert days_remaining(1000, 1000, 100) == 0
    assert days_remaining(1000, 900, None) == 0
    assert days_remaining(400, 1000, None) is None
    assert days_remaining(400, None, 100) is None


@pytest.mark.parametrize(("error", "control"), [(None, 1.0), (0.1, 0.0), (0.1, None)])
def test_without_an_error_or_a_control_there_is_no_lift_to_find(error: float | None, control: float | None) -> None:
    assert minimum_detectable_lift(error, control, Z, 0.8) is None


@pytest.mark.parametrize(("requests", "days"), [(100, (14, 21)), (1000, (7, 7)), (9999, (7, 7)), (10_000, (2, 3))])
def test_a_test_runs_the_longer_the_less_traffic_it_has(requests: float, days: tuple[int, int]) -> None:
    assert minimum_duration_days(requests) == days
