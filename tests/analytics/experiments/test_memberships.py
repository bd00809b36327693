"""At the end of each day the sessions that count, and where, are those that the exposures until then tell of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import Window, cohort_of
from analytics.experiments.exposure_rows import EXPOSURE_ROWS
from analytics.experiments.memberships import Memberships, memberships
from storage.registry.resources import ConfigVersion

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 6
MODELS = ("a", "b", "none of them")
BODIES: dict[str, dict[str, Any]] = {
    "by session": {},
    "by customer": {"sticky_by": "customer", "hash_version": 2},
    "targeted": {"targeting": {"individualTargets": [{"field": "customerId", "value": "c1", "variantIndex": 1}]}},
}


def experiment_with(body: dict[str, Any]) -> Experiment:
    weights = ((50, 50), (20, 80))
    made = experiment_of(
        "config",
        [
            ConfigVersion(
                place + 1,
                FIRST + 3 * place * DAY,
                {"variants": [{"model": m, "weight": w} for m, w in zip(MODELS, of, strict=False)], **body},
            )
            for place, of in enumerate(weights)
        ],
    )
    assert made is not None
    return made


def exposures(seed: int) -> pa.Table:
    """Return exposures of which a third are the session's second or third, often to another arm or with a customer."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(300):
        when = FIRST + float(chance.uniform(0, DAYS)) * DAY
        rows.append(
            {
                "session_id": f"s{chance.integers(200)}",
                "config_version": int(chance.integers(1, 3)) if chance.random() < 0.3 else None,
                "assigned_model": MODELS[int(chance.choice(3, p=(0.45, 0.45, 0.1)))],
                "customer_id": f"c{chance.integers(4)}" if chance.random() < 0.5 else None,
                "event_time": when,
            }
        )
    return pa.Table.from_pylist(rows, EXPOSURE_ROWS)


def at_end_of(day: int, found: Memberships) -> dict[str, tuple[int, int]]:
    names = found.cohort.session_ids.to_pylist()
    return {
        names[row["number"]]: (row["arm"], row["epoch"])
        for row in found.members.to_pylist()
        if row["since"] <= day and (row["until"] is None or day < row["until"])
    }


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("seed", [1, 2])
def test_they_are_those_of_the_exposures_until_then(body: dict[str, Any], seed: int) -> None:
    of, rows = experiment_with(body), exposures(seed)
    window = Window(FIRST + DAY / 2, FIRST + (DAYS - 1) * DAY)

    found = memberships(of, rows, None, window)

    first_day = (FIRST - datetime(1970, 1, 1, tzinfo=UTC)) // DAY
    times = rows["event_time"].to_pylist()
    for place in range(DAYS):
        known = rows.filter(pa.array([time < FIRST + (place + 1) * DAY for time in times]))
        cohort = cohort_of(of, known, None, window)
        wanted = {
            session: (int(arm), int(epoch))
            for session, arm, epoch, counts in zip(
                cohort.session_ids.to_pylist(), cohort.arms, cohort.epochs, cohort.is_counted, strict=True
            )
            if counts
        }
        assert at_end_of(first_day + place, found) == wanted
        assert wanted or place == 0
    # Some leave, so that the days differ in more than who has come.
    assert found.members["until"].null_count < len(found.members)


def test_what_was_before_the_first_day_that_is_looked_at_is_of_that_day() -> None:
    found = memberships(experiment_with({}), exposures(1), None, Window())
    first = found.first_day
    assert first is not None

    late = found.since_day(first + 3)

    assert late.first_day == first + 3
    for day in range(first + 3, first + DAYS):
        assert at_end_of(day, late) == at_end_of(day, found)
