"""The sample ratio of several weight epochs, as it is looked at day by day."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import LABELS, Cohort
from analytics.experiments.health.sample_ratio import LOOKS_MAX, sample_ratio
from analytics.experiments.statistics import log_bayes_factor
from schemas.table import TIMESTAMP
from storage.registry.resources import ConfigVersion

START = datetime(2026, 1, 1, tzinfo=UTC)

Exposed = tuple[float, int, int]


def experiment(*weights: tuple[float, float]) -> Experiment:
    versions = [
        ConfigVersion(number, START + timedelta(days=10 * (number - 1)), body)
        for number, (a, b) in enumerate(weights, 1)
        for body in [{"variants": [{"model": "a", "weight": a}, {"model": "b", "weight": b}]}]
    ]
    made = experiment_of("key", versions)
    assert made is not None
    return made


def cohort(sessions: Sequence[Exposed], label: str = "randomised") -> Cohort:
    """Return the cohort of sessions, each a day, an arm and an epoch."""
    return Cohort(
        session_ids=pa.array([f"s-{place}" for place in range(len(sessions))]),
        exposed_at=pa.array([START + timedelta(days=day) for day, _, _ in sessions], TIMESTAMP),
        labels=np.full(len(sessions), LABELS.index(label), np.int8),  # type: ignore[arg-type] # a label
        arms=np.array([arm for _, arm, _ in sessions], np.int64),
        epochs=np.array([epoch for _, _, epoch in sessions], np.int64),
        stale_clients=0,
    )


def split(day: float, a: int, b: int, epoch: int = 0) -> list[Exposed]:
    return [(day, 0, epoch)] * a + [(day, 1, epoch)] * b


def test_the_sequential_p_is_the_least_of_all_days() -> None:
    # Bad on the first day, made up for on the third.
    days = [*split(0.9, 300, 200), *split(1.1, 250, 250), *split(2.5, 450, 550)]
    totals = [(300, 200), (550, 450), (1000, 1000)]
    expected = math.exp(-max(0.0, *(log_bayes_factor(counts, (50, 50)) for counts in totals)))

    found = sample_ratio(experiment((50, 50)), cohort(days))

    assert found.sequential_p == pytest.approx(expected, rel=1e-12)
    assert found.epochs[0].sequential_p == found.sequential_p < 0.05
    assert found.test.p_value == pytest.approx(1.0)


def test_the_order_of_the_rows_changes_nothing() -> None:
    days = [*split(0.9, 300, 200), *split(1.1, 250, 250, 0), *split(12, 90, 10, 1)]
    shuffled = [days[place] for place in np.random.default_rng(1).permutation(len(days))]
    made = experiment((50, 50), (90, 10))

    assert sample_ratio(made, cohort(days)).to_json() == sample_ratio(made, cohort(shuffled)).to_json()


def test_epochs_are_tested_by_their_own_weights_and_added() -> None:
    made = experiment((50, 50), (90, 10))
    sessions = [*split(1, 500, 500), *split(11, 900, 100, 1)]

    found = sample_ratio(made, cohort(sessions)).to_json()

    assert found["observed"] == [1400, 600]
    assert found["expected"] == pytest.approx([1400, 600])
    assert found["chi2_p"] == pytest.approx(1.0)
    assert found["sequential_p"] == 1.0
    assert [(epoch["epoch"], epoch["versions"], epoch["observed"]) for epoch in found["by_epoch"]] == [
        (1, [1], [500, 500]),
        (2, [2], [900, 100]),
    ]
    assert found["by_epoch"][0]["until"] == found["by_epoch"][1]["from"] == (START + timedelta(days=10)).isoformat()
    assert found["by_epoch"][1]["until"] is None
    assert found["by_epoch"][1]["weights"] == pytest.approx([0.9, 0.1])


def test_mismatches_that_cancel_each_other_out_are_found() -> None:
    sessions = [*split(1, 600, 400), *split(11, 400, 600, 1)]

    found = sample_ratio(experiment((50, 50), (50.1, 49.9)), cohort(sessions))

    assert found.is_invalid
    assert found.warnings()[0]["code"] == "sample_ratio_mismatch"


def test_the_factors_of_epochs_add_up_day_by_day() -> None:
    made = experiment((50, 50), (80, 20))
    sessions = [*split(1, 60, 40), *split(2, 70, 30), *split(11, 80, 20, 1), *split(12, 60, 40, 1)]
    of_first = [log_bayes_factor(counts, (50, 50)) for counts in ((60, 40), (130, 70))]
    of_second = [log_bayes_factor(counts, (80, 20)) for counts in ((80, 20), (140, 60))]
    totals = [*of_first, *(of_first[-1] + each for each in of_second)]

    found = sample_ratio(made, cohort(sessions))

    assert found.sequential_p == pytest.approx(math.exp(-max(0.0, *totals)), rel=1e-12)


def test_sessions_that_do_not_count_are_not_observed() -> None:
    assert sample_ratio(experiment((50, 50)), cohort(split(1, 5, 0), "targeted")).test.observed == (0, 0)


def test_without_sessions_there_is_nothing_to_test() -> None:
    found = sample_ratio(experiment((50, 50), (80, 20)), cohort([]))

    assert (found.sequential_p, found.test.p_value, found.is_invalid) == (1.0, None, False)
    assert found.warnings() == []


def test_many_days_are_looked_at_and_the_oldest_at_once() -> None:
    sessions = [one for day in range(LOOKS_MAX + 50) for one in split(day, 1, 1)]

    found = sample_ratio(experiment((50, 50)), cohort(sessions))

    assert len(found.epochs[0].factors) == LOOKS_MAX
    assert found.test.observed == (LOOKS_MAX + 50, LOOKS_MAX + 50)
    assert found.epochs[0].factors[0] == pytest.approx(log_bayes_factor((51, 51), (50, 50)))
