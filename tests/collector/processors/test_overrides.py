"""A project's own prices: for whom, for what and when they hold, and what calls cost by them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from collector_inputs import batch
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.processors.columns import FEW
from collector.processors.overrides import NAMES_MAX, ProjectOverrides
from collector.processors.price import price
from storage.registry.snapshot import Served

MILLION = 1_000_000
CALL: dict[str, Any] = {
    "project": "p",
    "is_inference": True,
    "provider": "openai",
    "response_model": "gpt-4o",
    "start_time": datetime(2026, 6, 1, tzinfo=UTC),
    "input_tokens": MILLION,
    "output_tokens": 0,
}
LATE = datetime(2027, 1, 1, tzinfo=UTC)
EITHER_WAY = pytest.mark.parametrize("row_count", [1, FEW + 1])


class Known:
    """The prices of one project, as the registry has them."""

    def __init__(self, *bodies: dict[str, Any], project: str = "p") -> None:
        self.project = project
        self.given = tuple(own(body, key=f"k{number}") for number, body in enumerate(bodies))

    def prices(self, project: str) -> tuple[Served, ...]:
        return self.given if project == self.project else ()


def own(body: dict[str, Any], key: str = "k") -> Served:
    default = {"model": "gpt-4o", "from": "2026-01-01", "usd_per_million": {"input": 7, "output": 11}}
    return Served(body.get("key", key), 1, orjson.dumps({k: v for k, v in (default | body).items() if v is not None}))


def priced(known: Known, *calls: dict[str, Any], row_count: int = 1) -> list[dict[str, Any]]:
    rows = [CALL | call for call in calls or ({},)]
    found = price(batch("spans", rows * row_count), ProjectOverrides(known)).to_pylist()
    assert found == found[: len(rows)] * row_count
    return found[: len(rows)]


def public_cost(**call: Any) -> float | None:
    return price(batch("spans", [CALL | call])).to_pylist()[0]["cost"]


@EITHER_WAY
def test_it_goes_before_the_public_price_and_is_named(row_count: int) -> None:
    (row,) = priced(Known({"key": "ours"}), row_count=row_count)

    assert row["cost"] == row["computed_cost"] == 7.0
    assert row["price_source"] == "override ours@2026-01-01 v1"
    assert public_cost() not in (None, 7.0)


@EITHER_WAY
def test_each_kind_of_token_has_its_price(row_count: int) -> None:
    known = Known({"usd_per_million": {"input": 3, "cache_read": 0.3, "cache_write": 3.75, "output": 15}})
    usage = {"input_tokens": 1_000, "cache_read_tokens": 700, "cache_write_tokens": 200, "output_tokens": 40}

    (row,) = priced(known, usage, row_count=row_count)

    assert row["cost"] == (100 * 3 + 700 * 0.3 + 200 * 3.75 + 40 * 15) / MILLION


@EITHER_WAY
def test_tokens_of_a_cache_without_a_price_of_their_own_cost_what_others_do(row_count: int) -> None:
    (row,) = priced(Known({}), {"cache_read_tokens": MILLION}, row_count=row_count)

    assert row["cost"] == 7.0


@EITHER_WAY
def test_it_holds_from_its_first_day_through_its_last(row_count: int) -> None:
    known = Known({"from": "2026-01-01", "to": "2026-06-30"})
    moments = [
        datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=UTC),
    ]

    rows = priced(known, *({"start_time": moment} for moment in moments), row_count=row_count)

    assert [row["cost"] == 7.0 for row in rows] == [False, True, True, False]
    assert [row["cost"] for row in rows if row["cost"] != 7.0] == [public_cost()] * 2


@EITHER_WAY
@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("custom:llama", "custom:llama", True),
        ("Custom:LLAMA", "custom:Llama", True),
        ("custom:*", "custom:llama", True),
        ("*llama*", "custom:llama-70b", True),
        ("llama-?b", "llama-7b", True),
        ("llama-?b", "llama-70b", False),
        ("custom:llama", "custom:llama-70b", False),
        ("custom:*", "llama", False),
        ("llama[7]", "llama[7]", True),
        ("llama[7]*", "llama[7]-x", True),
        ("llama[7]", "llama7", False),
        ("a.c", "abc", False),
        ("*", "anything", True),
        ("*", "x" * 300, False),
    ],
)
def test_a_name_is_whole_or_a_pattern(pattern: str, model: str, fits: bool, row_count: int) -> None:
    (row,) = priced(Known({"model": pattern}), {"response_model": model, "provider": None}, row_count=row_count)

    assert row["cost"] == (7.0 if fits else None)


@EITHER_WAY
def test_it_is_for_its_provider_if_it_names_one(row_count: int) -> None:
    known = Known({"provider": "Azure*"})
    providers = ["azure", "AZURE.openai", "openai", None]

    rows = priced(known, *({"provider": provider} for provider in providers), row_count=row_count)

    assert [row["cost"] == 7.0 for row in rows] == [True, True, False, False]


@EITHER_WAY
def test_it_is_for_its_project_alone(row_count: int) -> None:
    rows = priced(Known({}), {"project": "p"}, {"project": "q"}, {"project": "p"}, row_count=row_count)

    assert [row["cost"] for row in rows] == [7.0, public_cost(), 7.0]


@EITHER_WAY
def test_one_for_the_model_that_was_asked_for_goes_before_a_public_price_of_the_one_that_answered(
    row_count: int,
) -> None:
    (row,) = priced(Known({}), {"request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06"}, row_count=row_count)

    assert row["cost"] == 7.0


MOST_SPECIFIC: list[list[dict[str, Any]]] = [
    [{"model": "gpt-*", "from": "2026-05-01"}, {"model": "gpt-4o", "from": "2026-01-01"}],
    [{"from": "2026-05-01"}, {"provider": "openai"}],
    [{"from": "2026-01-01"}, {"from": "2026-05-01"}],
    [{"from": "2026-07-01"}, {"from": "2026-05-01"}],
    [{"from": "2026-05-01", "to": "2026-05-30"}, {"from": "2026-01-01"}],
    [{"key": "b"}, {"key": "a"}],
]


@pytest.mark.parametrize("bodies", MOST_SPECIFIC, ids=repr)
@pytest.mark.parametrize("is_turned", [False, True])
def test_of_several_the_most_specific_that_holds_counts(bodies: list[dict[str, Any]], is_turned: bool) -> None:
    last = bodies[-1] | {"usd_per_million": {"input": 1, "output": 0}}
    given = [{"key": f"k{number}"} | body for number, body in enumerate([*bodies[:-1], last])]

    (row,) = priced(Known(*(reversed(given) if is_turned else given)))

    assert row["cost"] == 1.0


@EITHER_WAY
@pytest.mark.parametrize(("replaces", "cost"), [(False, 0.5), (True, 7.0)])
def test_a_reported_cost_stays_the_cost_unless_it_is_replaced(replaces: bool, cost: float, row_count: int) -> None:
    known = Known({"replaces_reported": replaces})

    rows = priced(known, {"reported_cost": 0.5}, {"reported_cost": 0.5, "response_model": "o3"}, row_count=row_count)

    assert [row["cost"] for row in rows] == [cost, 0.5]
    assert [row["reported_cost"] for row in rows] == [0.5, 0.5]
    assert rows[0]["computed_cost"] == 7.0


@EITHER_WAY
def test_a_price_a_request_needs_no_tokens(row_count: int) -> None:
    known = Known({"usd_per_million": None, "usd_per_request": 0.01})

    (row,) = priced(known, {"input_tokens": None, "output_tokens": None}, row_count=row_count)

    assert row["cost"] == 0.01


@EITHER_WAY
@pytest.mark.parametrize(
    "usage",
    [{"input_tokens": None, "output_tokens": None}, {"cache_read_tokens": 2 * MILLION}, {"output_tokens": -1}],
    ids=repr,
)
def test_usage_that_is_unknown_or_can_t_be_has_no_cost_by_any_price(usage: dict[str, Any], row_count: int) -> None:
    known = Known({"usd_per_million": {"input": 7, "cache_read": 1, "output": 1}, "replaces_reported": True})

    rows = priced(known, usage, usage | {"reported_cost": 0.5}, row_count=row_count)

    assert [row["computed_cost"] for row in rows] == [None, None]
    assert [row["price_source"] for row in rows] == [None, None]
    assert [row["cost"] for row in rows] == [None, 0.5]


def test_a_free_model_costs_nothing_and_is_known() -> None:
    (row,) = priced(Known({"usd_per_million": {"input": 0, "output": 0}}))

    assert row["cost"] == 0


def test_a_change_counts_from_the_next_batch_on() -> None:
    known = Known({})
    overrides = ProjectOverrides(known)
    spans = batch("spans", [CALL])
    assert price(spans, overrides)["cost"].to_pylist() == [7.0]

    known.given = (own({"usd_per_million": {"input": 8, "output": 0}}),)
    assert price(spans, overrides)["cost"].to_pylist() == [8.0]

    known.given = ()
    assert price(spans, overrides)["cost"].to_pylist() == [public_cost()]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no JSON", b'{"model": "gpt-4o", "from": "soon"}'])
def test_a_price_that_can_t_be_read_keeps_no_call_and_no_other_price_back(body: bytes) -> None:
    known = Known({})
    known.given = (Served("broken", 1, body), *known.given)

    (row,) = priced(known)

    assert row["cost"] == 7.0


@pytest.mark.parametrize("pattern", ["*a" * 128, "*?a" * 85, "?*" * 128, "*" * 256])
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()

    priced(Known({"model": pattern}), {"response_model": "a" * 255 + "b"})

    assert time.process_time() - began < 1.0


def test_any_number_of_names_can_be_sent() -> None:
    overrides = ProjectOverrides(Known({"model": "m*7"}))

    found = price(
        batch("spans", [CALL | {"response_model": f"m{number}"} for number in range(NAMES_MAX + 100)]), overrides
    )

    assert found["cost"].to_pylist().count(7.0) == len([n for n in range(NAMES_MAX + 100) if n % 10 == 7])
    own_prices = overrides("p")
    assert own_prices is not None
    assert own_prices.tariff_of.cache_info().currsize <= NAMES_MAX


PRICE = st.sampled_from([0, 0.15, 2.5, 10, 1e-9, 123456.789])
BODIES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-4o", "gpt-*", "*", "custom:*", "o3"]),
        "from": st.sampled_from(["2025-01-01", "2026-01-01", "2026-06-01"]),
        "usd_per_million": st.fixed_dictionaries(
            {"input": PRICE, "output": PRICE}, optional={"cache_read": PRICE, "cache_write": PRICE}
        ),
    },
    optional={
        "provider": st.sampled_from(["openai", "azure"]),
        "to": st.sampled_from(["2026-06-01", "2026-12-31"]),
        "usd_per_request": PRICE,
        "replaces_reported": st.booleans(),
    },
)
CALLS = st.fixed_dictionaries(
    {
        "project": st.sampled_from(["p", "q"]),
        "provider": st.sampled_from(["openai", "azure", None]),
        "response_model": st.sampled_from(["gpt-4o", "custom:x", "gpt-4o-2024-08-06", None]),
        "request_model": st.sampled_from(["gpt-4o", "o3", None]),
        "start_time": st.sampled_from([datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, 12, tzinfo=UTC), LATE]),
        "input_tokens": st.none() | st.integers(0, 10_000),
        "output_tokens": st.none() | st.integers(0, 10_000),
        "cache_read_tokens": st.none() | st.integers(0, 5_000),
        "cache_write_tokens": st.none() | st.integers(0, 5_000),
        "reported_cost": st.none() | st.just(0.25),
        "is_inference": st.just(True) | st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BODIES, max_size=4), st.lists(CALLS, min_size=1, max_size=8))
def test_a_batch_is_priced_as_its_rows_are_one_by_one(
    bodies: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> None:
    overrides = ProjectOverrides(Known(*bodies))

    together = price(batch("spans", calls * (FEW + 1)), overrides).to_pylist()[: len(calls)]

    assert together == [price(batch("spans", [call]), overrides).to_pylist()[0] for call in calls]
