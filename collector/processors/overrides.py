"""Prices of a project's own, which go before public ones: which of them holds for a call, and what it costs by it.

An override holds for models, and maybe one provider, by name, whatever its case (`*` any text, `?` any character), from
one day in UTC through another. Of several the most specific holds: a whole name before a pattern, one that names the
provider before one that does not, the one that began later, and then the first by key.
"""

import fnmatch
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import orjson
from genai_prices.types import ModelPrice

from collector.processors.catalogue import NAME_CHARS_MAX
from collector.processors.tariff import Rate, Tariff, rate_of

NAMES_MAX = 2_000
"""Of how many pairs of a provider and a model it is remembered, for each project, what holds for them."""

PROJECTS_MAX = 1_000
OVERRIDES_MAX = 10_000

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WILD = re.compile(r"[*?]")


class OwnPrice(Protocol):
    """A price as the registry has it: ``body`` is JSON as in ``PUT /api/prices/{key}``."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def version(self) -> int:
        """Its version."""

    @property
    def body(self) -> bytes:
        """What it says."""


class OwnPrices(Protocol):
    """Where the prices of a project are known: from memory, and the same tuple while nothing has changed."""

    def prices(self, project: str) -> tuple[OwnPrice, ...]:
        """Return a project's prices, those that are archived left out."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A name in which `*` and `?` may stand for others."""

    text: str
    part: str
    """A text that each name that fits holds."""
    regex: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> "_Pattern":
        lowered = text.lower()
        if not _WILD.search(lowered):
            return cls(lowered, lowered, None)
        # Of what fnmatch knows, [ ] are no wild cards here; its patterns don't backtrack.
        translated = fnmatch.translate(lowered.replace("[", "[[]"))
        return cls(lowered, max(_WILD.split(lowered), key=len), re.compile(translated))

    def fits(self, name: str) -> bool:
        if self.regex is None:
            return name == self.text
        return self.part in name and self.regex.match(name) is not None


@dataclass(frozen=True, slots=True, eq=False)
class Override:
    """One price of a project: the names that it holds for, from when to when, and what a call costs by it."""

    model: _Pattern
    provider: _Pattern | None
    start_us: int
    end_us: int | None
    rate: Rate
    order: tuple[bool, bool, int, str]

    def holds_at(self, moment_us: int) -> bool:
        """Return whether it holds then."""
        return self.start_us <= moment_us and (self.end_us is None or moment_us < self.end_us)


class Overrides:
    """The prices of one project's own."""

    def __init__(self, prices: Sequence[OwnPrice]) -> None:
        found = list(_readable(prices))
        self._patterns = [each for each in found if each.model.regex is not None]
        self._by_name: dict[str, list[Override]] = {}
        for each in found:
            if each.model.regex is None:
                self._by_name.setdefault(each.model.text, []).append(each)
        self.tariff_of = lru_cache(maxsize=NAMES_MAX)(self._tariff_of)

    def _tariff_of(self, provider: str | None, model: str) -> Tariff | None:
        """Return what holds for a model under the names that a client gave; None where nothing ever does."""
        if len(model) > NAME_CHARS_MAX or len(provider or "") > NAME_CHARS_MAX:
            return None
        name, provider_name = model.lower(), (provider or "").lower()
        fitting = [*self._by_name.get(name, ()), *(each for each in self._patterns if each.model.fits(name))]
        found = [each for each in fitting if each.provider is None or each.provider.fits(provider_name)]
        return _tariff(tuple(sorted(found, key=lambda each: each.order))) if found else None


class ProjectOverrides:
    """The overrides of all projects, as they are now."""

    def __init__(self, known: OwnPrices) -> None:
        self._known = known
        self._made: OrderedDict[str, tuple[tuple[OwnPrice, ...], Overrides]] = OrderedDict()

    def __call__(self, project: str) -> Overrides | None:
        """Return a project's overrides; None where it has none."""
        prices = self._known.prices(project)
        if not prices:
            return None
        made = self._made.get(project)
        if made is None or made[0] is not prices:
            made = self._made[project] = prices, Overrides(prices)
            while len(self._made) > PROJECTS_MAX:
                self._made.popitem(last=False)
        return made[1]


def _readable(prices: Sequence[OwnPrice]) -> Iterator[Override]:
    for each in prices:
        try:
            yield _override(each.key, each.version, each.body)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # As a later version may have written it: it must not keep calls from being stored.
            logger.exception("version %d of a price can't be read, and holds for nothing", each.version)


@lru_cache(maxsize=OVERRIDES_MAX)
def _override(key: str, version: int, text: bytes) -> Override:
    body = orjson.loads(text)
    model, provider = _Pattern.of(body["model"]), body.get("provider")
    first, last = date.fromisoformat(body["from"]), body.get("to")
    start_us = _us(first)
    return Override(
        model=model,
        provider=None if provider is None else _Pattern.of(provider),
        start_us=start_us,
        end_us=None if last is None else _us(date.fromisoformat(last)) + timedelta(days=1) // timedelta(microseconds=1),
        rate=replace(
            _rate(body),
            source=f"override {key}@{first} v{version}",
            replaces_reported=body.get("replaces_reported", False),
            needs_tokens="usd_per_million" in body,
        ),
        order=(model.regex is not None, provider is None, -start_us, key),
    )


def _rate(body: Mapping[str, Any]) -> Rate:
    tokens = body.get("usd_per_million", {})
    fresh, output, read, write = (
        _decimal(tokens.get(name)) for name in ("input", "output", "cache_read", "cache_write")
    )
    request = _decimal(body.get("usd_per_request"))
    return rate_of(ModelPrice(), fresh, output, read, write, None if request is None else request * 1000)


def _decimal(price: float | None) -> Decimal | None:
    """Return the number that was written: a float's shortest form, not its binary value."""
    return None if price is None else Decimal(str(price))


@lru_cache(maxsize=NAMES_MAX)
def _tariff(overrides: tuple[Override, ...]) -> Tariff:
    """Return the tariff of overrides, of which the first that holds is the one that counts."""
    ends = (each.end_us for each in overrides if each.end_us is not None)
    changes = sorted({*(each.start_us for each in overrides), *ends})
    rates = [
        next((each.rate for each in overrides if each.holds_at(moment)), None) for moment in (changes[0] - 1, *changes)
    ]
    return Tariff(rates, np.array(changes, np.int64))


def _us(day: date) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
