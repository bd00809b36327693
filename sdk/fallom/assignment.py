"""Which variant a session gets, and why: pure, without I/O, the same answer in the client and on the server.

``hash_version`` 1 is the algorithm of every published Fallom client, bit for bit, so that an assignment can be
recomputed from the config alone: targeting first, then a walk over the variants' weights to the session's bucket. Its
hash has no salt, so two tests of the same weights give each session the same arm in both. ``hash_version`` 2 hashes the
config's key, and its ``seed`` where it has one, with the session: tests are independent of each other, and a new seed
deals anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from operator import itemgetter
from typing import Any, Literal, NamedTuple

BUCKET_COUNT = 1_000_000
BUCKETS_PER_PERCENT = BUCKET_COUNT // 100

Reason = Literal["individual_target", "rule", "weight", "outside_traffic", "fallback"]


_WEIGHT = itemgetter("weight")


class Assignment(NamedTuple):
    """One session's variant: its place in the config's list, its key, its model, and why it was chosen.

    ``individual_target`` and ``rule``: by the targeting; ``weight``: by the session's bucket; ``outside_traffic``: the
    first variant, since the session is not in the config's share of the traffic; ``fallback``: what a client was told
    to use where it has no config, whose index is -1.
    """

    variant_index: int
    variant_key: str
    model: str
    reason: Reason


def assign(
    config: Mapping[str, Any],
    session_id: str,
    *,
    customer_id: str | None = None,
    context: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> Assignment:
    """Return the variant of ``config`` (as ``GET /configs`` serves it) for one session.

    A targeted index beyond the list falls through to the weights, as in the published clients. Where the config is
    ``sticky_by`` customer, or request, that takes the session's place, if there is one. Raises ValueError for a config
    without variants, and for a hash version that is not known.
    """
    named = config["variants"]
    variants: Sequence[Mapping[str, Any]] = named if type(named) is list else variant_list(named)
    if not variants:
        raise ValueError(f"config {config.get('key')!r} has no variants")
    reason: Reason = "weight"
    targeting = config.get("targeting")
    targeted = targeted_variant(targeting, customer_id, context) if targeting else None
    if targeted is not None and -len(variants) <= targeted[0] < len(variants):
        # A negative index counts from the end, in the published clients as in Python.
        index, reason = targeted[0] % len(variants), targeted[1]
    else:
        unit = session_id
        if (sticky_by := config.get("sticky_by")) is not None:
            unit = {"customer": customer_id, "request": request_id}.get(sticky_by) or session_id
        hash_version = config.get("hash_version", 1)
        if hash_version == 1:
            drawn = bucket(unit)
        elif hash_version == 2:
            drawn, place = salted_buckets(salt(config), unit)
            if place >= config.get("traffic", 100) * BUCKETS_PER_PERCENT:
                reason = "outside_traffic"
        else:
            raise ValueError(f"config {config.get('key')!r} has hash_version {hash_version!r}, known are 1 and 2")
        index = 0 if reason == "outside_traffic" else walk(map(_WEIGHT, variants), drawn)
    model = variants[index]["model"]
    key = model if variants is named else variant_keys(named)[index]
    return Assignment(index, key, model, reason)


def bucket(session_id: str) -> int:
    """Return the session's bucket in [0, 1_000_000): the first four bytes of its MD5, big-endian, modulo a million."""
    return int.from_bytes(md5(session_id.encode(), usedforsecurity=False).digest()[:4], "big") % BUCKET_COUNT


def salt(config: Mapping[str, Any]) -> str:
    """Return what ``hash_version`` 2 hashes before the session: the config's key and its seed."""
    return f"{config['key']}\x1f{config.get('seed') or ''}\x1f"


def salted_buckets(salted_by: str, session_id: str) -> tuple[int, int]:
    """Return the session's bucket under a salt, and its place in the traffic, each in [0, 1_000_000).

    They are the first and the second four bytes of the MD5 of both texts, so neither tells anything of the other.
    """
    digest = md5((salted_by + session_id).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big") % BUCKET_COUNT, int.from_bytes(digest[4:8], "big") % BUCKET_COUNT


def walk(weights: Iterable[float], session_bucket: int) -> int:
    """Return the index of the first variant whose running sum of weights (percent) exceeds the bucket, else the last.

    The sum is taken in the order and in the floating-point steps of the published clients: a different grouping could
    differ by one bucket.
    """
    cumulative, index = 0.0, -1
    for index, weight in enumerate(weights):
        cumulative += float(weight) * BUCKETS_PER_PERCENT
        if session_bucket < cumulative:
            return index
    return index


def variant_list(variants: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the variants in the order the walk takes them, from either of the two forms that a config may have."""
    return list(variants.values()) if isinstance(variants, Mapping) else list(variants)


def variant_keys(variants: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return each variant's key: its name where the variants are an object, else its model."""
    if isinstance(variants, Mapping):
        return list(variants)
    return [str(variant["model"]) for variant in variants]


def targeted_variant(
    targeting: Mapping[str, Any] | None, customer_id: str | None, context: Mapping[str, Any] | None
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
            return _named(target, "individual_target")
    for rule in targeting.get("rules") or ():
        if all(holds(condition, fields.get(condition.get("field"))) for condition in rule.get("conditions") or ()):
            return _named(rule, "rule")
    return None


def targeting_fields(targeting: Mapping[str, Any] | None) -> set[str]:
    """Return the fields of the context that the targeting goes by; none where it is off."""
    if not targeting or targeting.get("enabled") is False:
        return set()
    conditions = [condition for rule in targeting.get("rules") or () for condition in rule.get("conditions") or ()]
    entries = (*(targeting.get("individualTargets") or ()), *conditions)
    return {field for entry in entries if (field := entry.get("field"))}


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


def _named(entry: Mapping[str, Any], reason: Reason) -> tuple[int, Reason] | None:
    index = entry.get("variantIndex")
    return (index, reason) if isinstance(index, int) else None


def holds(condition: Mapping[str, Any], actual: Any) -> bool:
    """Return whether a rule's condition holds for what the session has in its field; None is nothing."""
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
