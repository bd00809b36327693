"""Rollouts: the usual shapes give the weights that were meant, and a step that is due is taken once, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.api.config import Config
from schemas.api.rollout import Rollout
from storage.registry.errors import DocumentError
from storage.registry.rollouts import canary, champion_challenger, conclude, even

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def config(*weights: float, **fields: Any) -> Config:
    variants = [{"model": f"m{index}", "weight": weight} for index, weight in enumerate(weights)]
    return Config.model_validate({"key": "c", "variants": variants, **fields})


def weights_of_steps(rolling: Config) -> list[list[float]]:
    assert rolling.rollout is not None
    return [step.weights for step in rolling.rollout.steps]


def test_even_leaves_out_what_is_off() -> None:
    assert even(config(70, 0, 30)).weights() == [50, 0, 50]


def test_a_champion_gets_its_share_and_the_others_keep_their_proportions() -> None:
    assert champion_challenger(config(10, 30, 60), "m2", share=80).weights() == [5, 15, 80]


def test_a_canary_grows_step_by_step_and_the_others_keep_their_proportions() -> None:
    rolling = canary(config(60, 20, 0), "m2", steps=[5, 25, 100], every=DAY, start=NOON)

    assert weights_of_steps(rolling) == [[71.25, 23.75, 5], [56.25, 18.75, 25], [0, 0, 100]]
    assert rolling.weights() == [60, 20, 0], "until its first step nothing changes"


def test_a_canary_that_has_all_already_gives_the_others_the_rest_evenly() -> None:
    assert weights_of_steps(canary(config(0, 0, 100), "m2", steps=[50], every=DAY, start=NOON)) == [[25, 25, 50]]


def test_a_conclusion_keeps_the_losers_off() -> None:
    done = conclude(canary(config(50, 50), "m1", steps=[5, 10], every=DAY, start=NOON), "m0")

    assert (done.weights(), done.rollout) == ([100, 0], None)


def test_variants_of_an_object_are_named_by_their_names() -> None:
    named = Config.model_validate(
        {"key": "c", "variants": {"old": {"model": "m", "weight": 1}, "new": {"model": "m", "weight": 1}}}
    )
    assert conclude(named, "new").weights() == [0, 100]
    assert list(conclude(named, "new").variants) == ["old", "new"]


@pytest.mark.parametrize(
    ("steps", "every", "words"),
    [
        ([], DAY, r"steps: must be shares in percent that rise, such as \[5, 25, 100\], got \[\]"),
        ([25, 5], DAY, "that rise"),
        ([5, 5], DAY, "that rise"),
        ([5, 101], DAY, r"steps\[1\]: must be between 0 and 100, got 101"),
        ([5], timedelta(0), "every_s: must be > 0, got 0"),
    ],
)
def test_a_canary_that_makes_no_sense_is_refused(steps: list[float], every: timedelta, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        canary(config(50, 50), "m1", steps=steps, every=every, start=NOON)


def test_a_variant_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DocumentError, match="no variant 'x': there are 'm0', 'm1'"):
        conclude(config(50, 50), "x")


def test_of_several_steps_that_are_due_the_last_one_counts() -> None:
    rolling = canary(config(100, 0), "m1", steps=[5, 25, 100], every=DAY, start=NOON)
    assert rolling.rollout is not None

    early = rolling.rollout.due(NOON - DAY)
    late = rolling.rollout.due(NOON + DAY)
    done = rolling.rollout.due(NOON + 5 * DAY)

    assert early == (None, rolling.rollout)
    assert late[0] is not None
    assert late[0].weights == [75, 25]
    assert late[1] is not None
    assert [step.weights for step in late[1].steps] == [[0, 100]]
    assert done[0] is not None
    assert (done[0].weights, done[1]) == ([0, 100], None)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "at least 1 item"),
        ([{"at": "2026-11-21T12:00:00", "weights": [1, 1]}], "timezone"),
        ([{"at": "soon", "weights": [1, 1]}], "must be a time such as 2026-11-21T09:00:00Z, got 'soon'"),
        ([{"at": "2026-11-21T12:00:00Z", "weights": [0, 0]}], "at least one weight must be > 0"),
        ([{"at": "2026-11-21T12:00:00Z", "weights": [1, 1]}] * 2, "must be later than the step before"),
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(steps: list[Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Rollout.model_validate({"steps": steps})


def test_a_rollout_has_a_weight_for_each_variant() -> None:
    with pytest.raises(ValidationError, match="must have 2 items, one a variant, got 3"):
        config(50, 50, rollout={"steps": [{"at": "2026-11-21T12:00:00Z", "weights": [1, 2, 3]}]})
