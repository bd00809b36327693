"""What is told of an experiment: each condition when it comes, and again only after it has gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alert_results import NOW, RUNNING, results_of

from analytics.experiments.alerts import Changes, Condition, alerts_of
from analytics.experiments.settings import Settings

JUMP = {"code": "error_jump", "message": "the calls of 'b' fail at 20.0 %", "variant": "b", "recent": 0.2}


def changes(results: dict[str, Any], *previous: Condition, settings: Settings = RUNNING) -> Changes:
    return alerts_of(results, settings, [condition.identity for condition in previous], NOW)


def kinds(found: Changes) -> set[str]:
    return {condition.kind for condition in found.raised}


def test_of_arms_that_are_alike_nothing_is_told() -> None:
    assert changes(results_of()) == Changes((), (), ())


def test_a_breached_guardrail_is_told_with_its_variant_figure_and_margin() -> None:
    found = changes(results_of(errors=(0.05, 0.08)))

    (breached,) = (condition for condition in found.raised if condition.kind == "guardrail")
    assert (breached.variant, breached.figure) == ("b", "error_rate (ratio per call)")
    assert breached.message.startswith("the guardrail error_rate (ratio per call) of b is worse than a's by 60.0 % (+")
    assert breached.figures["non_inferiority"]["verdict"] == "fail"
    assert breached.figures["lift"]["estimate"] == pytest.approx(0.6)


def test_a_guardrail_that_is_better_is_not_told() -> None:
    assert "guardrail" not in kinds(changes(results_of(errors=(0.05, 0.02))))


def test_harm_within_the_margin_is_told_where_it_is_significant() -> None:
    # 3 % worse is well within the 10 % that are allowed, and with so many sessions no chance.
    found = changes(results_of(errors=(0.05, 0.0515), sessions=20_000))

    (breached,) = (condition for condition in found.raised if condition.kind == "guardrail")
    assert breached.figures["non_inferiority"]["verdict"] == "pass"


def test_a_guardrail_of_few_sessions_is_not_told() -> None:
    assert kinds(changes(results_of(errors=(0.05, 0.5), sessions=50))) == set()


def test_what_holds_is_told_once_and_again_after_it_has_gone() -> None:
    bad, good = results_of(errors=(0.05, 0.08)), results_of()
    first = changes(bad)

    again = changes(bad, *first.holding)
    gone = changes(good, *first.holding)
    back = changes(bad)

    assert first.raised
    assert (again.raised, again.cleared) == ((), ())
    assert set(gone.cleared) == {condition.identity for condition in first.holding}
    assert back.raised == first.raised


def test_each_variant_is_told_of_by_itself() -> None:
    first = changes(results_of(latency=(1000, 1000, 1000), errors=(0.05, 0.08, 0.05)))

    then = changes(results_of(latency=(1000, 1000, 1000), errors=(0.05, 0.08, 0.09)), *first.holding)

    assert [condition.variant for condition in then.raised if condition.kind == "guardrail"] == ["c"]


def test_new_weights_tell_nothing_anew_and_new_arms_do() -> None:
    first = changes(results_of(errors=(0.05, 0.08)))

    new_weights = changes(results_of(errors=(0.05, 0.08), versions=(1, 2)), *first.holding)
    new_arms = changes(results_of(errors=(0.05, 0.08), versions=(3,)), *first.holding)

    assert new_weights.raised == ()
    assert {condition.kind for condition in new_arms.raised} == {condition.kind for condition in first.raised}


def test_a_sample_ratio_mismatch_is_told_and_keeps_what_rests_on_effects_as_it_was() -> None:
    first = changes(results_of(errors=(0.05, 0.08)))

    mismatch = changes(results_of(srm={"sequential_p": 1e-9}), *first.holding)

    assert kinds(mismatch) == {"srm"}
    assert mismatch.raised[0].figures["sequential_p"] == 1e-9
    assert mismatch.cleared == ()


@pytest.mark.parametrize(("p_values", "is_told"), [((1.0, 0.004), True), ((1.0, 0.006), False), ((0.009,), True)])
def test_the_sample_ratio_of_one_epoch_is_held_to_its_share_of_the_level(
    p_values: tuple[float, ...], is_told: bool
) -> None:
    epochs = [{"sequential_p": p_value} for p_value in p_values]

    found = changes(results_of(srm={"by_epoch": epochs}))

    assert ("srm" in kinds(found)) == is_told


def test_an_error_jump_is_told_of_its_variant() -> None:
    (jump,) = changes(results_of(warnings=(JUMP,))).raised

    assert (jump.kind, jump.variant, jump.message) == ("error_jump", "b", JUMP["message"])
    assert jump.figures == {"recent": 0.2}


def test_a_decision_is_told_as_finished_and_as_a_recommendation() -> None:
    found = changes(results_of(latency=(1000, 800)))

    told = {condition.kind: condition for condition in found.raised}
    assert told["finished"].message == "the test can be ended: the recommendation is ship (b)"
    assert (told["recommendation"].variant, told["recommendation"].figure) == ("b", "ship")
    assert told["recommendation"].message.startswith("the recommendation is ship (b): latency_ms (mean per call) of b")


def test_another_recommendation_is_another_one_and_the_test_is_still_finished() -> None:
    first = changes(results_of(latency=(1000, 800)))

    then = changes(results_of(latency=(1000, 1200)), *first.holding)

    assert {condition.figure for condition in then.raised if condition.kind == "recommendation"} == {"rollback"}
    assert "finished" not in kinds(then)
    assert ("recommendation", "1", "b", "ship") in then.cleared


def test_a_planned_end_that_is_reached_is_told() -> None:
    before = replace(RUNNING, planned_end=NOW + timedelta(seconds=1))
    after = replace(RUNNING, planned_end=NOW)

    assert kinds(changes(results_of(), settings=before)) == set()
    (finished,) = changes(results_of(), settings=after).raised
    assert finished.message == "the test can be ended: its planned end, 2026-11-22T12:00:00Z, is reached"


@pytest.mark.parametrize(("n_star", "is_told"), [(4000, True), (4001, False)])
def test_the_sessions_that_were_planned_are_told_when_the_smallest_comparison_has_them(
    n_star: int, is_told: bool
) -> None:
    settings = replace(RUNNING, n_star=n_star)
    results = results_of(settings=settings)
    # A third arm that gets none any more is not waited for.
    results["variants"].append({"key": "c", "weight": 0.0, "sessions": 3})

    assert told_of_sessions(results, settings) == is_told


def told_of_sessions(results: dict[str, Any], settings: Settings) -> bool:
    messages = [each.message for each in changes(results, settings=settings).raised if each.kind == "finished"]
    return any(f"it has the {settings.n_star} sessions for which it was planned, 4000" in each for each in messages)


def test_the_sessions_of_a_plan_end_no_test_of_another_inference() -> None:
    settings = replace(RUNNING, n_star=4000, inference="fixed_horizon")

    assert not told_of_sessions(results_of(settings=settings), settings)


@pytest.mark.parametrize("status", ["planned", "ended"])
def test_an_experiment_that_does_not_run_comes_and_goes_with_nothing(status: Any) -> None:
    first = changes(results_of(errors=(0.05, 0.08)))

    assert changes(results_of(), *first.holding, settings=replace(RUNNING, status=status)) == Changes((), (), ())
