"""Whatever values sessions give, in however few of them: the entries are JSON, consistent, and never NaN."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.experiments.adjusted_entries import adjusted_entry
from analytics.experiments.corrections import conclude
from analytics.experiments.covariates import CovariateValues
from analytics.experiments.estimates import entry_of_sums
from analytics.experiments.figures import Figure
from analytics.experiments.recommendation import recommend
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import CovariateSums, RatioSums
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Traffic, Verdicts

NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-300, -1e-200, 1e150, 1e160, -1e300, 1.7e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
SESSIONS = st.lists(st.tuples(NUMBERS, st.sampled_from([0.0, 1.0, 3.0]), NUMBERS), max_size=6)
ARMS = st.lists(st.lists(SESSIONS, min_size=1, max_size=1), min_size=2, max_size=4) | st.lists(
    st.lists(SESSIONS, min_size=2, max_size=2), min_size=2, max_size=3
)
HEALTHY = {"status": "ok", "warnings": []}


def sums_of(sessions: list[tuple[float, float, float]]) -> tuple[RatioSums, CovariateSums]:
    if not sessions:
        return RatioSums.empty(), CovariateSums.empty()
    x, n, p = np.array(sessions, dtype=np.float64).T
    with np.errstate(over="ignore", invalid="ignore"):
        return RatioSums.from_sessions(x * (n > 0), n), CovariateSums.from_sessions(x * (n > 0), n, p)


@given(
    arms=ARMS,
    control=st.integers(0, 3),
    inference=st.sampled_from(["sequential", "fixed_horizon", "bayesian"]),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
    direction=st.sampled_from(["lower_is_better", "higher_is_better", "neutral"]),
    role=st.sampled_from(["primary", "secondary", "guardrail"]),
)
def test_any_values_make_entries_that_are_json(
    arms: list[list[list[tuple[float, float, float]]]], control: int, inference: Any, alpha: float, direction: Any,
    role: Any,
) -> None:  # fmt: skip
    found = [[sums_of(epoch) for epoch in arm] for arm in arms]
    sums = [ArmSums(tuple(pair[0] for pair in arm), float(sum(map(len, epochs))), float(sum(map(len, epochs))))
            for arm, epochs in zip(found, arms, strict=True)]  # fmt: skip
    keys = [f"arm-{place}" for place in range(len(arms))]
    traffic = Traffic(sum(len(epoch) for arm in arms for epoch in arm), 3.0, 9.0, 30.0)
    settings = Settings(inference=inference, alpha=alpha)
    verdicts = Verdicts(settings, allowed=True, control=control % len(arms), traffic=traffic)
    margin = 0.1 if role == "guardrail" else None
    figure = Figure("cost_usd", "mean", "per_session", role=role, direction=direction, margin=margin)
    covariate = CovariateValues("hour_of_day", [tuple(pair[1] for pair in arm) for arm in found], 1.0)

    entries = [entry_of_sums(figure, None, sums, keys, verdicts)]
    adjusted = adjusted_entry(figure, None, sums, covariate, keys, verdicts)
    entries += [] if adjusted is None else [adjusted]
    conclude(entries, verdicts)
    told = recommend(entries, HEALTHY, verdicts)

    json.dumps([entries, told], allow_nan=False)
    for entry in entries:
        assert [each["vs"] for each in entry["comparisons"]] == [keys[control % len(arms)]] * (len(arms) - 1)
        for each in entry["comparisons"]:
            interval = each["difference"]["ci"]
            assert interval is None or interval[0] <= each["difference"]["estimate"] <= interval[1]
            assert not each["significant"]


@pytest.mark.parametrize("inference", ["sequential", "fixed_horizon", "bayesian"])
@pytest.mark.parametrize("direction", ["lower_is_better", "higher_is_better"])
@pytest.mark.parametrize("control", [0, 1, 2])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_the_better_arm_is_shipped_whichever_is_the_control(
    inference: Any, direction: Any, control: int, alpha: float
) -> None:
    rng = np.random.default_rng(8)
    means = [10.0, 10.0, 10.0]
    better = (control + 1) % 3
    means[better] += 3 if direction == "higher_is_better" else -3
    arms = []
    for mean in means:
        values = rng.normal(mean, 2, 600)
        arms.append(ArmSums((RatioSums.from_sessions(values, np.ones(600)),), 600.0, 600.0))
    verdicts = Verdicts(
        Settings(inference=inference, alpha=alpha), allowed=True, control=control, traffic=Traffic(1800, 60, 600, 30)
    )
    figure = Figure("quality", "mean", "per_session", role="primary", direction=direction)
    keys = ["a", "b", "c"]

    entries = [entry_of_sums(figure, None, arms, keys, verdicts)]
    conclude(entries, verdicts)
    told = recommend(entries, HEALTHY, verdicts)

    assert (told["action"], told["variant"]) == ("ship", keys[better])
    by_variant = {each["variant"]: each for each in entries[0]["comparisons"]}
    assert by_variant[keys[better]]["bayes"]["chance_to_beat"] > 0.999
    assert by_variant[keys[better]]["bayes"]["chance_to_be_best"] > 0.999
    assert [each["significant"] for key, each in by_variant.items() if key != keys[better]] == [False]
