"""Costs: those of genai-prices at the call's own time; unknown is NULL; the reported cost goes before the computed."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pytest
from collector_inputs import batch
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.processors.price import price
from collector.promote import COUNT_MAX

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
@settings(max_examples=15)
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


@given(
    st.none() | st.text(max_size=30),
    st.none() | st.text(max_size=20),
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.integers(0, COUNT_MAX),
    st.none() | st.integers(0, COUNT_MAX),
)
def test_no_call_breaks_pricing(
    model: str | None, provider: str | None, time: datetime, count: int | None, cached: int | None
) -> None:
    row = priced(response_model=model, provider=provider, start_time=time, input_tokens=count, cache_read_tokens=cached)

    assert row["cost"] is None or row["cost"] >= 0


def test_each_row_of_a_batch_has_its_own_price() -> None:
    rows = price(batch("spans", [CALL, CALL | {"response_model": "?"}, CALL | {"reported_cost": 1.0}])).to_pylist()

    costs = [row["cost"] for row in rows]
    assert costs == [pytest.approx(priced()["cost"]), None, 1.0]
