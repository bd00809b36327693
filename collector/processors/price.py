"""Prices calls to models from the public prices that the `genai-prices` package ships, at each call's own time.

The rules: a leaf call whose input or output tokens are known costs what genai-prices says of the model that answered,
or else of the one that was asked for. An unknown model, a call whose tokens are unknown, and one whose counts can't be
(more tokens read from a cache than there were) have no cost: NULL, never 0. The reported cost goes before the computed
one, and both are kept.
"""

import math
import time
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import FEW, Booleans, Coded, Integers, booleans, integers, validity, with_columns
from collector.processors.tariff import (
    DIVISOR,
    EXACT_MAX,
    FRESH,
    OUTPUT,
    READ,
    REQUEST,
    SPLITS_READS,
    SPLITS_WRITES,
    UNPRICED,
    WRITE,
    Rate,
    Tariff,
    tariff_of,
)

PRICE_SOURCE = f"genai-prices {version('genai-prices')}"
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
# The prices may know the model that was asked for, but not the dated name that answered.
_MODELS = ("response_model", "request_model")

Costs = npt.NDArray[np.float64]
"""USD; NaN where unknown."""


def price(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with computed_cost, price_source and cost (the reported one, else the computed) filled."""
    if spans.num_rows == 0:
        return spans
    costs = _costs(spans)
    unknown = np.isnan(costs)
    computed = pa.array(costs, mask=unknown)
    reported = spans["reported_cost"]
    return with_columns(
        spans,
        computed_cost=computed,
        price_source=Coded([PRICE_SOURCE, None], unknown.astype(np.int64)).take([PRICE_SOURCE, None]),
        cost=computed if reported.null_count == len(reported) else pc.coalesce(reported, computed),
    )


@dataclass(frozen=True, slots=True)
class _Calls:
    """When calls began and what they used: a row each."""

    start_times_us: Integers
    input_tokens: Integers
    output_tokens: Integers
    read_tokens: Integers
    write_tokens: Integers

    @classmethod
    def of(cls, spans: pa.RecordBatch) -> "_Calls":
        start_time = spans["start_time"]
        starts_us = integers(start_time)
        if start_time.null_count:
            starts_us = np.where(validity(start_time), starts_us, time.time_ns() // 1000)
        return cls(starts_us, *(integers(spans[name]) for name in _COUNTS))

    def at(self, rows: Integers) -> "_Calls":
        if len(rows) == len(self.input_tokens):
            return self
        return _Calls(
            self.start_times_us[rows],
            self.input_tokens[rows],
            self.output_tokens[rows],
            self.read_tokens[rows],
            self.write_tokens[rows],
        )


def _costs(spans: pa.RecordBatch) -> Costs:
    costs = np.full(spans.num_rows, np.nan)
    rows = _priceable(spans)
    if not len(rows):
        return costs
    calls = _Calls.of(spans)
    if len(rows) <= FEW:
        for row in rows.tolist():
            costs[row] = _price_one(spans, calls, row)
        return costs
    provider = Coded.of(spans["provider"])
    for name in _MODELS:
        if len(rows) and spans[name].null_count < spans.num_rows:
            costs[rows] = _price(calls.at(rows), *_tariffs(provider, Coded.of(spans[name]), rows))
            rows = rows[np.isnan(costs[rows])]
    return costs


def _price_one(spans: pa.RecordBatch, calls: _Calls, row: int) -> float:
    provider = spans["provider"][row].as_py()
    for name in _MODELS:
        model = spans[name][row].as_py()
        tariff = None if model is None else tariff_of(provider, model)
        if tariff is not None:
            cost = _exact(tariff.rate_at(calls.start_times_us[row], calls.input_tokens[row]), calls, row)
            if not math.isnan(cost):
                return cost
    return math.nan


def _priceable(spans: pa.RecordBatch) -> Integers:
    is_known = validity(spans["input_tokens"]) | validity(spans["output_tokens"])
    return np.flatnonzero(booleans(spans["is_inference"]) & is_known)


def _tariffs(provider: Coded, model: Coded, rows: Integers) -> tuple[list[Tariff | None], Integers]:
    """Return the tariffs of the distinct pairs of provider and model in these rows, and which of them each row has."""
    pairs = pa.array(provider.codes[rows] * len(model.texts) + model.codes[rows]).dictionary_encode()
    tariffs: list[Tariff | None] = []
    for pair in pairs.dictionary.to_pylist():
        provider_code, model_code = divmod(pair, len(model.texts))
        name = model.texts[model_code]
        tariffs.append(None if name is None else tariff_of(provider.texts[provider_code], name))
    return tariffs, pairs.indices.to_numpy()


def _price(calls: _Calls, tariffs: list[Tariff | None], which: Integers) -> Costs:
    """Return what each call costs by its tariff."""
    firsts: dict[Tariff | None, int] = {None: 0}
    rates: list[Rate | None] = [None]
    for tariff in tariffs:
        if tariff is not None and tariff not in firsts:
            firsts[tariff] = len(rates)
            rates += tariff.rates
    indices = np.array([firsts[tariff] for tariff in tariffs])[which]
    for tariff, first in firsts.items():
        if tariff is not None and len(tariff.rates) > 1:
            rows = np.flatnonzero(indices == first)
            indices[rows] += tariff.rate_indices(calls.start_times_us[rows], calls.input_tokens[rows])
    numbers = np.concatenate([UNPRICED, *(tariff.numbers for tariff in firsts if tariff is not None)], axis=1)
    costs, is_inexact = _multiply(calls, numbers.take(indices, axis=1))
    for row in np.flatnonzero(is_inexact).tolist():
        costs[row] = _exact(rates[indices[row]], calls, row)
    return costs


def _multiply(calls: _Calls, numbers: npt.NDArray[np.float64]) -> tuple[Costs, Booleans]:
    """Return the costs, and which of them float64 may not hold exactly."""
    unread = calls.input_tokens - np.where(numbers[SPLITS_READS], calls.read_tokens, 0)
    fresh = unread - np.where(numbers[SPLITS_WRITES], calls.write_tokens, 0)
    total = (
        numbers[REQUEST]
        + numbers[FRESH] * fresh
        + numbers[OUTPUT] * calls.output_tokens
        + numbers[READ] * calls.read_tokens
        + numbers[WRITE] * calls.write_tokens
    )
    # Where a count or unread is below 0, what is left of it may have wrapped around.
    is_possible = unread >= 0
    for count in (fresh, calls.input_tokens, calls.output_tokens, calls.read_tokens, calls.write_tokens):
        is_possible &= count >= 0
    return np.where(is_possible, total / numbers[DIVISOR], np.nan), is_possible & (total >= EXACT_MAX)


def _exact(rate: Rate | None, calls: _Calls, row: int) -> float:
    if rate is None:
        return math.nan
    try:
        return rate.cost_usd(
            int(calls.input_tokens[row]),
            int(calls.output_tokens[row]),
            int(calls.read_tokens[row]),
            int(calls.write_tokens[row]),
        )
    except ValueError:
        return math.nan
