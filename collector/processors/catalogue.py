"""Finds a model of `genai-prices` by the names that a client gave it and its provider, at a bounded cost.

`DataSnapshot.find_provider_model` asks every model of a provider in turn, 0.4 ms for a name that none of them has, and
remembers names for ever; a client may send any number of them. Here genai-prices is asked about those models alone
whose match looks for a whole name that is this one, or for a text that this one holds: about none, mostly, which takes
0.01 ms. Names of models are not remembered.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    Provider,
)

NAME_CHARS_MAX = 256
"""A longer name is no model's and no provider's: the time to look one up grows with its length."""

PROVIDER_NAMES_MAX = 1_000

# genai-prices tries -20251211 as -2025-12-11 too.
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)")


def find_model(provider: str | None, model: str) -> ModelInfo | None:
    """Return the model that genai-prices finds under these names; None where it finds none."""
    if len(model) > NAME_CHARS_MAX or len(provider or "") > NAME_CHARS_MAX:
        return None
    return _catalogue().model(provider, model.lower())


def knows_provider(name: str) -> bool:
    """Return whether genai-prices finds a provider under a name."""
    return len(name) <= NAME_CHARS_MAX and _catalogue().provider(name) is not None


def is_provider_id(name: str) -> bool:
    """Return whether a name is that by which genai-prices itself calls a provider."""
    return name in _catalogue().providers


class _Catalogue:
    """The providers of a snapshot of prices, which are never changed in place."""

    def __init__(self, snapshot: DataSnapshot) -> None:
        self.snapshot = snapshot
        self.providers: dict[str, _Index] = {each.id: _index(each) for each in reversed(snapshot.providers)}
        self._by_model = [
            (each.model_match.is_match, self.providers[each.id])
            for each in snapshot.providers
            if each.model_match is not None
        ]
        self.provider = lru_cache(maxsize=PROVIDER_NAMES_MAX)(self._provider)

    def model(self, provider: str | None, name: str) -> ModelInfo | None:
        if provider is not None and provider.lower() == "litellm":
            # The provider is in the model's name.
            prefix, slash, rest = name.partition("/")
            if prefix and slash and self.provider(prefix):
                provider, name = prefix, rest
        found = None if provider is None else self.provider(provider)
        if found is None and name and (provider is None or provider.lower() == "litellm"):
            found = next((index for is_match, index in self._by_model if is_match(name)), None)
        if found is None:
            return None
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        own = found.narrowed(name, dashed)
        others = [
            other
            for provider_id in found.provider.fallback_model_providers or ()
            if provider_id in self.providers and (other := self.providers[provider_id].narrowed(name, dashed)).models
        ]
        return own.find_model(name, all_providers=others) if own.models or others else None

    def _provider(self, name: str) -> "_Index | None":
        found = find_provider_by_id(self.snapshot.providers, name)
        return None if found is None else self.providers[found.id]


_made: list[_Catalogue] = []


def _catalogue() -> _Catalogue:
    """Return the catalogue of the prices that are in force, made once."""
    snapshot = get_snapshot()
    for made in _made:
        if made.snapshot is snapshot:
            return made
    _made[:] = [_Catalogue(snapshot)]
    return _made[0]


@dataclass(frozen=True, slots=True)
class _Index:
    """Which of a provider's models, by position, match a whole name, or may match one that holds a text."""

    provider: Provider
    without_models: Provider
    by_name: dict[str, list[int]]
    by_text: Sequence[tuple[str, int]]
    by_regex: Sequence[tuple[re.Pattern[str], int]]
    to_ask: Sequence[int]

    def narrowed(self, name: str, dashed: str) -> Provider:
        """Return the provider with those of its models, in order, that can match one of the names."""
        positions = {*self.to_ask, *self._positions(name)}
        if dashed != name:
            positions.update(self._positions(dashed))
        if not positions:
            return self.without_models
        return replace(self.provider, models=[self.provider.models[position] for position in sorted(positions)])

    def _positions(self, name: str) -> list[int]:
        return [
            *self.by_name.get(name, ()),
            *[position for text, position in self.by_text if text in name],
            *[position for regex, position in self.by_regex if regex.search(name)],
        ]


def _index(provider: Provider) -> _Index:
    by_name: dict[str, list[int]] = defaultdict(list)
    by_text: set[tuple[str, int]] = set()
    by_regex: list[tuple[re.Pattern[str], int]] = []
    to_ask: set[int] = set()
    for position, model in enumerate(provider.models):
        for clause in _alternatives(model.match):
            if isinstance(clause, ClauseEquals):
                by_name[clause.equals.lower()].append(position)
            elif (text := _text_of(clause)) is not None:
                by_text.add((text, position))
            elif isinstance(clause, ClauseRegex):
                by_regex.append((re.compile(clause.regex), position))
            else:
                to_ask.add(position)
    return _Index(
        provider, replace(provider, models=[]), dict(by_name), sorted(by_text), tuple(by_regex), sorted(to_ask)
    )


def _alternatives(clause: MatchLogic) -> Iterator[MatchLogic]:
    if isinstance(clause, ClauseOr):
        for each in clause.or_:
            yield from _alternatives(each)
    else:
        yield clause


def _text_of(clause: MatchLogic) -> str | None:
    """Return a text that every name holds that the clause matches; None where that is not known."""
    if isinstance(clause, ClauseStartsWith):
        return clause.starts_with.lower()
    if isinstance(clause, ClauseEndsWith):
        return clause.ends_with.lower()
    if isinstance(clause, ClauseContains):
        return clause.contains.lower()
    if isinstance(clause, ClauseAnd):
        return next(filter(None, map(_text_of, clause.and_)), None)
    return None
