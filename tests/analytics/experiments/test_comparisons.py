"""Comparisons as the results have them: every field, by each inference, corrected for how many there are."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vector_moments import FOLDER, METRICS, sums_of

from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.corrections import conclude
from analytics.experiments.figures import Figure, figure_of
from analytics.experiments.settings import Inference, MetricSettings, Settings
from analytics.experiments.statistics import Proportion, RatioSums, estimate_ratio
from analytics.experiments.verdicts import Look, Past, Traffic, Verdicts

PRIMARY = Figure("latency_ms", "mean", "per_call", role="primary", direction="lower_is_better")
GUARDRAIL = Figure("latency_ms", "mean", "per_call", role="guardrail", direction="lower_is_better", margin=0.05)
HOUR = timedelta(hours=1)
MARGINS: dict[str, Any] = json.loads((FOLDER / "b_multi_arm" / "noninferiority_mde.json").read_text())


def arm_of(sums: RatioSums, *, proportion: Proportion | None = None, coverage: float = 1.0) -> ArmEstimate:
    return ArmEstimate(
        estimate_ratio(sums),
        None,
        sums.sessions,
        sums.n,
        sums.effective_sessions,
        coverage=coverage,
        proportion=proportion,
    )


def compared(metric: str, figure: Figure, inference: Inference = "sequential", **more: Any) -> dict[str, Any]:
    verdicts = Verdicts(Settings(inference=inference), allowed=True, **more)
    (found,) = compare(("a", "b"), [arm_of(sums) for sums in sums_of(metric)], figure, verdicts, method="delta_cluster")
    return found


def mean_arm(mean: float, sessions: int = 1000, coverage: float = 1.0) -> ArmEstimate:
    """Return an arm of sessions around the mean, with a standard deviation of 1."""
    xx = sessions * mean * mean + (sessions - 1)
    return arm_of(RatioSums.for_mean(sessions, sessions * mean, xx), coverage=coverage)


def entry_of(figure: Figure, arms: list[ArmEstimate], verdicts: Verdicts) -> dict[str, Any]:
    keys = "abcdefgh"[: len(arms)]
    return {
        "name": figure.name,
        "statistic": figure.statistic,
        "estimand": figure.estimand,
        "role": figure.role,
        "direction": figure.direction,
        "comparisons": compare(keys, arms, figure, verdicts, method="delta_cluster"),
    }


@pytest.mark.parametrize("metric", METRICS)
def test_a_sequential_comparison_is_that_of_the_vectors(metric: str) -> None:
    published = METRICS[metric]

    found = compared(metric, PRIMARY)

    assert found["difference"]["ci"] == pytest.approx(published["sequential"]["ci_abs"], rel=1e-8)
    assert found["lift"]["ci"] == pytest.approx(published["sequential"]["fieller_ci_rel"], rel=1e-8)
    assert found["p_value"] == pytest.approx(published["sequential"]["p"], rel=1e-8)
    assert found["p_value_fixed"] == pytest.approx(published["abs"]["p"], rel=1e-8)
    # Lower is better here: the vectors' chances are those of a rise.
    prior = published["bayes_prior_rel"]
    assert found["bayes"]["chance_to_beat"] == pytest.approx(1 - prior["chance_to_beat"], rel=1e-8)
    assert found["bayes"]["expected_loss"] == pytest.approx(prior["loss_keep"], rel=1e-8)
    assert found["bayes"]["expected_loss_of_keeping"] == pytest.approx(prior["loss_ship"], rel=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_a_fixed_horizon_comparison_is_that_of_the_vectors(metric: str) -> None:
    published = METRICS[metric]

    found = compared(metric, PRIMARY, "fixed_horizon")

    assert found["difference"]["ci"] == pytest.approx(published["abs"]["ci"], rel=1e-8)
    assert found["lift"]["ci"] == pytest.approx(published["rel"]["fieller_ci_t"], rel=1e-8)
    assert found["p_value"] == found["p_value_fixed"] == pytest.approx(published["abs"]["p"], rel=1e-8)


def test_what_could_be_found_is_that_of_the_vectors() -> None:
    traffic = Traffic(sessions=800, sessions_per_day=100.0)
    published = MARGINS["mde"]["latency_ms.mean_per_call"]

    found = compared("latency_ms.mean_per_call", PRIMARY, "fixed_horizon", traffic=traffic)

    assert found["mde"] == pytest.approx(published["mde_rel_now"], rel=1e-8)
    assert found["sessions_needed"] == math.ceil(published["n_required"])
    assert found["days_remaining"] == pytest.approx(published["extra_n"] / 100, rel=1e-8)


def test_looking_at_any_time_costs_sessions() -> None:
    one_look, any_time = (
        compared("latency_ms.mean_per_call", PRIMARY, inference) for inference in ("fixed_horizon", "sequential")
    )
    assert any_time["mde"] > one_look["mde"]
    assert any_time["sessions_needed"] > one_look["sessions_needed"]
    assert any_time["days_remaining"] is None


def test_a_guardrail_is_tested_against_its_margin() -> None:
    published = MARGINS["noninferiority"]["latency_ms.mean_per_call@+5%"]

    fixed = compared("latency_ms.mean_per_call", GUARDRAIL, "fixed_horizon")["non_inferiority"]
    sequential = compared("latency_ms.mean_per_call", GUARDRAIL)["non_inferiority"]

    assert fixed["margin"] == 0.05
    assert fixed["p_value"] == pytest.approx(published["p_noninferior"], rel=1e-8)
    assert fixed["verdict"] == sequential["verdict"] == "inconclusive"
    assert sequential["p_value"] > fixed["p_value"]
    assert compared("latency_ms.mean_per_call", PRIMARY)["non_inferiority"] is None


def test_the_least_p_value_of_all_looks_counts() -> None:
    first = datetime(2026, 11, 1, tzinfo=UTC)
    looks = (Look(first - HOUR, 0.06), Look(first, 0.04), Look(first + HOUR, 0.003))
    past = {(PRIMARY.identity, "b"): Past(looks)}

    found = compared("latency_ms.mean_per_call", PRIMARY, past=past)

    assert found["p_value"] == 0.003
    assert found["p_value_fixed"] > 0.5
    assert compared("latency_ms.mean_per_call", PRIMARY, "fixed_horizon", past=past)["p_value"] > 0.5


def test_it_is_significant_since_the_first_look_whose_p_fell_to_the_level_of_now() -> None:
    now = datetime(2026, 11, 9, tzinfo=UTC)
    # At three treatments a primary figure is held to a third of the level.
    looks = tuple(Look(now - (9 - place) * HOUR, p) for place, p in enumerate((0.06, 0.04, 0.016, 0.001)))
    shown = now - 30 * HOUR
    arms = [mean_arm(5), mean_arm(5), mean_arm(5), mean_arm(4.5)]

    def since(past: Past, inference: Inference = "sequential", *, allowed: bool = True) -> list[Any]:
        pasts = {(PRIMARY.identity, key): past for key in "bcd"}
        verdicts = Verdicts(Settings(inference=inference), allowed=allowed, past=pasts, at=now)
        entries = [entry_of(PRIMARY, arms, verdicts)]
        conclude(entries, verdicts)
        return [comparison["first_significant_at"] for comparison in entries[0]["comparisons"]]

    assert since(Past(looks)) == [looks[2].at.isoformat()] * 3
    assert since(Past(looks, shown)) == [shown.isoformat()] * 3
    assert since(Past(looks[:2])) == [None, None, now.isoformat()]
    assert since(Past(looks), allowed=False) == since(Past(looks), "fixed_horizon") == [None] * 3


def test_a_bayesian_experiment_is_decided_by_the_chance_and_has_no_p_value() -> None:
    verdicts = Verdicts(Settings(inference="bayesian"), allowed=True)
    entries = [entry_of(PRIMARY, [mean_arm(5), mean_arm(mean)], verdicts) for mean in (4.8, 4.95)]

    conclude(entries, verdicts)

    clear, unclear = (entry["comparisons"][0] for entry in entries)
    assert clear["p_value"] is clear["p_value_adjusted"] is None
    assert clear["bayes"]["chance_to_beat"] > 0.999
    assert (clear["significant"], unclear["significant"]) == (True, False)


def test_a_proportion_has_the_score_interval_at_the_sequences_multiplier() -> None:
    successes = [round(sums.x) for sums in sums_of("conversion.rate")]
    arms = [
        arm_of(sums, proportion=Proportion(count, sums.sessions))
        for sums, count in zip(sums_of("conversion.rate"), successes, strict=True)
    ]
    figure = Figure("conversion", "proportion", "per_session", role="primary", direction="higher_is_better")

    (fixed,), (sequential,) = (
        compare(("a", "b"), arms, figure, Verdicts(Settings(inference=inference), allowed=True), method="score")
        for inference in ("fixed_horizon", "sequential")
    )

    assert fixed["p_value"] == pytest.approx(0.051858950342293555, rel=1e-6)
    assert fixed["difference"]["ci"] == pytest.approx([-0.0004856053059278144, 0.12065692053528629], rel=1e-6)
    assert sequential["difference"]["ci"][0] < fixed["difference"]["ci"][0]
    assert sequential["p_value"] > fixed["p_value"]


@pytest.mark.parametrize("inference", ["fixed_horizon", "sequential"])
def test_the_interval_of_a_primary_is_that_of_its_corrected_level(inference: Inference) -> None:
    verdicts = Verdicts(Settings(inference=inference), allowed=True, primaries=2)
    # At z from 2 to 6 some are significant only without the correction.
    for step in range(40):
        arms = [mean_arm(5), mean_arm(5 - (2 + step / 10) * math.sqrt(2 / 1000)), mean_arm(5)]
        entry = entry_of(PRIMARY, arms, verdicts)
        conclude([entry], verdicts)
        found = entry["comparisons"][0]
        excludes = found["difference"]["ci"][1] < 0
        assert excludes == found["significant"] == (found["lift"]["ci"][1] < 0)
        assert found["p_value_adjusted"] == min(1, 4 * found["p_value"])


def test_secondaries_are_corrected_over_all_of_them_and_guardrails_not() -> None:
    verdicts = Verdicts(Settings(inference="fixed_horizon"), allowed=True)

    def figure(role: Any) -> Figure:
        return Figure("x", "mean", "per_session", role=role, direction="higher_is_better")

    means = (5.0, 5.1, 5.2)
    entries = [entry_of(figure("secondary"), [mean_arm(5), mean_arm(mean)], verdicts) for mean in means]
    entries.append(entry_of(figure("guardrail"), [mean_arm(5), mean_arm(5.1)], verdicts))
    conclude(entries, verdicts)

    found = [entry["comparisons"][0] for entry in entries]
    assert found[1]["p_value_adjusted"] == pytest.approx(found[1]["p_value"] * 3 / 2)
    assert found[2]["p_value_adjusted"] == pytest.approx(found[2]["p_value"] * 3)
    assert found[3]["p_value_adjusted"] == found[3]["p_value"] == found[1]["p_value"]


@pytest.mark.parametrize(
    ("direction", "allowed", "sessions", "coverage"),
    [
        ("neutral", True, 1000, 1.0),
        ("higher_is_better", False, 1000, 1.0),
        ("higher_is_better", True, 90, 1.0),
        ("higher_is_better", True, 1000, 0.8),
    ],
)
def test_there_is_no_verdict_without_a_direction_health_sessions_and_coverage(
    direction: Any, allowed: bool, sessions: int, coverage: float
) -> None:
    verdicts = Verdicts(Settings(), allowed=allowed)
    figure = Figure("x", "mean", "per_session", role="primary", direction=direction)
    entry = entry_of(figure, [mean_arm(5), mean_arm(9, sessions, coverage)], verdicts)

    conclude([entry], verdicts)

    (found,) = entry["comparisons"]
    assert found["p_value"] < 1e-6
    assert (found["p_value_adjusted"] is None) == (direction == "neutral")
    assert found["difference"]["ci"][0] > 0
    assert found["significant"] is False


def test_neutral_figures_are_of_no_family() -> None:
    verdicts = Verdicts(Settings(inference="fixed_horizon"), allowed=True)
    judged = Figure("x", "mean", "per_session", direction="lower_is_better")
    neutral = Figure("y", "mean", "per_session")
    means = ((judged, 5.1), (judged, 5.2), *[(neutral, 5.0)] * 20)
    entries = [entry_of(figure, [mean_arm(5), mean_arm(mean)], verdicts) for figure, mean in means]

    conclude(entries, verdicts)

    found = [entry["comparisons"][0] for entry in entries]
    assert found[0]["p_value_adjusted"] == found[0]["p_value"]
    assert found[1]["p_value_adjusted"] == pytest.approx(2 * found[1]["p_value"])
    assert [each["p_value_adjusted"] for each in found[2:]] == [None] * 20
    assert all(each["p_value"] == 1.0 for each in found[2:])


def test_epochs_are_combined_and_those_of_one_arm_left_out() -> None:
    def arm(*epochs: RatioSums) -> ArmEstimate:
        sums = sum(epochs, RatioSums.empty())
        return ArmEstimate(
            estimate_ratio(sums), None, sums.sessions, sums.n, sums.effective_sessions, coverage=1.0, epochs=epochs
        )

    def epoch(sessions: int, mean: float) -> RatioSums:
        return RatioSums.for_mean(sessions, sessions * mean, sessions * mean * mean + sessions - 1)

    control = arm(epoch(900, 10), epoch(100, 20), epoch(500, 99))
    treatment = arm(epoch(100, 10), epoch(900, 20), RatioSums.empty())
    (found,) = compare(("a", "b"), [control, treatment], PRIMARY, Verdicts(Settings(), True), method="delta_cluster")

    assert found["difference"]["estimate"] == pytest.approx(0)
    assert found["sessions"] == 2000
    assert found["epochs_left_out"] == 1


def test_the_control_may_be_any_arm() -> None:
    verdicts = Verdicts(Settings(), allowed=True, control=1)

    found = compare(("a", "b", "c"), [mean_arm(5), mean_arm(6), mean_arm(7)], PRIMARY, verdicts, method="delta_cluster")

    assert [(each["variant"], each["vs"], round(each["difference"]["estimate"])) for each in found] == [
        ("a", "b", -1),
        ("c", "b", 1),
    ]


def test_an_arms_own_interval_has_the_multiplier_of_its_comparison() -> None:
    verdicts = Verdicts(Settings(), allowed=True)

    assert verdicts.arm_critical_value(PRIMARY, [404, 396], 0) == pytest.approx(3.4892934266818445, rel=1e-8)
    assert verdicts.arm_critical_value(PRIMARY, [404, 396], 1) == pytest.approx(3.4892934266818445, rel=1e-8)
    control, small, large = (verdicts.arm_critical_value(PRIMARY, [400, 100, 400], arm) for arm in range(3))
    assert control == small > large
    assert verdicts.arm_critical_value(PRIMARY, [0, 0], 0) == math.inf


def test_without_declarations_latency_decides_and_errors_guard() -> None:
    def of(name: str, statistic: str = "mean", estimand: str = "per_call") -> tuple[str, float | None]:
        found = figure_of(Settings(), name, statistic, estimand, "lower_is_better")
        return found.role, found.margin

    assert of("latency_ms") == ("primary", None)
    assert of("latency_ms", "p95") == ("guardrail", 0.1)
    assert of("error_rate", "ratio") == ("guardrail", 0.1)
    assert of("fallback_rate", "proportion", "per_session") == ("guardrail", 0.1)
    assert of("latency_ms", "p50") == of("cost_usd") == ("secondary", None)


def test_a_declared_primary_takes_the_place_of_latency() -> None:
    declared = MetricSettings("score", role="primary", direction="lower_is_better", margin=0.02)
    settings = Settings(metrics=(declared,))

    score = figure_of(settings, "score", "mean", "per_session", "higher_is_better")
    latency = figure_of(settings, "latency_ms", "mean", "per_call", "lower_is_better")

    assert (score.role, score.direction, score.margin) == ("primary", "lower_is_better", 0.02)
    assert latency.role == "secondary"


def test_of_many_arms_each_has_a_chance_to_be_the_best() -> None:
    arms = [mean_arm(5), mean_arm(5.05), mean_arm(4.9), mean_arm(4.95)]
    found = compare("abcd", arms, PRIMARY, Verdicts(Settings(), allowed=True), method="delta_cluster")

    chances = [each["bayes"]["chance_to_be_best"] for each in found]

    assert chances[1] > chances[2] > chances[0] > 0
    assert sum(chances) < 1
    assert chances[1] > 0.8
