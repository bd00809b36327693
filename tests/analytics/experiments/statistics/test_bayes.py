"""Posteriors of a lift, and chances among many arms: against the vectors and against simulation."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_moments import FOLDER, METRICS, variants

from analytics.experiments.statistics import Estimate, Prior, chances_of, posterior_of_lift

FOUR_ARMS: dict[str, Any] = json.loads((FOLDER / "b_multi_arm" / "multi_arm.json").read_text())
FLAT = Prior(0.0, math.inf)


@pytest.mark.parametrize(("name", "prior"), [("bayes_prior_rel", Prior()), ("bayes_flat_rel", FLAT)])
@pytest.mark.parametrize("metric", METRICS)
def test_posteriors_are_those_of_the_vectors(metric: str, name: str, prior: Prior) -> None:
    expected = METRICS[metric][name]

    found = posterior_of_lift(*variants(metric), prior)

    assert found is not None
    interval = found.interval(1.959963984540054)
    assert interval is not None
    assert [found.mean, found.sd] == pytest.approx([expected["mean"], expected["sd"]], rel=1e-8)
    assert [interval.lower, interval.upper] == pytest.approx(expected["ci"], rel=1e-8)
    assert found.chance_to_beat == pytest.approx(expected["chance_to_beat"], rel=1e-8)
    assert found.expected_loss == pytest.approx(expected["loss_ship"], rel=1e-8)
    assert found.expected_loss_of_keeping == pytest.approx(expected["loss_keep"], rel=1e-8)


@given(st.floats(-3, 3), st.floats(1e-3, 3))
def test_where_lower_is_better_chances_and_losses_turn(lift: float, sd: float) -> None:
    found = posterior_of_lift(Estimate.of(1.0, 0.0, 9), Estimate.of(1.0 + lift, sd * sd, 9), FLAT)
    assert found is not None

    turned = found.turned()

    assert turned.chance_to_beat == pytest.approx(1 - found.chance_to_beat, abs=1e-12)
    assert turned.expected_loss == pytest.approx(found.expected_loss_of_keeping)
    # Shipping rather than keeping gains the lift on average.
    assert found.expected_loss_of_keeping - found.expected_loss == pytest.approx(found.mean, abs=1e-9)


def test_the_prior_pulls_towards_no_lift_and_the_data_prevail() -> None:
    vague, sure = (
        posterior_of_lift(Estimate.of(1.0, 0.0, 9), Estimate.of(1.5, variance, 9), Prior()) for variance in (1.0, 1e-6)
    )
    assert vague is not None
    assert sure is not None
    assert 0 < vague.mean < 0.05
    assert sure.mean == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (Estimate.of(0.0, 1.0, 9), Estimate.of(1.0, 1.0, 9)),
        (Estimate.of(1.0, None), Estimate.of(1.0, 1.0, 9)),
        (Estimate.of(1.0, 0.0, 9), Estimate.of(1.0, 0.0, 9)),
        (Estimate.of(1.0, 1.0, 9), Estimate.of(None, None)),
    ],
)
def test_a_lift_without_a_standard_error_has_no_posterior(control: Estimate, treatment: Estimate) -> None:
    assert posterior_of_lift(control, treatment, Prior()) is None


def test_the_chances_of_four_arms_are_those_of_the_vectors() -> None:
    arms = FOUR_ARMS["arms"].values()
    rates = [arm["rate"] for arm in arms]

    found = chances_of(rates, [math.sqrt(arm["rate"] * (1 - arm["rate"]) / arm["n"]) for arm in arms])

    assert found.to_be_best == pytest.approx(list(FOUR_ARMS["prob_best_normal"].values()), rel=1e-8)
    assert found.expected_loss == pytest.approx(list(FOUR_ARMS["expected_loss_normal"].values()), rel=1e-8)


ARMS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=2, max_size=6)


@given(ARMS)
def test_one_arm_is_the_best_and_losses_differ_as_the_means_do(arms: list[tuple[float, float]]) -> None:
    values, errors = zip(*arms, strict=True)
    found = chances_of(values, errors)

    assert math.fsum(found.to_be_best) == pytest.approx(1)
    assert found.expected_loss[0] - found.expected_loss[1] == pytest.approx(values[1] - values[0], abs=1e-6)
    turned = chances_of([-value for value in values], errors, lower_is_better=True)
    assert turned.to_be_best == pytest.approx(found.to_be_best)
    assert turned.expected_loss == pytest.approx(found.expected_loss, abs=1e-9)


def test_chances_agree_with_drawing_from_the_posteriors() -> None:
    values, errors = (1.0, 1.2, 0.5), (0.3, 0.8, 0.1)
    draws = np.random.default_rng(5).normal(values, errors, (400_000, 3))

    found = chances_of(values, errors)

    assert found.to_be_best == pytest.approx(np.bincount(draws.argmax(axis=1)) / len(draws), abs=0.005)
    assert found.expected_loss == pytest.approx((draws.max(axis=1)[:, None] - draws).mean(axis=0), abs=0.005)
