"""Costs: those of genai-prices at the call's own time; unknown is NULL; the reported cost goes before the computed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pytest
from collector_inputs import batch
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import CalcPrice, ClauseEquals, ModelInfo, ModelPrice, Provider
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.processors.columns import FEW
from collector.processors.price import price
from collector.processors.tariff import NAMES_MAX, PRICE_SOURCE, tariff_of
from schemas.spans import SPANS
from schemas.table import TIMESTAMP

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
CALL: dict[str, Any] = {
    "is_inference": True,
    "provider": "openai",
    "response_model": "gpt-4o-2024-08-06",
    "start_time": NOW,
    "input_tokens": 1000,
    "output_tokens": 500,
}
COUNTS = st.integers(0, 10**7)
PROVIDERS = ["openai", "anthropic", "google", "deepseek", "openrouter", "azure", "aws", "litellm", "groq", "nobody"]
# Of one price, of tiers, of changes by the date and by the time of day, of 16 digits, by the request; and of none.
MODELS = [
    "gpt-4o",
    "gpt-4o-mini-2024-07-18",
    "o3",
    "gpt-5.4",
    "claude-3-5-sonnet-20241022",
    "claude-sonnet-4-5",
    "gemini-2.5-pro",
    "gemini-1.5-flash",
    "google/gemini-2.5-flash",
    "google/gemini-3.8-flash",
    "deepseek-chat",
    "deepseek-v4-flash",
    "sonar-pro",
    "our-deployment-7",
]


def priced(**changes: Any) -> dict[str, Any]:
    (row,) = price(batch("spans", [CALL | changes])).to_pylist()
    return row


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("openai.chat", "gpt-4o"),
        ("openai.responses", "gpt-4o"),
        ("anthropic", "claude-3-5-sonnet-20241022"),
        ("anthropic.messages", "claude-3-5-sonnet-20241022"),
        ("google", "gemini-1.5-flash"),
        ("google", "models/gemini-1.5-flash"),
        ("gcp.gemini", "gemini-2.0-flash"),
        (None, "gpt-4o"),
    ],
)
@settings(max_examples=15, deadline=None)
@given(COUNTS, COUNTS, st.data())
def test_a_known_model_costs_what_genai_prices_says(
    provider: str | None, model: str, input_tokens: int, output_tokens: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, input_tokens))

    row = priced(
        provider=provider,
        response_model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cached,
    )

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached or None)
    theirs = calc_price(usage, model, provider_id=provider, genai_request_timestamp=NOW)
    assert row["computed_cost"] == float(theirs.total_price)
    assert row["cost"] == row["computed_cost"]
    assert row["price_source"] == f"genai-prices {version('genai-prices')}"


def test_a_price_is_that_of_the_call_s_own_time() -> None:
    # OpenAI made o3 cheaper on 2025-06-10.
    before, after = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 20, tzinfo=UTC)

    costs = [priced(response_model="o3", start_time=moment)["cost"] for moment in (before, after)]

    assert costs[0] > costs[1] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"response_model": "my-own-model"},
        {"response_model": None},
        {"response_model": ""},
        {"provider": "nobody", "response_model": "nothing"},
        {"input_tokens": None, "output_tokens": None},
        {"is_inference": False},
        {"cache_read_tokens": 5000},
    ],
    ids=repr,
)
def test_what_is_unknown_has_no_cost_rather_than_none(changes: dict[str, Any]) -> None:
    row = priced(**changes)

    assert row["computed_cost"] is row["price_source"] is row["cost"] is None


def test_a_call_of_zero_tokens_costs_nothing_and_is_known() -> None:
    row = priced(input_tokens=0, output_tokens=0)

    assert row["cost"] == 0


def test_a_model_that_answered_under_an_unknown_name_has_the_price_of_the_one_asked_for() -> None:
    row = priced(response_model="our-deployment-7", request_model="gpt-4o")

    assert row["cost"] == priced()["cost"]


@pytest.mark.parametrize("reported", [0.0, 0.25])
def test_the_reported_cost_goes_before_the_computed_and_both_are_kept(reported: float) -> None:
    row = priced(reported_cost=reported)

    assert row["cost"] == row["reported_cost"] == reported
    assert row["computed_cost"] == priced()["computed_cost"]


def test_a_reported_cost_counts_where_no_price_is_known() -> None:
    row = priced(reported_cost=0.25, response_model="my-own-model")

    assert (row["cost"], row["computed_cost"]) == (0.25, None)


CALL_COUNTS = st.sampled_from([None, 0, 1, 127_999, 128_000, 200_000, 200_001, 272_001]) | st.integers(0, 2**63 - 1)
CALLS = st.fixed_dictionaries(
    {
        "is_inference": st.sampled_from([True, True, True, False, None]),
        "provider": st.none() | st.sampled_from(PROVIDERS) | st.text(max_size=8),
        "response_model": st.none() | st.sampled_from(MODELS) | st.text(max_size=12),
        "request_model": st.none() | st.sampled_from(MODELS),
        "start_time": (
            st.integers(-(10**15), 4 * 10**15) | st.integers(1_735_689_600_000_000, 1_798_761_600_000_000)
        ).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds)),
        "input_tokens": CALL_COUNTS | st.integers(0, 500_000),
        "output_tokens": CALL_COUNTS | st.integers(0, 500_000),
        "cache_read_tokens": st.none() | st.integers(0, 1000) | CALL_COUNTS,
        "cache_write_tokens": st.none() | st.integers(0, 1000) | CALL_COUNTS,
    }
)


def asked(call: dict[str, Any]) -> float | None:
    """Return what genai-prices itself says of one call."""
    if not call["is_inference"] or (call["input_tokens"] is None and call["output_tokens"] is None):
        return None
    usage = Usage(
        input_tokens=call["input_tokens"] or 0,
        output_tokens=call["output_tokens"] or 0,
        cache_read_tokens=call["cache_read_tokens"] or None,
        cache_write_tokens=call["cache_write_tokens"] or None,
    )
    for model in (call["response_model"], call["request_model"]):
        if model is not None:
            try:
                found = calc_price(
                    usage, model, provider_id=call["provider"], genai_request_timestamp=call["start_time"]
                )
            except LookupError:
                continue
            except ValueError:
                return None
            return float(found.total_price)
    return None


@settings(max_examples=300, deadline=None)
@given(st.lists(CALLS, min_size=1, max_size=20), st.sampled_from([1, 2 * FEW]))
def test_each_call_of_a_batch_costs_what_genai_prices_says_of_it_alone(calls: list[dict[str, Any]], times: int) -> None:
    found = price(batch("spans", calls * times))

    costs = [asked(call) for call in calls] * times
    assert found["computed_cost"].to_pylist() == costs
    assert found["price_source"].to_pylist() == [None if cost is None else PRICE_SOURCE for cost in costs]


@pytest.mark.parametrize("row_count", [1, 100])
def test_a_call_past_a_tier_s_start_has_that_tier_s_price_for_all_its_tokens(row_count: int) -> None:
    call = CALL | {"provider": "google", "response_model": "gemini-2.5-pro", "output_tokens": 0}
    calls = [call | {"input_tokens": count} for count in (200_000, 200_001)]

    costs = price(batch("spans", calls * row_count))["computed_cost"].to_pylist()

    assert costs == [0.25, 0.5000025] * row_count


@pytest.mark.parametrize("row_count", [1, 100])
def test_a_price_by_the_time_of_day_is_that_of_the_call_s_own(row_count: int) -> None:
    call = CALL | {"provider": "deepseek", "response_model": "deepseek-chat", "output_tokens": 0}
    times = [NOW.replace(hour=16, minute=29, second=59, microsecond=999_999), NOW.replace(hour=16, minute=30)]
    calls = [call | {"input_tokens": 1_000_000, "start_time": each} for each in times]

    costs = price(batch("spans", calls * row_count))["computed_cost"].to_pylist()

    assert costs == [0.27, 0.135] * row_count


@pytest.mark.parametrize("row_count", [1, 100])
def test_a_price_of_many_digits_is_rounded_once(row_count: int) -> None:
    call = CALL | {
        "provider": "openrouter",
        "response_model": "google/gemini-2.5-flash",
        "request_model": None,
        "cache_write_tokens": 7,
        "cache_read_tokens": None,
    }

    costs = price(batch("spans", [call] * row_count))["computed_cost"].to_pylist()

    assert costs == [asked(call)] * row_count
    assert costs[0]


@pytest.mark.parametrize("row_count", [1, 100])
@pytest.mark.parametrize("column", ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"])
@pytest.mark.parametrize("count", [-1, -(2**63)])
def test_a_count_below_zero_has_no_cost(column: str, count: int, row_count: int) -> None:
    call = CALL | {"cache_read_tokens": 2**63 - 1, "cache_write_tokens": 2**63 - 1} | {column: count}

    costs = price(batch("spans", [call] * row_count))["computed_cost"].to_pylist()

    assert costs == [None] * row_count


@pytest.mark.parametrize("row_count", [1, 100])
def test_a_call_without_a_time_has_the_present_price(row_count: int) -> None:
    costs = price(batch("spans", [CALL | {"start_time": None}] * row_count))["computed_cost"].to_pylist()

    assert costs == [priced()["cost"]] * row_count


@pytest.mark.parametrize("row_count", [1, 100])
def test_a_time_that_no_calendar_has_is_priced_too(row_count: int) -> None:
    spans = batch("spans", [CALL] * row_count)
    index = spans.schema.get_field_index("start_time")
    for microseconds in (-(2**63), 2**63 - 1):
        times = pa.array([microseconds] * row_count).cast(TIMESTAMP)

        costs = price(spans.set_column(index, spans.schema.field(index), times))["computed_cost"].to_pylist()

        assert costs == [priced()["cost"]] * row_count


@settings(max_examples=30, deadline=None)
@given(st.lists(CALLS, min_size=10, max_size=20), st.integers(0, 50), st.integers(0, 20) | st.integers(100, 200))
def test_a_part_of_a_batch_is_priced_as_in_the_whole(calls: list[dict[str, Any]], start: int, length: int) -> None:
    spans = batch("spans", calls * FEW)

    assert price(spans.slice(start, length)).equals(price(spans).slice(start, length))


@pytest.mark.parametrize("row_count", [0, 1, 100])
def test_a_priced_batch_has_the_table_s_schema(row_count: int) -> None:
    spans = batch("spans", [CALL] * row_count)

    assert price(spans).schema.equals(SPANS.schema, check_metadata=True)


def test_any_number_of_names_can_be_sent() -> None:
    names = [f"gpt-4o-{number}" if number % 2 else f"m{number}" for number in range(NAMES_MAX + 100)]
    remembered = f"{vars(get_snapshot())}"

    found = price(batch("spans", [CALL | {"response_model": name} for name in names]))

    assert found.num_rows == len(names)
    assert tariff_of.cache_info().currsize <= NAMES_MAX
    assert f"{vars(get_snapshot())}" == remembered


class Surcharged(ModelPrice):
    """Prices of a kind that is not known today: not the sum of tokens times prices."""

    def calc_price(self, usage: object) -> CalcPrice:
        found = super().calc_price(usage)
        return {**found, "total_price": found["total_price"] ** 2}


@pytest.mark.parametrize("row_count", [1, 100])
def test_prices_that_are_no_sum_are_left_to_genai_prices(row_count: int) -> None:
    model = ModelInfo("odd", ClauseEquals("odd"), prices=Surcharged(input_mtok=Decimal(3)))
    calls = [CALL | {"provider": "p", "response_model": "odd", "input_tokens": 10**6}] * row_count
    try:
        set_custom_snapshot(DataSnapshot([Provider("p", "P", "p", models=[model])], from_auto_update=False))

        costs = price(batch("spans", calls))["computed_cost"].to_pylist()
    finally:
        set_custom_snapshot(None)
        tariff_of.cache_clear()

    assert costs == [9.0] * row_count


@pytest.mark.parametrize(
    "prices",
    [
        # One for what was read from a cache, and none for the input that it is a part of.
        ModelPrice(cache_read_mtok=Decimal(3)),
        ModelPrice(input_mtok=Decimal("NaN")),
        ModelPrice(input_mtok=Decimal("Infinity")),
        ModelPrice(input_mtok=Decimal(-3)),
        [],
    ],
    ids=repr,
)
def test_prices_that_are_at_fault_are_unknown(prices: Any) -> None:
    model = ModelInfo("odd", ClauseEquals("odd"), prices=prices)
    try:
        set_custom_snapshot(DataSnapshot([Provider("p", "P", "p", models=[model])], from_auto_update=False))

        costs = [
            price(batch("spans", [CALL | {"provider": "p", "response_model": "odd"}] * count))["cost"].to_pylist()
            for count in (1, 100)
        ]
    finally:
        set_custom_snapshot(None)
        tariff_of.cache_clear()

    assert costs == [[None], [None] * 100]


def test_each_row_of_a_batch_has_its_own_price() -> None:
    rows = price(batch("spans", [CALL, CALL | {"response_model": "?"}, CALL | {"reported_cost": 1.0}])).to_pylist()

    costs = [row["cost"] for row in rows]
    assert costs == [pytest.approx(priced()["cost"]), None, 1.0]
