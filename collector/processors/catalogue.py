"""Finds a model of `genai-prices` by the names that a client gave it and its provider, at a bounded cost.

`DataSnapshot.find_provider_model` asks every model of a provider in turn, 0.4 ms for a name that none of them has, and
remembers names for ever; a client may send any number of them. Here the models that match nothing but whole names are
looked up by name, and only the others are asked, by genai-prices itself: 0.13 ms at most. Nothing is remembered.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import ClauseEquals, ClauseOr, MatchLogic, ModelInfo, Provider

NAME_CHARS_MAX = 256
"""A longer name is no model's and no provider's: the time to look one up grows with its length."""

# genai-prices tries -20251211 as -2025-12-11 too.
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)")


def find_model(provider: str | None, model: str) -> ModelInfo | None:
    """Return the model that genai-prices finds under these names; None where it finds none."""
    if len(model) > NAME_CHARS_MAX or len(provider or "") > NAME_CHARS_MAX:
        return None
    # A snapshot remembers what it was asked; a new one for each question forgets it.
    providers = get_snapshot().providers
    snapshot = DataSnapshot(providers, from_auto_update=False)
    name = model.lower()
    if provider is not None and provider.lower() == "litellm":
        # The provider is in the model's name.
        prefix, slash, rest = name.partition("/")
        if prefix and slash and find_provider_by_id(providers, prefix):
            provider, name = prefix, rest
    try:
        found = snapshot.find_provider(name, provider, None)
    except LookupError:
        return None
    fallbacks = found.fallback_model_providers or ()
    others = [_narrowed(each, name) for each in providers if each.id in fallbacks]
    return _narrowed(found, name).find_model(name, all_providers=others)


@dataclass(frozen=True, slots=True)
class _Index:
    """Which of a provider's models, by position, match a whole name, and which have to be asked."""

    provider: Provider
    by_name: dict[str, list[int]]
    to_ask: frozenset[int]


def _narrowed(provider: Provider, name: str) -> Provider:
    """Return the provider with those of its models, in order, that can match the name."""
    index = _indices.get(id(provider))
    if index is None:
        index = _indices[id(provider)] = _index(provider)
    positions = set(index.to_ask)
    for each in (name, _COMPACT_DATE.sub(r"-\1-\2-\3", name)):
        positions.update(index.by_name.get(each, ()))
    return replace(provider, models=[provider.models[position] for position in sorted(positions)])


# One for each provider that genai-prices has; that it holds the provider keeps the id from being another's.
_indices: dict[int, _Index] = {}


def _index(provider: Provider) -> _Index:
    by_name: dict[str, list[int]] = defaultdict(list)
    to_ask: set[int] = set()
    for position, model in enumerate(provider.models):
        for clause in _alternatives(model.match):
            if isinstance(clause, ClauseEquals):
                by_name[clause.equals.lower()].append(position)
            else:
                to_ask.add(position)
    return _Index(provider, dict(by_name), frozenset(to_ask))


def _alternatives(clause: MatchLogic) -> Iterator[MatchLogic]:
    if isinstance(clause, ClauseOr):
        for each in clause.or_:
            yield from _alternatives(each)
    else:
        yield clause
