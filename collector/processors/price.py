"""Prices calls to models, at each call's own time: by a project's own prices, else the public ones of `genai-prices`.

The rules: a leaf call whose input or output tokens are known costs what the price of the model that answered says, or
else that of the one that was asked for; a price of the project's own, of either, goes before a public one. An unknown
model, a call whose tokens are unknown, and one whose counts can't be (more tokens read from a cache than there were)
have no cost: NULL, never 0. The reported cost goes before the computed one, unless a price of the project's own says
that it replaces it, and both are kept.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import FEW, Booleans, Coded, Integers, booleans, integers, validity, with_columns
from collector.processors.overrides import Overrides
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

PRICED = ("computed_cost", "price_source", "cost")
"""The columns that are filled here."""

_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
# The prices may know the model that was asked for, but not the dated name that answered.
_MODELS = ("response_model", "request_model")

READS = ("project", "is_inference", "provider", *_MODELS, "start_time", *_COUNTS, "reported_cost")
"""The columns that they follow from."""

OverridesOf = Callable[[str], Overrides | None]
TariffOf = Callable[[str | None, str], Tariff | None]
Costs = npt.NDArray[np.float64]
"""USD; NaN where unknown."""


def no_overrides(_: str) -> None:
    """Know no project's own prices."""


def price(spans: pa.RecordBatch, overrides_of: OverridesOf = no_overrides) -> pa.RecordBatch:
    """Return the spans with `PRICED` filled; ``overrides_of`` knows a project's own prices."""
    if spans.num_rows == 0:
        return spans
    found = _Pricing(spans)
    found.price_all(overrides_of)
    unknown = np.isnan(found.costs)
    computed = pa.array(found.costs, mask=unknown)
    sources = [None if rate is None else rate.source for rate in found.rates]
    return with_columns(
        spans,
        computed_cost=computed,
        price_source=Coded(sources, np.where(unknown, 0, found.codes)).take(sources),
        cost=_cost(spans["reported_cost"], computed, found),
    )


def _cost(reported: pa.Array, computed: pa.Array, found: "_Pricing") -> pa.Array:
    if reported.null_count == len(reported):
        return computed
    replaces = np.array([rate is not None and rate.replaces_reported for rate in found.rates])
    if replaces.any():
        goes_first = replaces[found.codes] & validity(computed)
        reported = pc.if_else(pa.array(goes_first), None, reported)
    return pc.coalesce(reported, computed)


