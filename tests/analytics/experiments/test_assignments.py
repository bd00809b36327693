"""The assignment of many sessions is that of each."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analytics.experiments.assignments import REASONS, assign_many
from fallom.assignment import assign

FIELDS = ("plan", "region", "customerId")
scalars = st.sampled_from(["pro", "free", "p", "", "é", "1", 1, 1.0, True, False, 0, 2.5])
conditions = st.fixed_dictionaries(
    {
        "field": st.sampled_from([*FIELDS, "none"]),
        "operator": st.sampled_from(["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith", "matches"]),
        "value": scalars | st.lists(scalars, max_size=3),
    }
)
indexes = st.integers(-4, 5) | st.none()
targetings = st.none() | st.fixed_dictionaries(
    {
        "enabled": st.sampled_from([True, True, False]),
        "individualTargets": st.lists(
            st.fixed_dictionaries(
                {"field": st.sampled_from([*FIELDS, "none"]), "value": scalars, "variantIndex": indexes}
            ),
            max_size=3,
        ),
        "rules": st.lists(
            st.fixed_dictionaries({"conditions": st.lists(conditions, max_size=2), "variantIndex": indexes}), max_size=3
        ),
    }
)
weights = st.sampled_from([0, 50, 33.3, 100, 0.0001]) | st.floats(0, 200)
configs = st.builds(
    lambda variants, targeting, fields: {"key": "c", "variants": variants, "targeting": targeting} | fields,
    st.lists(st.builds(lambda weight: {"model": "m", "weight": weight}, weights), min_size=1, max_size=4),
    targetings,
    st.sampled_from(
        [
            {},
            {"hash_version": 1, "sticky_by": "customer"},
            {"hash_version": 2},
            {"hash_version": 2, "seed": "s", "traffic": 30.5, "sticky_by": "customer"},
            {"hash_version": 2, "sticky_by": "request"},
        ]
    ),
)
sessions = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.sampled_from(["ann", "pro", "", None]),
        st.none() | scalars,
        st.none() | scalars,
        st.sampled_from(["r-1", "r-2", "", None]),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(configs, sessions, st.booleans())
def test_many_are_assigned_as_each_alone(config: dict[str, Any], rows: list[Any], has_customers: bool) -> None:
    context = {"plan": [row[2] for row in rows], "region": [row[3] for row in rows]}
    customers = [row[1] for row in rows] if has_customers else None

    requests = [row[4] for row in rows]

    found = assign_many(config, [row[0] for row in rows], customer_ids=customers, context=context, request_ids=requests)

    for place, (session_id, customer_id, plan, region, request_id) in enumerate(rows):
        given_context = {name: value for name, value in (("plan", plan), ("region", region)) if value is not None}
        customer_id = customer_id if has_customers else None
        alone = assign(config, session_id, customer_id=customer_id, context=given_context, request_id=request_id)
        assert (found.variant_indexes[place], REASONS[found.reasons[place]]) == (alone.variant_index, alone.reason)


def test_it_takes_less_time_than_one_by_one() -> None:
    config = {"key": "c", "variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
    config["targeting"] = {  # type: ignore[assignment]
        "rules": [{"conditions": [{"field": "plan", "operator": "eq", "value": "pro"}], "variantIndex": 1}]
    }
    names = [f"session-{number}" for number in range(50_000)]
    plans = ["pro" if number % 3 else "free" for number in range(50_000)]

    began = time.process_time()
    many = assign_many(config, names, context={"plan": plans})
    many_s = time.process_time() - began
    began = time.process_time()
    alone = [assign(config, name, context={"plan": plan}) for name, plan in zip(names, plans, strict=True)]
    alone_s = time.process_time() - began

    assert many.variant_indexes.tolist() == [each.variant_index for each in alone]
    assert many_s < alone_s


MILLION = 1_000_000
WEIGHTS = [33.3, 0.7, 66]


@pytest.fixture(scope="module")
def a_million() -> list[str]:
    return [f"session-{number}" for number in range(MILLION)]


def dealt(sessions: list[str], weights: list[float], **fields: Any) -> NDArray[np.int64]:
    variants = [{"model": str(index), "weight": weight} for index, weight in enumerate(weights)]
    return assign_many({"variants": variants, **fields}, sessions).variant_indexes


@pytest.mark.parametrize("hash_version", [1, 2])
def test_a_million_sessions_split_as_the_weights_say(a_million: list[str], hash_version: int) -> None:
    counts = np.bincount(dealt(a_million, WEIGHTS, key="one", hash_version=hash_version), minlength=3)

    for count, weight in zip(counts, WEIGHTS, strict=True):
        share = weight / 100
        assert abs(count - MILLION * share) < 4 * (MILLION * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(
    ("one", "other", "correlation"),
    [
        ({"key": "one", "hash_version": 2}, {"key": "two", "hash_version": 2}, 0),
        ({"key": "one", "hash_version": 2}, {"key": "one", "hash_version": 2, "seed": "again"}, 0),
        ({"key": "one"}, {"key": "one", "hash_version": 2}, 0),
        ({"key": "one"}, {"key": "two"}, 1),
    ],
    ids=["two keys", "two seeds", "both versions", "version 1 goes together"],
)
def test_the_arms_of_two_tests_correlate_only_where_the_hash_has_no_salt(
    a_million: list[str], one: dict[str, Any], other: dict[str, Any], correlation: int
) -> None:
    found = np.corrcoef(dealt(a_million, [50, 50], **one), dealt(a_million, [50, 50], **other))[0, 1]

    # Of independent arms the correlation has a standard error of one by the root of their number.
    assert abs(found - correlation) < 4 / MILLION**0.5
