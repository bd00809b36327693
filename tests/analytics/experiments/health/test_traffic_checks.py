"""What the calls of an experiment tell of its health: other models that answer, errors that jump."""

from datetime import UTC, date, datetime, timedelta

import pytest

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.health.errors import SESSIONS_MIN, error_jumps
from analytics.experiments.health.served import CHANGES_MAX, served_model_changes
from analytics.experiments.health.traffic import ModelDay, RecentErrors
from analytics.experiments.statistics import RatioSums
from storage.registry.resources import ConfigVersion

START = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"


def experiment() -> Experiment:
    body = {"variants": [{"model": "gpt-4o", "weight": 50}, {"model": "o1", "weight": 50}]}
    made = experiment_of("key", [ConfigVersion(1, START, body)])
    assert made is not None
    return made


def served(number: int, model: str, calls: int = 10, arm: int = 0) -> ModelDay:
    return ModelDay(
        arm, date(2026, 1, 1) + timedelta(days=number), model, calls, START + timedelta(days=number, hours=7)
    )


def test_another_model_that_answers_is_told_with_when_it_first_did() -> None:
    days = [served(0, OLD), served(1, OLD, 9), served(1, NEW, 2), served(2, NEW), served(3, NEW)]

    assert served_model_changes(experiment(), days) == [
        {"variant": "gpt-4o", "from": OLD, "to": NEW, "at": (START + timedelta(days=1, hours=7)).isoformat()}
    ]


def test_a_mixture_of_models_and_an_undated_name_are_no_change() -> None:
    mixed = [one for day in range(6) for one in (served(day, OLD, 6), served(day, NEW, 4))]

    assert served_model_changes(experiment(), mixed) == []
    assert served_model_changes(experiment(), [served(0, "gpt-4o"), served(1, OLD), served(2, "openai/gpt-4o")]) == []


def test_each_arm_has_its_own_models() -> None:
    days = [served(0, OLD), served(1, OLD), served(0, "o1-2024-12-17", arm=1), served(1, "o1-2025-01-01", arm=1)]

    assert [change["variant"] for change in served_model_changes(experiment(), days)] == ["o1"]


def test_the_latest_of_many_changes_are_told() -> None:
    days = [served(day, (OLD, NEW)[day % 2]) for day in range(60)]

    changes = served_model_changes(experiment(), days)

    assert len(changes) == CHANGES_MAX
    assert changes[-1]["at"] == (START + timedelta(days=59, hours=7)).isoformat()


def sums(sessions: int, errors: int) -> RatioSums:
    """Return the sums of sessions of four calls, of which so many have one that failed."""
    return RatioSums(sessions, errors, errors, 4.0 * sessions, 16.0 * sessions, 4.0 * errors)


def jumps(before: RatioSums, recent: RatioSums, *more: RecentErrors) -> list[dict[str, object]]:
    return error_jumps(experiment(), [RecentErrors(0, "hour", START, before, recent), *more])


def test_errors_that_jump_are_told_of_their_arm() -> None:
    (found,) = jumps(sums(1_000, 20), sums(100, 40))

    assert (found["code"], found["variant"], found["period"]) == ("error_jump", "gpt-4o", "hour")
    assert (found["before"], found["recent"]) == (pytest.approx(0.005), pytest.approx(0.1))


@pytest.mark.parametrize(
    ("before", "recent"),
    [
        (sums(1_000, 20), sums(100, 2)),
        (sums(1_000, 400), sums(100, 2)),
        (sums(1_000, 20), sums(SESSIONS_MIN - 1, SESSIONS_MIN - 1)),
        (sums(SESSIONS_MIN - 1, 0), sums(100, 40)),
        (sums(100_000, 2_000), sums(100_000, 2_900)),
        (RatioSums.empty(), sums(100, 40)),
    ],
)
def test_no_jump_is_seen_where_there_is_none_or_too_little(before: RatioSums, recent: RatioSums) -> None:
    assert jumps(before, recent) == []


def test_an_arm_that_fails_altogether_is_told() -> None:
    all_fail = RatioSums(50, 200.0, 800.0, 200.0, 800.0, 800.0)

    (found,) = jumps(sums(100, 0), all_fail)

    assert (found["before"], found["recent"], found["p_value"]) == (0.0, 1.0, 0.0)


def test_a_jump_is_told_once_of_the_shortest_period() -> None:
    of_day = RecentErrors(0, "day", START, sums(1_000, 20), sums(100, 40))

    assert [jump["period"] for jump in jumps(sums(1_000, 20), sums(100, 40), of_day)] == ["hour"]
    assert [jump["period"] for jump in jumps(sums(1_000, 20), sums(100, 2), of_day)] == ["day"]
