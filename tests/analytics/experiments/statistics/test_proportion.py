"""Proportions: the score test and interval against the vectors, against brute force, and under symmetries."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize

from analytics.experiments.statistics import (
    Interval,
    Proportion,
    critical_value,
    newcombe_interval,
    score_difference,
    score_interval,
    wilson_interval,
)

FOLDER = Path(__file__).parent / "vectors"
TWO_ARMS = json.loads((FOLDER / "a_llm_ab" / "main.json").read_text())["proportions"]
FOUR_ARMS = json.loads((FOLDER / "b_multi_arm" / "multi_arm.json").read_text())["arms"]
NORMAL = critical_value(0.05)

PROPORTIONS = st.integers(1, 300).flatmap(lambda trials: st.builds(Proportion, st.integers(0, trials), st.just(trials)))


def bounds(interval: Interval | None) -> list[float]:
    assert interval is not None
    return [interval.lower, interval.upper]


def arms(case: dict[str, Any]) -> tuple[Proportion, Proportion]:
    control, treatment = (Proportion(case["x"][arm], case["n"][arm]) for arm in ("control", "treatment"))
    return control, treatment


def four_arm(name: str) -> Proportion:
    return Proportion(FOUR_ARMS[name]["x"], FOUR_ARMS[name]["n"])


@pytest.mark.parametrize("metric", TWO_ARMS)
def test_score_test_and_intervals_are_those_of_the_vectors(metric: str) -> None:
    expected = TWO_ARMS[metric]
    control, treatment = arms(expected)

    difference = score_difference(control, treatment)

    assert difference.p_value == pytest.approx(expected["mn_score_p_own"], rel=1e-6)
    assert bounds(score_interval(control, treatment, NORMAL)) == pytest.approx(
        expected["ci_miettinen_nurminen_own"], rel=1e-6
    )
    assert bounds(newcombe_interval(control, treatment, NORMAL)) == pytest.approx(expected["ci_newcombe"], rel=1e-6)


@pytest.mark.parametrize("metric", TWO_ARMS)
def test_the_score_statistic_is_the_pooled_z_but_for_its_factor(metric: str) -> None:
    control, treatment = arms(TWO_ARMS[metric])
    total = control.trials + treatment.trials

    statistic = score_difference(control, treatment).statistic

    assert statistic == pytest.approx(TWO_ARMS[metric]["ztest_pooled"]["z"] * math.sqrt(1 - 1 / total), rel=1e-8)


@pytest.mark.parametrize("name", [name for name in FOUR_ARMS if name != "control"])
def test_intervals_of_several_arms_are_those_of_the_vectors(name: str) -> None:
    control, treatment = four_arm("control"), four_arm(name)

    assert bounds(score_interval(control, treatment, NORMAL)) == pytest.approx(FOUR_ARMS[name]["mn_own"], rel=1e-6)
    assert bounds(newcombe_interval(control, treatment, NORMAL)) == pytest.approx(FOUR_ARMS[name]["newcombe"], rel=1e-6)


@pytest.mark.parametrize("name", FOUR_ARMS)
def test_wilson_intervals_are_those_of_the_vectors(name: str) -> None:
    assert bounds(wilson_interval(four_arm(name), NORMAL)) == pytest.approx(FOUR_ARMS[name]["wilson_ci"], rel=1e-6)


@given(PROPORTIONS, PROPORTIONS, st.floats(0.5, 5))
def test_swapping_the_variants_turns_the_interval(first: Proportion, second: Proportion, c: float) -> None:
    forward, backward = bounds(score_interval(first, second, c)), bounds(score_interval(second, first, c))

    assert backward == pytest.approx([-forward[1], -forward[0]], abs=1e-8)
    assert score_difference(second, first).p_value == pytest.approx(score_difference(first, second).p_value)


@given(PROPORTIONS, PROPORTIONS, st.floats(0.5, 5))
def test_counting_failures_instead_turns_the_interval(first: Proportion, second: Proportion, c: float) -> None:
    control, treatment = (Proportion(arm.trials - arm.successes, arm.trials) for arm in (first, second))

    plain, turned = bounds(score_interval(first, second, c)), bounds(score_interval(control, treatment, c))

    assert turned == pytest.approx([-plain[1], -plain[0]], abs=1e-8)


@given(PROPORTIONS, PROPORTIONS, st.floats(0.5, 5))
def test_the_interval_excludes_zero_exactly_when_the_score_test_rejects(
    first: Proportion, second: Proportion, c: float
) -> None:
    statistic, interval = score_difference(first, second).statistic, score_interval(first, second, c)
    assume(statistic is not None and interval is not None)
    assume(abs(abs(statistic or 0.0) - c) > 1e-6)

    assert interval is not None
    assert interval.excludes(0.0) == (abs(statistic or 0.0) > c)


@given(PROPORTIONS, PROPORTIONS, st.floats(0.5, 5))
def test_an_interval_holds_its_estimate_and_stays_within_minus_one_and_one(
    first: Proportion, second: Proportion, c: float
) -> None:
    estimate = (second.rate or 0.0) - (first.rate or 0.0)
    for interval in (score_interval(first, second, c), newcombe_interval(first, second, c)):
        lower, upper = bounds(interval)
        assert -1 - 1e-12 <= lower <= estimate + 1e-12
        assert estimate - 1e-12 <= upper <= 1 + 1e-12


def restricted_statistic(control: Proportion, treatment: Proportion, difference: float) -> float:
    """Return z at ``difference`` from a numerical maximum of the likelihood."""

    def loss(rate: float) -> float:
        pairs = ((control, rate), (treatment, rate + difference))
        return -math.fsum(
            arm.successes * math.log(p) + (arm.trials - arm.successes) * math.log(1 - p) for arm, p in pairs
        )

    low, high = max(0.0, -difference) + 1e-13, min(1.0, 1 - difference) - 1e-13
    rate = float(optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    other, total = rate + difference, control.trials + treatment.trials
    variance = rate * (1 - rate) / control.trials + other * (1 - other) / treatment.trials
    estimate = (treatment.rate or 0.0) - (control.rate or 0.0)
    return (estimate - difference) / math.sqrt(variance * total / (total - 1))


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (Proportion(92, 404), Proportion(114, 396)),
        (Proportion(3, 20), Proportion(11, 17)),
        (Proportion(2, 5000), Proportion(9, 700)),
        (Proportion(56, 70), Proportion(48, 80)),
    ],
)
def test_at_the_ends_the_statistic_of_the_restricted_likelihood_is_c(
    control: Proportion, treatment: Proportion
) -> None:
    lower, upper = bounds(score_interval(control, treatment, 1.96))

    assert restricted_statistic(control, treatment, lower) == pytest.approx(1.96, rel=1e-4)
    assert restricted_statistic(control, treatment, upper) == pytest.approx(-1.96, rel=1e-4)


def test_no_success_in_either_arm_still_bounds_the_difference() -> None:
    difference = score_difference(Proportion(0, 100), Proportion(0, 100))
    lower, upper = bounds(score_interval(Proportion(0, 100), Proportion(0, 100), 1.96))

    assert difference.status == "zero_variance"
    assert difference.p_value is None
    # Where p̃ = 0 in one arm and δ in the other, δ² = c²·δ(1−δ)/n·N/(N−1).
    factor = 1.96**2 / 100 * 200 / 199
    assert upper == pytest.approx(factor / (1 + factor), rel=1e-8)
    assert lower == pytest.approx(-upper)


def test_opposite_arms_reach_the_end_of_the_scale() -> None:
    lower, upper = bounds(score_interval(Proportion(0, 5), Proportion(5, 5), 1.96))

    assert 0 < lower < 1
    assert upper == 1.0


def test_without_a_trial_there_is_no_data() -> None:
    nobody, some = Proportion(0, 0), Proportion(3, 9)

    assert score_difference(nobody, some).status == "no_data"
    assert score_interval(some, nobody, 1.96) is None
    assert newcombe_interval(some, nobody, 1.96) is None
    assert wilson_interval(nobody, 1.96) is None


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (1, 0)])
def test_more_successes_than_trials_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes}"):
        Proportion(successes, trials)
