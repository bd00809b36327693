"""The usual ways to give a config's variants their weights: even, champion and challenger, canary, conclude.

Each returns the config's next body; weights are percentages. A canary's later steps stand in its ``rollout``, which the
server follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from schemas.api.config import Config
from schemas.api.problems import Problem
from schemas.api.rollout import Rollout, RolloutStep
from schemas.api.rollout_requests import ConcludeBody, RolloutBody, StopBody
from storage.registry.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes a config's next body, and what to note where nobody says why."""

    change: Callable[[Any], Config]
    note: str


def shape_of(body: RolloutBody) -> Shape:
    """Return the shape that is asked for. Raises DocumentError where its variant is not named."""
    if body.shape == "even":
        return Shape(even, body.shape)
    variant = body.variant
    if variant is None:
        raise DocumentError([Problem("variant", f"is required by the shape {body.shape}")])
    if body.shape == "champion_challenger":
        return Shape(lambda config: champion_challenger(config, variant, share=body.share), body.shape)
    every, start = timedelta(seconds=body.every_s), body.start or datetime.now(UTC)
    return Shape(lambda config: canary(config, variant, steps=body.steps, every=every, start=start), body.shape)


def concluded(body: ConcludeBody) -> Shape:
    """Return what ends a test."""
    return Shape(lambda config: conclude(config, body.winner), f"concluded: {body.winner}")


def stopped(body: StopBody) -> Shape:
    """Return what stops a test at once: the variant that is named, else the first, gets all."""
    return Shape(lambda config: conclude(config, body.variant or variant_names(config)[0]), "stopped")


def even(config: Config) -> Config:
    """Give all variants that are not off the same share."""
    weights = [float(weight > 0) for weight in config.weights()]
    return with_weights(config, [100 * weight / sum(weights) for weight in weights])


def champion_challenger(config: Config, champion: str, *, share: float = 90.0) -> Config:
    """Give the champion its share, in percent, and the others the rest, in the proportions that they have."""
    return with_weights(config, _given(config, variant_index(config, champion), share, "share"))


def canary(config: Config, variant: str, *, steps: Sequence[float], every: timedelta, start: datetime) -> Config:
    """Give a variant ever larger shares, in percent: the first from ``start`` on, and the others the rest."""
    index = variant_index(config, variant)
    if not steps or any(later <= earlier for earlier, later in pairwise(steps)):
        wanted = "shares in percent that rise, such as [5, 25, 100]"
        raise DocumentError([Problem("steps", f"must be {wanted}, got {list(steps)}")])
    if every <= timedelta(0):
        raise DocumentError([Problem("every_s", f"must be > 0, got {every.total_seconds():g}")])
    plan = [
        RolloutStep(at=start + number * every, weights=_given(config, index, share, f"steps[{number}]"))
        for number, share in enumerate(steps)
    ]
    return config.model_copy(update={"rollout": Rollout(steps=plan)})


def conclude(config: Config, winner: str) -> Config:
    """Give all to the winner; the losers are off and kept, and no step is left to come."""
    index = variant_index(config, winner)
    return with_weights(config, [100.0 * (place == index) for place in range(len(config.variants))])


def variant_index(config: Config, variant: str) -> int:
    """Return the place of a variant by its key: its name, else its model. Raises DocumentError."""
    keys = variant_names(config)
    if variant not in keys:
        raise DocumentError([Problem("variant", f"no variant {variant!r}: there are {', '.join(map(repr, keys))}")])
    return keys.index(variant)


def variant_names(config: Config) -> list[str]:
    """Return the variants' keys, in their order."""
    return list(config.variants) if isinstance(config.variants, dict) else [each.model for each in config.variants]


def with_weights(config: Config, weights: Sequence[float], rollout: Rollout | None = None) -> Config:
    """Return the config with these weights, one a variant in their order, and what is still to come."""
    variants = list(config.variants.values()) if isinstance(config.variants, dict) else config.variants
    weighted = [
        each.model_copy(update={"weight": float(weight)}) for each, weight in zip(variants, weights, strict=True)
    ]
    named = dict(zip(config.variants, weighted, strict=True)) if isinstance(config.variants, dict) else weighted
    return config.model_copy(update={"variants": named, "rollout": rollout})


def _given(config: Config, index: int, share: float, field: str) -> list[float]:
    """Return weights that give one variant its share and the others the rest as they had it before."""
    if not 0 <= share <= 100:
        raise DocumentError([Problem(field, f"must be between 0 and 100, got {share:g}")])
    others = [0.0 if place == index else weight for place, weight in enumerate(config.weights())]
    if not any(others):
        others = [float(place != index) for place in range(len(others))]
    total = sum(others)
    if not total and share < 100:
        raise DocumentError([Problem(field, f"there is no other variant for the rest, got {share:g}")])
    rest = (100 - share) / total if total else 0.0
    return [share if place == index else weight * rest for place, weight in enumerate(others)]
