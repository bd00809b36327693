"""What a model's tokens cost by the public prices of `genai-prices`, as numbers that whole columns are multiplied with.

Theory of operation. `genai_prices.calc_price` finds a model by its name, the model's prices by the call's time, the
tier of each price by the call's input tokens, and adds up `tokens x price` in Decimal. All but the last step is a
choice among few: a tariff lists the days, the times of day and the token counts at which a model's prices change, and
for each combination of them one `Rate`: a whole number for each kind of token, over a common power of ten. As long as
their sum of products is below 2**53, float64 holds every step of it exactly, and one division by the power of ten
rounds as `float(Decimal)` does. What is not so (huge counts, prices of 16 digits) is added up row by row in Python's
integers; prices that turn out not to be such a sum are left to genai-prices itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from genai_prices import Usage
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from collector.processors.catalogue import find_model
from collector.processors.columns import Integers
from collector.processors.spellings import spellings

PRICE_SOURCE = f"genai-prices {version('genai-prices')}"

NAMES_MAX = 10_000
"""How many pairs of a provider and a model are remembered, known or not."""

EXACT_MAX = 2.0**53
"""Below it float64 holds every whole number."""

REQUEST, FRESH, OUTPUT, READ, WRITE, DIVISOR, SPLITS_READS, SPLITS_WRITES = range(8)
"""The rows of `Tariff.numbers`; what they mean, `Rate` says."""

UNPRICED: npt.NDArray[np.float64] = np.array([[0.0], [0.0], [0.0], [0.0], [0.0], [np.nan], [0.0], [0.0]])
"""The numbers, as of a rate, that make every cost NaN."""

_POWER_MAX = 22  # 10**22 is the largest power of ten that float64 holds.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_NONE: Integers = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Rate:
    """The prices of one model at one time and in one tier.

    A call costs ``(request + fresh * f + output * o + read * r + write * w) / 10**power`` USD. The f fresh tokens are
    the input tokens less those read from (r) and written to (w) a cache, as far as these have prices of their own.
    """

    request: int
    fresh: int
    output: int
    read: int
    write: int
    power: int
    splits_reads: bool
    splits_writes: bool
    price: ModelPrice
    is_sum: bool = True
    """False where genai-prices' own result is another: then it is asked."""
    source: str = PRICE_SOURCE
    replaces_reported: bool = False
    needs_tokens: bool = True
    """False where a call costs the same whatever its tokens, and also if these are not known."""

    def cost_usd(self, input_tokens: int, output_tokens: int, read_tokens: int, write_tokens: int) -> float:
        """Return what one call costs, exactly rounded. Raises ValueError where its counts contradict each other."""
        if not self.is_sum:
            return _cost_usd(self.price, input_tokens, output_tokens, read_tokens, write_tokens)
        fresh_tokens = input_tokens - self.splits_reads * read_tokens - self.splits_writes * write_tokens
        if min(fresh_tokens, input_tokens, output_tokens, read_tokens, write_tokens) < 0:
            raise ValueError(f"{input_tokens} input tokens, of which {read_tokens} and {write_tokens} cached, can't be")
        total = (
            self.request
            + self.fresh * fresh_tokens
            + self.output * output_tokens
            + self.read * read_tokens
            + self.write * write_tokens
        )
        # Python divides whole numbers of any size with one rounding.
        return float(total / 10**self.power)

    def numbers(self) -> tuple[float, ...]:
        """Return the rate as a column of `Tariff.numbers`."""
        prices = (self.request, self.fresh, self.output, self.read, self.write)
        if not self.is_sum or self.power > _POWER_MAX or max(prices) >= EXACT_MAX:
            return (np.inf, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)  # Beyond EXACT_MAX, whatever the counts.
        return (*map(float, prices), 10.0**self.power, float(self.splits_reads), float(self.splits_writes))