@dataclass(frozen=True, slots=True)
class _Calls:
    """When calls began, what they used, and whether that is known: a row each."""

    start_times_us: Integers
    input_tokens: Integers
    output_tokens: Integers
    read_tokens: Integers
    write_tokens: Integers
    have_tokens: Booleans

    @classmethod
    def of(cls, spans: pa.RecordBatch) -> "_Calls":
        start_time = spans["start_time"]
        starts_us = integers(start_time)
        if start_time.null_count:
            starts_us = np.where(validity(start_time), starts_us, time.time_ns() // 1000)
        have_tokens = validity(spans["input_tokens"]) | validity(spans["output_tokens"])
        input_tokens, output_tokens, read_tokens, write_tokens = (integers(spans[name]) for name in _COUNTS)
        return cls(starts_us, input_tokens, output_tokens, read_tokens, write_tokens, have_tokens)

    def at(self, rows: Integers) -> "_Calls":
        if len(rows) == len(self.input_tokens):
            return self
        return _Calls(
            self.start_times_us[rows],
            self.input_tokens[rows],
            self.output_tokens[rows],
            self.read_tokens[rows],
            self.write_tokens[rows],
            self.have_tokens[rows],
        )


class _Pricing:
    """A batch, what each of its calls costs, and by which of the rates: ``codes`` are indices, 0 is none."""

    def __init__(self, spans: pa.RecordBatch) -> None:
        self.costs: Costs = np.full(spans.num_rows, np.nan)
        self.codes: Integers = np.zeros(spans.num_rows, np.int64)
        self.rates: list[Rate | None] = [None]
        self._spans = spans
        self._coded: dict[str, Coded] = {}

    def price_all(self, overrides_of: OverridesOf) -> None:
        """Price the leaf calls, each by its project's own prices, else by the public ones."""
        rows = np.flatnonzero(booleans(self._spans["is_inference"]))
        if not len(rows):
            return
        self._calls = _Calls.of(self._spans)
        if len(rows) <= FEW:
            for row in rows.tolist():
                self._price_one(row, overrides_of)
            return
        for overrides, those in self._by_project(rows, overrides_of):
            rest = those if overrides is None else self._price_each(those, overrides.tariff_of)
            self._price_each(rest[self._calls.have_tokens[rest]], tariff_of)

    def _by_project(self, rows: Integers, overrides_of: OverridesOf) -> Iterator[tuple[Overrides | None, Integers]]:
        """Yield the rows of each project that has prices of its own, with these, and those of all others."""
        project = self._column("project")
        own = [None if text is None else overrides_of(text) for text in project.texts]
        if any(own):
            codes = project.codes[rows]
            yield from ((overrides, rows[codes == code]) for code, overrides in enumerate(own) if overrides)
            rows = rows[~project.flags([overrides is not None for overrides in own])[rows]]
        yield None, rows

    def _price_each(self, rows: Integers, tariff_of: TariffOf) -> Integers:
        """Price the rows by the tariff of either model; return those that have no price."""
        for name in _MODELS:
            if not len(rows) or self._spans[name].null_count == self._spans.num_rows:
                continue
            tariffs, which = _tariffs(self._column("provider"), self._column(name), rows, tariff_of)
            costs, indices, rates = _price(self._calls.at(rows), tariffs, which)
            self.costs[rows] = costs
            has_rate = np.array([rate is not None for rate in rates])[indices]
            self.codes[rows] = np.where(has_rate, indices + len(self.rates) - 1, 0)
            self.rates += rates[1:]
            rows = rows[~has_rate]
        return rows

    def _price_one(self, row: int, overrides_of: OverridesOf) -> None:
        project, provider, *models = (self._spans[name][row].as_py() for name in ("project", "provider", *_MODELS))
        overrides = None if project is None else overrides_of(project)
        for look_up in (tariff_of,) if overrides is None else (overrides.tariff_of, tariff_of):
            for model in models:
                tariff = None if model is None else look_up(provider, model)
                if tariff is None:
                    continue
                rate = tariff.rate_at(self._calls.start_times_us[row], self._calls.input_tokens[row])
                if rate is not None:
                    self.costs[row] = _exact(rate, self._calls, row)
                    self.codes[row] = len(self.rates)
                    self.rates.append(rate)
                    return

    def _column(self, name: str) -> Coded:
        if name not in self._coded:
            self._coded[name] = Coded.of(self._spans[name])
        return self._coded[name]


def _tariffs(
    provider: Coded, model: Coded, rows: Integers, tariff_of: TariffOf
) -> tuple[list[Tariff | None], Integers]:
    """Return the tariffs of the distinct pairs of provider and model in these rows, and which of them each row has."""
    pairs = pa.array(provider.codes[rows] * len(model.texts) + model.codes[rows]).dictionary_encode()
    tariffs: list[Tariff | None] = []
    for pair in pairs.dictionary.to_pylist():
        provider_code, model_code = divmod(pair, len(model.texts))
        name = model.texts[model_code]
        tariffs.append(None if name is None else tariff_of(provider.texts[provider_code], name))
    return tariffs, pairs.indices.to_numpy()


def _price(calls: _Calls, tariffs: list[Tariff | None], which: Integers) -> tuple[Costs, Integers, list[Rate | None]]:
    """Return what each call costs by its tariff, and by which of the rates."""
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
    needs_tokens = np.array([rate is None or rate.needs_tokens for rate in rates])[indices]
    return np.where(calls.have_tokens | ~needs_tokens, costs, np.nan), indices, rates


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
    if rate is None or (rate.needs_tokens and not calls.have_tokens[row]):
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
