"""The recommendation: each action with what leads to it, and reasons that name their figures."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.corrections import conclude
from analytics.experiments.estimates import entry_of_sums
from analytics.experiments.figures import Figure, figure_of
from analytics.experiments.recommendation import recommend
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import RatioSums, estimate_ratio
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Traffic, Verdicts

HEALTHY: dict[str, Any] = {"status": "ok", "warnings": []}
OLD = Traffic(sessions=4000, sessions_per_day=100.0, calls_per_day=700.0, elapsed_days=40.0)
LATENCY = figure_of(Settings(), "latency_ms", "mean", "per_call", "lower_is_better")
ERRORS = figure_of(Settings(), "error_rate", "ratio", "per_call", "lower_is_better")
COST = figure_of(Settings(), "cost_usd", "mean", "per_session", "lower_is_better")


def advice(
    *figures: tuple[Figure, list[float]],
    sessions: int = 2000,
    traffic: Traffic | None = OLD,
    health: dict[str, Any] = HEALTHY,
    allowed: bool = True,
    spread: float = 0.2,
) -> dict[str, Any]:
    """Return the recommendation for figures with these means by arm; ``spread`` is their deviation, relative."""
    verdicts = Verdicts(Settings(), allowed, traffic=traffic)
    entries = [entry_of(figure, means, sessions, spread, verdicts) for figure, means in figures]
    conclude(entries, verdicts)
    return recommend(entries, health, verdicts)


def entry_of(figure: Figure, means: list[float], sessions: int, spread: float, verdicts: Verdicts) -> dict[str, Any]:
    arms = []
    for mean in means:
        squares = sessions * mean * mean + (sessions - 1) * (spread * means[0]) ** 2
        sums = RatioSums.for_mean(sessions, sessions * mean, squares)
        arms.append(ArmEstimate(estimate_ratio(sums), None, sessions, sessions, float(sessions), coverage=1.0))
    keys = "abcdefgh"[: len(means)]
    return {
        "name": figure.name,
        "statistic": figure.statistic,
        "estimand": figure.estimand,
        "role": figure.role,
        "direction": figure.direction,
        "comparisons": compare(keys, arms, figure, verdicts, method="delta_cluster"),
    }


def test_a_gain_without_harm_is_shipped() -> None:
    found = advice((LATENCY, [1000, 800]), (ERRORS, [0.05, 0.05]), (COST, [0.01, 0.01]))

    assert (found["action"], found["variant"]) == ("ship", "b")
    assert found["reasons"][0].startswith("latency_ms (mean per call) of b is -20.0 % against a (")


def test_of_two_gains_the_greater_is_shipped_and_of_two_harms_the_greater_rolled_back() -> None:
    assert advice((LATENCY, [1000, 900, 850]))["variant"] == "c"
    assert advice((LATENCY, [1000, 1200, 1500, 1300]))["variant"] == "c"


def test_harm_in_a_primary_figure_is_rolled_back() -> None:
    found = advice((LATENCY, [1000, 1200]), (ERRORS, [0.05, 0.05]))

    assert (found["action"], found["variant"]) == ("rollback", "b")
    assert "+20.0 %" in found["reasons"][0]


def test_a_breached_guardrail_is_rolled_back() -> None:
    found = advice((LATENCY, [1000, 1000]), (ERRORS, [0.05, 0.08]))

    assert (found["action"], found["variant"]) == ("rollback", "b")
    assert found["reasons"][0].startswith("error_rate (ratio per call) of b is +60.0 %")


@pytest.mark.parametrize(("figure", "means"), [(ERRORS, [0.05, 0.08]), (COST, [0.01, 0.015])])
def test_a_gain_here_and_harm_there_is_a_trade_off(figure: Figure, means: list[float]) -> None:
    found = advice((LATENCY, [1000, 800]), (figure, means))

    assert (found["action"], found["variant"]) == ("trade_off", "b")
    assert found["reasons"][0].startswith("for it: latency_ms")
    assert found["reasons"][1].startswith(f"against it: {figure.name}")


def test_harm_within_the_margin_of_a_guardrail_does_not_hold_back() -> None:
    found = advice((LATENCY, [1000, 800]), (ERRORS, [0.05, 0.0515]), sessions=50_000)

    assert found["action"] == "ship"


def test_a_guardrail_that_is_not_shown_to_hold_is_named() -> None:
    found = advice((LATENCY, [1000, 600]), (ERRORS, [0.05, 0.05]), sessions=500, spread=1.0)

    assert found["action"] == "ship"
    assert found["reasons"][1].startswith("not shown yet to be at most 10 % worse: error_rate")


def test_no_difference_is_said_where_one_that_matters_is_excluded() -> None:
    found = advice((LATENCY, [1000, 1003]), (ERRORS, [0.05, 0.05]), sessions=2000)

    assert (found["action"], found["variant"]) == ("no_difference", None)
    assert found["reasons"][0].startswith("a difference beyond ")


def test_at_the_planned_sessions_no_difference_that_could_be_found_is_none() -> None:
    def at(sessions: int) -> str:
        return str(advice((LATENCY, [1000, 1000]), sessions=sessions, spread=1.5)["action"])

    # 4,999 and 5,000 sessions in both arms, of which each interval reaches further than 5 %.
    assert (at(2499), at(2500)) == ("keep_running", "no_difference")


def test_absence_of_significance_is_no_absence_of_a_difference() -> None:
    found = advice((LATENCY, [1000, 1030]), sessions=300, spread=1.0)

    assert found["action"] == "keep_running"
    assert found["reasons"][0].startswith("undecided: latency_ms (mean per call) of b is +3.0 %")
    assert "more sessions, about " in found["reasons"][0]


def test_too_few_sessions_are_kept_running_however_clear() -> None:
    found = advice((LATENCY, [1000, 100]), sessions=60)

    assert found["action"] == "keep_running"
    assert found["reasons"][0].startswith("too few sessions yet, 120 in both arms")


def test_a_young_test_is_not_shipped_but_rolled_back() -> None:
    young = Traffic(sessions=4000, sessions_per_day=1000.0, calls_per_day=5000.0, elapsed_days=4.0)

    gain = advice((LATENCY, [1000, 800]), traffic=young)

    assert gain["action"] == "keep_running"
    assert gain["reasons"][0] == (
        "the test has run for 4.0 days; at 5000 calls a day it should run for 7, since no day is like another"
    )
    assert advice((LATENCY, [1000, 1200]), traffic=young)["action"] == "rollback"
    assert advice((LATENCY, [1000, 800, 1200]), traffic=young)["variant"] == "c"


def test_what_is_unhealthy_is_invalid_however_clear() -> None:
    sick = {"status": "invalid", "warnings": [{"code": "sample_ratio_mismatch", "message": "find out why"}]}

    for found in (advice((LATENCY, [1000, 800]), health=sick), advice((LATENCY, [1000, 800]), allowed=False)):
        assert (found["action"], found["variant"]) == ("invalid", None)
    assert advice((LATENCY, [1000, 800]), health=sick)["reasons"] == ["find out why"]


def test_without_a_primary_figure_nothing_is_decided() -> None:
    found = advice((COST, [0.01, 0.001]))

    assert found["action"] == "keep_running"
    assert "primary" in found["reasons"][0]


def test_the_cost_a_month_is_that_of_all_sessions_of_the_test() -> None:
    found = advice((LATENCY, [1000, 800]), (COST, [0.010, 0.008]))

    (impact,) = found["monthly_cost_impact_usd"]
    assert impact["estimate"] == pytest.approx(-0.002 * 100 * 30)
    assert impact["ci"][0] < impact["estimate"] < impact["ci"][1]
    assert found["reasons"][-1].startswith(
        "at the present traffic all sessions on b would cost 6.00 USD a month less than on the control"
    )
    assert advice((COST, [0.010, 0.008]), traffic=None)["monthly_cost_impact_usd"] == []


def test_arms_without_a_single_error_wait_for_none() -> None:
    found = advice((LATENCY, [1000, 800]), (ERRORS, [0.0, 0.0]))

    assert found["action"] == "ship"
    assert all("error_rate" not in reason for reason in found["reasons"])


def sums(mean: float, spread: float = 1.0) -> ArmSums:
    sessions = 4000 if mean else 0
    found = RatioSums.for_mean(sessions, sessions * mean, sessions * (mean * mean + spread * spread))
    return ArmSums((found if sessions else RatioSums.empty(),), sessions, sessions)


def concluded(verdicts: Verdicts, *figures: tuple[Figure, list[ArmSums]]) -> list[dict[str, Any]]:
    entries = [entry_of_sums(figure, None, arms, ["a", "b", "c"], verdicts) for figure, arms in figures]
    conclude(entries, verdicts)
    return entries


def test_a_variant_without_sessions_keeps_no_other_waiting() -> None:
    verdicts = Verdicts(Settings(), allowed=True, traffic=OLD)
    entries = concluded(verdicts, (LATENCY, [sums(10.0), sums(10.0), sums(0.0)]))

    found = recommend(entries, HEALTHY, verdicts)

    assert found["action"] == "no_difference"
    known, missing = entries[0]["comparisons"]
    assert known["bayes"]["chance_to_be_best"] == pytest.approx(0.5)
    assert (missing["status"], missing["bayes"]) == ("no_data", None)


def test_harm_of_a_variant_whose_primary_has_no_value_is_still_seen() -> None:
    verdicts = Verdicts(Settings(), allowed=True, traffic=OLD)
    errors = (ERRORS, [sums(0.02, 0.1), sums(0.02, 0.1), sums(0.2, 0.1)])
    entries = concluded(verdicts, (LATENCY, [sums(10.0), sums(10.0), sums(0.0)]), errors)

    found = recommend(entries, HEALTHY, verdicts)

    assert (found["action"], found["variant"]) == ("rollback", "c")
