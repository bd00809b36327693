"""Each warning of the health section comes where it should, and not where it shouldn't."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import LABELS, Cohort, Label
from analytics.experiments.health import Health, health_of
from analytics.experiments.measures import Dominance
from schemas.table import TIMESTAMP
from storage.registry.resources import ConfigVersion

START = datetime(2026, 1, 1, tzinfo=UTC)
FAIR = Dominance(0.01, 180.0)


def experiment(*weights: float) -> Experiment:
    bodies = [{"variants": [{"model": "a", "weight": each}, {"model": "b", "weight": 100 - each}]} for each in weights]
    made = experiment_of("key", [ConfigVersion(n, START + timedelta(days=n - 1), b) for n, b in enumerate(bodies, 1)])
    assert made is not None
    return made


def health(
    groups: dict[tuple[Label, int, int], int], *, weights: tuple[float, ...] = (50,), late: int = 0, **more: Any
) -> Health:
    """Return the health of so many sessions of each label, arm and epoch."""
    sessions = [group for group, count in groups.items() for _ in range(count)]
    cohort = Cohort(
        session_ids=pa.array([f"s-{place}" for place in range(len(sessions))]),
        exposed_at=pa.array([START] * len(sessions), TIMESTAMP),
        labels=np.array([LABELS.index(label) for label, _, _ in sessions], np.int8),
        arms=np.array([arm for _, arm, _ in sessions], np.int64),
        epochs=np.array([epoch for _, _, epoch in sessions], np.int64),
        stale_clients=late,
    )
    given = {"unexposed_sessions": 0, "dominance": FAIR} | more
    return health_of(experiment(*weights), cohort, **given)


def codes(found: Health) -> list[str]:
    return [each["code"] for each in found.section["warnings"]]


FINE: dict[tuple[Label, int, int], int] = {("randomised", 0, 0): 150, ("randomised", 1, 0): 150}


def test_all_is_well() -> None:
    found = health(FINE)

    assert (found.section["status"], found.section["warnings"], found.allows_verdict) == ("ok", [], True)


def test_a_mismatch_makes_it_invalid() -> None:
    found = health({("randomised", 0, 0): 1500, ("randomised", 1, 0): 900})

    assert (found.section["status"], found.allows_verdict) == ("invalid", False)
    assert codes(found)[0] == "sample_ratio_mismatch"


def test_one_session_that_makes_most_calls_is_told() -> None:
    assert codes(health(FINE, dominance=Dominance(0.3, 90.0))) == ["dominant_session"]
    assert codes(health(FINE, dominance=Dominance(0.01, 29.0))) == ["dominant_session"]


def test_sessions_that_do_not_count_are_told_with_their_number() -> None:
    found = health(
        FINE | {("stale_version", -1, -1): 7, ("crossover", -1, 0): 2, ("model_mismatch", 0, 0): 4},
        late=5,
        unexposed_sessions=3,
    )

    counts = {each["code"]: each.get("count") for each in found.section["warnings"]}
    assert counts == {
        "config_changed": 2, "stale_clients": 5, "crossover": 2, "model_mismatch": 4, "missing_exposure": 3
    }  # fmt: skip
    assert found.section["model_mismatches"] == {"count": 4, "share": 4 / 304}
    assert found.section["srm"]["observed"] == [154, 150]


def test_fallbacks_are_told_from_a_hundredth_on() -> None:
    assert codes(health(FINE | {("fallback", -1, 0): 3})) == []
    assert codes(health(FINE | {("fallback", -1, 0): 4})) == ["fallback"]


def test_an_epoch_without_an_arm_is_told() -> None:
    found = health(FINE | {("randomised", 0, 1): 3}, weights=(50, 100))

    left_out = [each for each in found.section["warnings"] if each["code"] == "epoch_left_out"]
    assert [(each["epoch"], each["variants"]) for each in left_out] == [(2, ["b"])]


def reasons(found: Health) -> list[str]:
    (uneven,) = [each for each in found.section["warnings"] if each["code"] == "uneven_distribution"]
    return list(uneven["reasons"])


def test_why_a_distribution_is_uneven_is_told() -> None:
    assert reasons(health({("randomised", 0, 0): 6, ("randomised", 1, 0): 4})) == ["too_early"]
    assert reasons(health(FINE | {("targeted", 0, 0): 100})) == ["targeted", "too_early"]
    assert reasons(health({("randomised", 0, 0): 1500, ("randomised", 1, 0): 900})) == ["unexplained"]
    changed = {("randomised", 0, 0): 900, ("randomised", 1, 0): 100}
    changed |= {("randomised", 0, 1): 500, ("randomised", 1, 1): 500}
    assert reasons(health(changed, weights=(90, 50))) == ["weights_changed"]
