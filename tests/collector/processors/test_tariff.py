"""Tariffs: every price that genai-prices ships, at every time and in every tier, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from collector.processors.tariff import Rate, Tariff, public_tariff

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]


def prices_of(model: ModelInfo) -> list[ConditionalPrice]:
    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def moments(model: ModelInfo) -> Iterator[datetime]:
    """Yield the moments at which the prices change, and those just before."""
    yield NOW
    for price in prices_of(model):
        constraint = price.constraint
        if isinstance(constraint, StartDateConstraint):
            bounds = [datetime.combine(constraint.start_date, datetime.min.time(), UTC)]
        elif constraint is not None:
            bounds = [datetime.combine(NOW, bound) for bound in (constraint.start_time, constraint.end_time)]
        else:
            bounds = []
        for bound in bounds:
            yield from (bound - MICROSECOND, bound)


def input_counts(model: ModelInfo) -> Iterator[int]:
    """Yield the counts at which a tier ends, and those just past it."""
    yield from (0, 1_234)
    for price in prices_of(model):
        for value in vars(price.prices).values():
            if isinstance(value, TieredPrices):
                for tier in value.tiers:
                    yield from (tier.start, tier.start + 1)


def ours(tariff: Tariff, moment: datetime, counts: tuple[int, int, int, int]) -> float | str:
    rate = tariff.rate_at(np.int64((moment - EPOCH) // MICROSECOND), np.int64(counts[0]))
    try:
        return "at fault" if rate is None else rate.cost_usd(*counts)
    except ValueError:
        return "at fault"


def theirs(provider: Provider, model: ModelInfo, moment: datetime, counts: tuple[int, int, int, int]) -> float | str:
    usage = Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cache_read_tokens=counts[2] or None,
        cache_write_tokens=counts[3] or None,
    )
    try:
        return float(model.calc_price(usage, provider, genai_request_timestamp=moment).total_price)
    except ValueError:
        return "at fault"


def test_every_price_that_is_shipped_is_the_one_that_genai_prices_finds() -> None:
    differing = [
        (provider.id, model.id, moment, counts)
        for provider, model in MODELS
        for tariff in [public_tariff(model)]
        for moment, count in product(set(moments(model)), set(input_counts(model)))
        for counts in [(count, 77, 0, 0), (count, 0, count // 3, count // 7), (count, 1, count, 1)]
        if ours(tariff, moment, counts) != theirs(provider, model, moment, counts)
    ]

    assert differing == []


def test_every_price_that_is_shipped_can_be_multiplied_with() -> None:
    rates = [rate for _, model in MODELS for rate in public_tariff(model).rates]

    assert len(rates) > 2_000
    assert all(rate is not None and rate.is_sum for rate in rates)


def test_nearly_all_prices_are_exact_in_float64() -> None:
    # Those that are not have 16 digits, and take ten times as long.
    inexact = [model.id for _, model in MODELS if not np.isfinite(public_tariff(model).numbers[0]).all()]

    assert len(inexact) < len(MODELS) // 50


@pytest.mark.parametrize("counts", [(10, 0, 11, 0), (10, 0, 6, 5), (-1, 0, 0, 0), (10, -1, 0, 0)])
def test_counts_that_contradict_each_other_have_no_cost(counts: tuple[int, int, int, int]) -> None:
    rate = Rate(
        request=0,
        fresh=3,
        output=15,
        read=1,
        write=4,
        power=6,
        splits_reads=True,
        splits_writes=True,
        price=ModelPrice(),
    )

    with pytest.raises(ValueError, match="can't be"):
        rate.cost_usd(*counts)
