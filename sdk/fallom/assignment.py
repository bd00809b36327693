"""Which variant a session gets: pure, without I/O, the same answer in the client and on the server.

The algorithm is the one that every published Fallom client runs (``hash_version`` 1), so that an assignment can be
recomputed from the config alone: targeting first, then a walk over the variants' weights to the session's bucket.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

BUCKET_COUNT = 1_000_000
BUCKETS_PER_PERCENT = BUCKET_COUNT // 100

Reason = Literal["individual_target", "rule", "weight"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One session's variant: its place in the config's list, its key, its model, and why it was chosen."""

    variant_index: int
    variant_key: str
    model: str
    reason: Reason


def bucket(session_id: str) -> int:
    """Return the session's bucket in [0, 1_000_000): the first four bytes of its MD5, big-endian, modulo a million."""
    digest = hashlib.md5(session_id.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big") % BUCKET_COUNT


def variant_list(variants: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the variants in the order the walk takes them, from either of the two forms that a config may have."""
    return list(variants.values()) if isinstance(variants, Mapping) else list(variants)


def variant_keys(variants: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return each variant's key: its name where the variants are an object, else its model."""
    if isinstance(variants, Mapping):
        return list(variants)
    return [str(variant["model"]) for variant in variants]


def walk(weights: Sequence[float], session_bucket: int) -> int:
    """Return the index of the first variant whose running sum of weights (percent) exceeds the bucket, else the last.

    The sum is taken in the order and in the floating-point steps of the published clients: a different grouping could
    differ by one bucket.
    """
    cumulative = 0.0
    for index, weight in enumerate(weights):
        cumulative += float(weight) * BUCKETS_PER_PERCENT
        if session_bucket < cumulative:
            return index
    return len(weights) - 1


def targeted_variant(
    targeting: Mapping[str, Any] | None, customer_id: str | None, context: Mapping[str, str] | None
) -> tuple[int, Reason] | None:
    """Return the variant index that the targeting names for this customer and context, and why; None if it names none.

    Individual targets are tried first, in order, by exact match; then the rules, in order, all of whose conditions
    must hold. The customer's id stands in the context as ``customerId``.
    """
    if not targeting or targeting.get("enabled") is False:
        return None
    fields: dict[str, Any] = dict(context or {})
    if customer_id:
        fields["customerId"] = customer_id
    for target in targeting.get("individualTargets") or ():
        if fields.get(target.get("field")) == target.get("value"):
            return _index_of(target), "individual_target"
    for rule in targeting.get("rules") or ():
        if all(_holds(condition, fields) for condition in rule.get("conditions") or ()):
            return _index_of(rule), "rule"
    return None


def assign(
    config: Mapping[str, Any],
    session_id: str,
    *,
    customer_id: str | None = None,
    context: Mapping[str, str] | None = None,
) -> Assignment:
    """Return the variant of ``config`` (as ``GET /configs`` serves it) for one session.

    A targeted index beyond the list falls through to the weights, as in the published clients.
    """
    variants = variant_list(config["variants"])
    targeted = targeted_variant(config.get("targeting"), customer_id, context)
    reason: Reason
    if targeted is not None and 0 <= targeted[0] < len(variants):
        index, reason = targeted
    else:
        index, reason = walk([variant["weight"] for variant in variants], bucket(session_id)), "weight"
    return Assignment(index, variant_keys(config["variants"])[index], str(variants[index]["model"]), reason)


def _index_of(entry: Mapping[str, Any]) -> int:
    index = entry.get("variantIndex")
    return index if isinstance(index, int) else -1


def _holds(condition: Mapping[str, Any], fields: Mapping[Any, Any]) -> bool:
    actual = fields.get(condition.get("field"))
    if actual is None:
        return False
    expected = condition.get("value")
    match condition.get("operator"):
        case "eq":
            return bool(actual == expected)
        case "neq":
            return bool(actual != expected)
        case "in":
            return isinstance(expected, list) and actual in expected
        case "nin":
            return isinstance(expected, list) and actual not in expected
        case "contains":
            return isinstance(expected, str) and expected in _searchable(actual)
        case "startsWith":
            return isinstance(expected, str) and str(actual).startswith(expected)
        case "endsWith":
            return isinstance(expected, str) and str(actual).endswith(expected)
        case _:
            return False


def _searchable(actual: Any) -> Any:
    # A number has no parts to look into; a published client raises on it. A collection is searched by item, as there.
    return actual if isinstance(actual, list | tuple | set | frozenset | Mapping) else str(actual)


def effective_shares(weights: Sequence[float]) -> list[float]:
    """Return the share of all buckets that the walk gives to each variant; they sum to 1.

    They differ from the weights where these do not sum to 100: what is missing falls to the last variant, and what is
    beyond is out of reach.
    """
    shares: list[float] = []
    cumulative, taken = 0.0, 0
    for weight in weights:
        cumulative += float(weight) * BUCKETS_PER_PERCENT
        reached = max(taken, math.ceil(min(cumulative, BUCKET_COUNT)))
        shares.append((reached - taken) / BUCKET_COUNT)
        taken = reached
    if shares:
        shares[-1] += (BUCKET_COUNT - taken) / BUCKET_COUNT
    return shares
