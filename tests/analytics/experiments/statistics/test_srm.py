"""Sample ratio mismatch: both tests against the vectors, and over weight epochs."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.statistics import (
    chi_square,
    log_bayes_factor,
    sequential_p_value,
    stratified_chi_square,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "c_srm" / "srm.json").read_text())
DAYS = VECTORS["sequential"]["days"]
CONCENTRATIONS = {"k100": 100.0, "k10000": 10_000.0}


@pytest.mark.parametrize("case", VECTORS["fixed"], ids=lambda case: str(case["observed"]))
def test_chi_square_is_that_of_the_vectors(case: dict[str, Any]) -> None:
    found = chi_square(case["observed"], case["weights"])

    assert found.statistic == pytest.approx(case["chi2"], rel=1e-8)
    assert found.degrees_of_freedom == case["df"]
    assert found.p_value == pytest.approx(case["p"], rel=1e-8)


@pytest.mark.parametrize("name", CONCENTRATIONS)
@pytest.mark.parametrize("case", VECTORS["fixed"], ids=lambda case: str(case["observed"]))
def test_the_bayes_factor_is_that_of_the_vectors(case: dict[str, Any], name: str) -> None:
    found = log_bayes_factor(case["observed"], case["weights"], concentration=CONCENTRATIONS[name])

    assert found == pytest.approx(case[f"log_bayes_factor_{name}"], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", CONCENTRATIONS)
def test_the_sequential_p_value_is_that_of_the_vectors_on_every_day(name: str) -> None:
    looks = [log_bayes_factor(day["cumulative"], [1, 1], concentration=CONCENTRATIONS[name]) for day in DAYS]

    found = [sequential_p_value(looks[: day["day"]]) for day in DAYS]

    assert found == pytest.approx([day[f"seq_p_{name}"] for day in DAYS], rel=1e-8)


def test_optimizelys_package_finds_the_same_sequential_p_values() -> None:
    looks = [log_bayes_factor(day["cumulative"], [1, 1], concentration=10_000.0) for day in DAYS]

    found = [sequential_p_value(looks[: day["day"]]) for day in DAYS]

    assert found == pytest.approx(VECTORS["sequential"]["ssrm_optimizely_k10000"], rel=1e-8)


def test_savvis_package_finds_the_same_bayes_factors() -> None:
    found = [math.exp(-log_bayes_factor(day["cumulative"], [1, 1], concentration=100.0)) for day in DAYS]

    assert found == pytest.approx(VECTORS["sequential"]["savvi_k100_p_unclipped"], rel=1e-8)


def test_chi_square_of_each_day_is_that_of_the_vectors() -> None:
    found = [chi_square(day["cumulative"], [1, 1]).p_value for day in DAYS]

    assert found == pytest.approx([day["chi2_p"] for day in DAYS], rel=1e-8)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=4), st.integers(1, 4), st.floats(1, 1e4))
def test_the_bayes_factor_is_one_on_average_while_the_weights_hold(
    weights: list[int], sessions: int, concentration: float
) -> None:
    arms = range(len(weights))

    average = math.fsum(
        math.prod(weights[arm] / sum(weights) for arm in draws)
        * math.exp(log_bayes_factor([draws.count(arm) for arm in arms], weights, concentration=concentration))
        for draws in itertools.product(arms, repeat=sessions)
    )

    assert average == pytest.approx(1, rel=1e-8)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 9)), min_size=2, max_size=5), st.floats(0.01, 100))
def test_weights_count_only_relative_to_each_other(arms: list[tuple[int, int]], factor: float) -> None:
    observed, weights = [arm[0] for arm in arms], [float(arm[1]) for arm in arms]
    scaled = [weight * factor for weight in weights]

    plain, other = chi_square(observed, weights), chi_square(observed, scaled)

    assert other.statistic == pytest.approx(plain.statistic, rel=1e-8, abs=1e-8)
    assert log_bayes_factor(observed, scaled) == pytest.approx(log_bayes_factor(observed, weights), rel=1e-8, abs=1e-8)


def test_an_arm_of_weight_zero_takes_no_part() -> None:
    found = chi_square([400, 404, 50], [0.5, 0.5, 0.0])

    assert found.statistic == pytest.approx(chi_square([400, 404], [1, 1]).statistic)
    assert found.observed == (400, 404, 50)
    assert found.expected == (402.0, 402.0, 0.0)
    assert log_bayes_factor([400, 404, 50], [0.5, 0.5, 0.0]) == log_bayes_factor([400, 404], [0.5, 0.5])


@pytest.mark.parametrize(
    ("observed", "weights"), [([0, 0], [1, 1]), ([10], [1]), ([10, 3], [1, 0]), ([10, 3], [0, 0]), ([], [])]
)
def test_without_sessions_or_a_second_arm_there_is_nothing_to_test(observed: list[int], weights: list[float]) -> None:
    found = chi_square(observed, weights)

    assert found.p_value is None
    assert found.degrees_of_freedom == 0
    assert log_bayes_factor(observed, weights) == pytest.approx(0, abs=1e-9)


def test_epochs_add_their_statistics_their_degrees_of_freedom_and_their_sessions() -> None:
    epochs = [chi_square([60, 40], [1, 1]), chi_square([95, 905], [1, 9]), chi_square([0, 0], [1, 1])]

    found = stratified_chi_square(epochs)

    assert found.statistic == pytest.approx(4 + 25 / 100 + 25 / 900)
    assert found.degrees_of_freedom == 2
    assert found.observed == (155, 945)
    assert found.expected == (150.0, 950.0)


def test_mismatches_that_cancel_when_pooled_are_seen_by_epoch() -> None:
    pooled = chi_square([1000, 1000], [1, 1])
    by_epoch = stratified_chi_square([chi_square([600, 400], [1, 1]), chi_square([400, 600], [1, 1])])

    assert pooled.p_value == 1.0
    assert by_epoch.p_value is not None
    assert by_epoch.p_value < 1e-15


def test_no_epoch_is_nothing_to_test() -> None:
    assert stratified_chi_square([]).p_value is None


def test_the_sequential_p_value_never_rises_again() -> None:
    assert sequential_p_value([]) == 1.0
    assert sequential_p_value([-3.0]) == 1.0
    assert sequential_p_value([-3.0, 2.0, 1.0]) == pytest.approx(math.exp(-2))
    assert sequential_p_value([1e6]) == 0.0
