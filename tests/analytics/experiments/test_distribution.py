"""Over a million sessions: the split is that of the weights, and salted tests know nothing of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytics.experiments.assignments import REASONS, assign_many
from fallom.assignment import effective_shares

SESSIONS = 1_000_000
SIGMAS = 4
NAMES = [f"session-{number}" for number in range(SESSIONS)]
WEIGHTS: list[list[float]] = [[50, 50], [95, 5], [33.3, 33.3, 33.4], [99.9, 0.1], [0, 70, 30]]


def config(weights: list[float], key: str = "one", **more: Any) -> dict[str, Any]:
    return {"key": key, "variants": [{"model": "m", "weight": weight} for weight in weights], **more}


def arms(made: dict[str, Any]) -> NDArray[np.int64]:
    return assign_many(made, NAMES).variant_indexes


def allowed(share: float, count: int = SESSIONS) -> float:
    return SIGMAS * float((count * share * (1 - share)) ** 0.5)


@pytest.mark.parametrize("hash_version", [1, 2])
def test_the_split_is_that_of_the_weights(hash_version: int) -> None:
    for weights in WEIGHTS:
        counts = np.bincount(arms(config(weights, hash_version=hash_version)), minlength=len(weights))
        for count, share in zip(counts, effective_shares(weights), strict=True):
            assert abs(count - SESSIONS * share) <= allowed(share), (weights, counts)


def test_the_traffic_share_is_kept_and_split_as_the_weights_say() -> None:
    found = assign_many(config([80, 20], hash_version=2, traffic=30), NAMES)
    inside = found.variant_indexes[found.reasons != REASONS.index("outside_traffic")]

    assert abs(len(inside) - 0.3 * SESSIONS) < allowed(0.3)
    assert abs(inside.sum() - 0.2 * len(inside)) < allowed(0.2, len(inside))


@pytest.mark.parametrize("other", [{"key": "two"}, {"key": "one", "seed": "again"}, {"key": "one", "hash_version": 1}])
def test_a_salted_test_is_not_correlated_with_another(other: dict[str, Any]) -> None:
    one = arms(config([50, 50], hash_version=2))
    two = arms(config([50, 50], **({"hash_version": 2} | other)))

    # Of independent arms the correlation is normal, of standard error 1/√n.
    assert abs(np.corrcoef(one, two)[0, 1]) < SIGMAS / SESSIONS**0.5


def test_unsalted_tests_are_wholly_correlated() -> None:
    one, two = (arms(config([50, 50], key)) for key in ("one", "two"))

    assert np.corrcoef(one, two)[0, 1] == pytest.approx(1)
