"""A config as it is fetched, checked and made ready to assign by: the same answers as ``assign``, in less time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from fallom.assignment import (
    BUCKETS_PER_PERCENT,
    Assignment,
    Reason,
    assign,
    bucket,
    salt,
    salted_buckets,
    targeted_variant,
    variant_keys,
    variant_list,
)


class Plan:
    """One version of a config. What the server sent stays as it is, under ``config``."""

    __slots__ = (
        "_by_weight",
        "_cumulative",
        "_is_plain",
        "_outside",
        "_salt",
        "_targeting",
        "_traffic",
        "config",
        "key",
        "version",
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check the config and prepare it. Raises ValueError where nobody can assign by it."""
        key, version = config.get("key"), config.get("version", 1)
        if not isinstance(key, str) or not key:
            raise ValueError(f"key: a text expected, got {key!r}")
        if isinstance(version, bool) or not isinstance(version, int):
            raise ValueError(f"config {key!r}: version: a whole number expected, got {version!r}")  # noqa: TRY004 - the server's fault, not a caller's
        self.config, self.key, self.version = config, key, version
        variants = _checked_variants(config)
        assign(config, "")
        named = zip(variant_keys(config["variants"]), variants, strict=True)
        models = [(index, name, variant["model"]) for index, (name, variant) in enumerate(named)]
        self._by_weight = tuple(Assignment(*model, "weight") for model in models)
        self._outside = Assignment(*models[0], "outside_traffic")
        self._cumulative = _cumulative([variant["weight"] for variant in variants])
        is_salted = config.get("hash_version", 1) == 2
        self._salt = salt(config) if is_salted else None
        self._traffic = config.get("traffic", 100) * BUCKETS_PER_PERCENT
        self._targeting = config.get("targeting")
        is_monotonic = self._cumulative == sorted(self._cumulative)
        self._is_plain = is_monotonic and config.get("sticky_by") in (None, "session")

    def assign(
        self,
        session_id: str,
        customer_id: str | None = None,
        context: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> Assignment:
        """Return what ``fallom.assignment.assign`` returns."""
        if not self._is_plain:
            return assign(self.config, session_id, customer_id=customer_id, context=context, request_id=request_id)
        by_weight = self._by_weight
        if self._targeting:
            targeted = targeted_variant(self._targeting, customer_id, context)
            if targeted is not None and -len(by_weight) <= targeted[0] < len(by_weight):
                return by_weight[targeted[0]]._replace(reason=targeted[1])
        if self._salt is None:
            drawn = bucket(session_id)
        else:
            drawn, place = salted_buckets(self._salt, session_id)
            if place >= self._traffic:
                return self._outside
        # The first whose running sum exceeds the bucket, else the last.
        index = bisect_right(self._cumulative, drawn)
        return by_weight[index] if index < len(by_weight) else by_weight[-1]


def fallback_assignment(model: str) -> Assignment:
    """Return what a session gets where there is no config.

    >>> fallback_assignment("gpt-4o-mini").reason
    'fallback'
    """
    reason: Reason = "fallback"
    return Assignment(-1, model, model, reason)


def _checked_variants(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    named = config.get("variants")
    if not isinstance(named, list | dict) or not named:
        raise ValueError(f"config {config['key']!r}: variants: a list or an object expected, got {named!r:.100}")
    variants = variant_list(named)
    for variant in variants:
        if not isinstance(variant, dict) or not isinstance(variant.get("model"), str):
            raise ValueError(f"config {config['key']!r}: a variant with a model expected, got {variant!r:.100}")  # noqa: TRY004 - as above
        weight = variant.get("weight")
        if isinstance(weight, bool) or not isinstance(weight, int | float | str) or not math.isfinite(float(weight)):
            raise ValueError(f"config {config['key']!r}: weight: a number expected, got {weight!r:.100}")
    return variants


def _cumulative(weights: list[Any]) -> list[float]:
    """Return the running sums, in the floating-point steps of ``fallom.assignment.walk``."""
    sums: list[float] = []
    cumulative = 0.0
    for weight in weights:
        cumulative += float(weight) * BUCKETS_PER_PERCENT
        sums.append(cumulative)
    return sums