class Tariff:
    """The rates of one model, and when each of them holds; None at a time when it has no price."""

    def __init__(
        self,
        rates: Sequence[Rate | None],
        day_starts_us: Integers,
        times_us: Integers = _NONE,
        tiers: Integers = _NONE,
    ) -> None:
        """Make a tariff: a rate before the first of the days, and one from each on; of each for all times and tiers."""
        self._day_starts_us = day_starts_us
        self._times_us = times_us
        self._tiers = tiers
        self.rates = rates
        self.numbers = np.hstack([UNPRICED if rate is None else np.array([rate.numbers()]).T for rate in self.rates])

    def rate_at(self, start_time_us: np.int64, input_tokens: np.int64) -> Rate | None:
        """Return the rate that holds for one call; None where the prices are at fault."""
        return self.rates[int(self.rate_indices(start_time_us, input_tokens)) if len(self.rates) > 1 else 0]

    def rate_indices(self, start_times_us: Integers | np.int64, input_tokens: Integers | np.int64) -> Integers:
        """Return which of the rates hold for calls at these times, us since 1970, with these counts."""
        days = np.searchsorted(self._day_starts_us, start_times_us, side="right")
        times = np.searchsorted(self._times_us, start_times_us % (_DAY // _MICROSECOND), side="right")
        tiers = np.searchsorted(self._tiers, input_tokens, side="left")
        return (days * (len(self._times_us) + 1) + times) * (len(self._tiers) + 1) + tiers


def public_tariff(model: ModelInfo) -> Tariff:
    """Return the prices that genai-prices has of a model."""
    day_starts_us, times_us, tiers = (_sorted(of(model)) for of in (_day_starts_us, _times_us, _tier_starts))
    rates = [
        _rate(model.get_prices(moment), input_tokens)
        for moment in _moments(day_starts_us, times_us)
        for input_tokens in _input_tokens(tiers)
    ]
    return Tariff(rates, day_starts_us, times_us, tiers)


def _moments(day_starts_us: Integers, times_us: Integers) -> Iterator[datetime]:
    """Yield a moment between each two changes, in the order of the rates."""
    first = day_starts_us[0] - _DAY // _MICROSECOND if len(day_starts_us) else 0
    for day_us in (first, *day_starts_us):
        for time_us in (0, *times_us):
            yield _EPOCH + (int(day_us) + int(time_us)) * _MICROSECOND


def _input_tokens(tiers: Integers) -> list[int]:
    """Return a token count of each tier; a tier begins past its start."""
    starts = tiers.tolist()
    return [*starts, starts[-1] + 1_000 if starts else 1_000]


@lru_cache(maxsize=NAMES_MAX)
def tariff_of(provider: str | None, model: str) -> Tariff | None:
    """Return the prices of a model under the names that a client gave it and its provider; None where it has none."""
    models = (find_model(*names) for names in spellings(provider, model))
    found = next(filter(None, models), None)
    if found is None:
        return None
    # A model goes by many names.
    _, tariff = _tariffs.get(id(found), (found, None))
    if tariff is None:
        try:
            tariff = public_tariff(found)
        except (ArithmeticError, LookupError, ValueError):
            return None  # Prices that are at fault cost a batch its costs, never its rows.
        _tariffs[id(found)] = (found, tariff)
    return tariff


# One for each model that genai-prices has, at most; that it holds the model keeps the id from being another's.
_tariffs: dict[int, tuple[ModelInfo, Tariff]] = {}


def _rate(price: ModelPrice, input_tokens: int) -> Rate | None:
    """Return the price in the tier of so many input tokens; None where genai-prices finds it at fault."""
    fresh, output, read, write, request = (
        _in_tier(each, input_tokens)
        for each in (
            price.input_mtok,
            price.output_mtok,
            price.cache_read_mtok,
            price.cache_write_mtok,
            price.requests_kcount,
        )
    )
    rate = rate_of(price, fresh, output, read, write, request)
    try:
        is_sum = all(rate.cost_usd(*counts) == _cost_usd(price, *counts) for counts in _samples(input_tokens))
    except ValueError:
        return None
    return rate if is_sum else replace(rate, is_sum=False)


def rate_of(
    price: ModelPrice,
    fresh: Decimal | None,
    output: Decimal | None,
    read: Decimal | None,
    write: Decimal | None,
    request: Decimal | None,
) -> Rate:
    """Return a price, whose parts are given: USD a million tokens, and a thousand requests."""
    numbers = [(each or Decimal(0)).scaleb(-6) for each in (fresh, output, read, write)]
    numbers.append((request or Decimal(0)).scaleb(-3))
    power = max(0, *(-int(each.normalize().as_tuple().exponent) for each in numbers))
    whole = [int(each.scaleb(power)) for each in numbers]
    return Rate(
        fresh=whole[0],
        output=whole[1],
        read=whole[2],
        write=whole[3],
        request=whole[4],
        power=power,
        splits_reads=fresh is not None and read is not None,
        splits_writes=fresh is not None and write is not None,
        price=price,
    )


def _samples(input_tokens: int) -> list[tuple[int, int, int, int]]:
    read, write = input_tokens // 3, input_tokens // 5
    return [(input_tokens, 0, 0, 0), (input_tokens, 7, read, 0), (input_tokens, 11, read, write)]


def _cost_usd(price: ModelPrice, input_tokens: int, output_tokens: int, read_tokens: int, write_tokens: int) -> float:
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read_tokens or None,
        cache_write_tokens=write_tokens or None,
    )
    return float(price.calc_price(usage)["total_price"])


def _in_tier(price: Decimal | TieredPrices | None, input_tokens: int) -> Decimal | None:
    if not isinstance(price, TieredPrices):
        return price
    # Past a tier's start all tokens have its price, not only those past it.
    return next((tier.price for tier in reversed(price.tiers) if input_tokens > tier.start), price.base)


def _day_starts_us(model: ModelInfo) -> Iterator[int]:
    for constraint in _constraints(model):
        if isinstance(constraint, StartDateConstraint):
            yield _us(datetime.combine(constraint.start_date, time.min, UTC))


def _times_us(model: ModelInfo) -> Iterator[int]:
    for constraint in _constraints(model):
        if isinstance(constraint, TimeOfDateConstraint):
            for bound in (constraint.start_time, constraint.end_time):
                moment = datetime.combine(_EPOCH.date(), bound if bound.tzinfo else bound.replace(tzinfo=UTC))
                yield _us(moment) % (_DAY // _MICROSECOND)


def _tier_starts(model: ModelInfo) -> Iterator[int]:
    prices = [model.prices] if isinstance(model.prices, ModelPrice) else [each.prices for each in model.prices]
    for price in prices:
        for value in vars(price).values():
            if isinstance(value, TieredPrices):
                yield from (tier.start for tier in value.tiers)


def _constraints(model: ModelInfo) -> list[StartDateConstraint | TimeOfDateConstraint | None]:
    return [] if isinstance(model.prices, ModelPrice) else [each.constraint for each in model.prices]


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _sorted(values: Iterator[int]) -> Integers:
    return np.array(sorted(set(values)), np.int64)
