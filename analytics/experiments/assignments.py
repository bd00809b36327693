"""The assignment of many sessions at once: the twin of ``fallom.assignment.assign``, which it agrees with on all input.

Theory of operation. Customers and context fields have few values in many sessions, so the targeting is worked out once
a value, by the same function, and spread over the sessions by codes; only the hash is taken once a session.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallom.assignment import BUCKET_COUNT, BUCKETS_PER_PERCENT, Reason, holds, salt, variant_list

REASONS: tuple[Reason, ...] = ("weight", "individual_target", "rule", "outside_traffic")
_WEIGHT, _INDIVIDUAL_TARGET, _RULE, _OUTSIDE_TRAFFIC = range(4)
_CUSTOMER = "customerId"
_NOBODY = 2**31 - 1

Values = Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Assignments:
    """Of each session the index of its variant, int64, and why it got it, as an index of ``REASONS``, int8."""

    variant_indexes: NDArray[np.int64]
    reasons: NDArray[np.int8]


def assign_many(
    config: Mapping[str, Any],
    session_ids: Sequence[str],
    *,
    customer_ids: Sequence[str | None] | None = None,
    context: Mapping[str, Values] | None = None,
    request_ids: Sequence[str | None] | None = None,
) -> Assignments:
    """Return the variants of many sessions; ``context`` has a column a field, None where a session has it not.

    Raises ValueError where ``assign`` does.
    """
    variants = variant_list(config["variants"])
    hash_version = config.get("hash_version", 1)
    if not variants or hash_version not in (1, 2):
        raise ValueError(f"config {config.get('key')!r} has no variants, or hash_version {hash_version!r}")
    units: Sequence[str] = session_ids
    instead = {"customer": customer_ids, "request": request_ids}.get(config.get("sticky_by") or "")
    if instead is not None:
        units = [unit or session for unit, session in zip(instead, session_ids, strict=True)]
    indexes, is_outside = dealt(config, digests(config, units))
    reasons = np.where(is_outside, _OUTSIDE_TRAFFIC, _WEIGHT).astype(np.int8)
    targeting = config.get("targeting")
    if targeting and targeting.get("enabled") is not False:
        targeted, why = _targeted(targeting, _fields(customer_ids, context), len(session_ids))
        counts = (targeted >= -len(variants)) & (targeted < len(variants))
        indexes[counts] = targeted[counts] % len(variants)
        reasons[counts] = why[counts]
    return Assignments(indexes, reasons)


def hash_salt(config: Mapping[str, Any]) -> str:
    """Return what is hashed before each unit."""
    return salt(config) if config.get("hash_version", 1) == 2 else ""


def digests(config: Mapping[str, Any], units: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each unit's MD5, salted as the config wants it, as a little-endian number."""
    start = md5(hash_salt(config).encode(), usedforsecurity=False)
    found = bytearray()
    for unit in units:
        digest = start.copy()
        digest.update(unit.encode())
        found += digest.digest()[:8]
    return np.frombuffer(bytes(found), "<u8")


def dealt(config: Mapping[str, Any], hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the variant that chance gives to each of ``digests``, and whether it is outside of the traffic."""
    numbers = hashes.astype("<u8").view(">u4").reshape(-1, 2) % BUCKET_COUNT
    # As in the walk: the sum of what is before, in its order, and the last takes what is left.
    ends = np.cumsum([float(variant["weight"]) * BUCKETS_PER_PERCENT for variant in variant_list(config["variants"])])
    indexes = np.minimum(np.searchsorted(ends, numbers[:, 0], side="right"), len(ends) - 1)
    if config.get("hash_version", 1) == 1:
        return indexes, np.zeros(len(indexes), np.bool_)
    is_outside = numbers[:, 1] >= config.get("traffic", 100) * BUCKETS_PER_PERCENT
    return np.where(is_outside, 0, indexes), is_outside


@dataclass(frozen=True, slots=True)
class _Field:
    """A column as its different values, and of each session the place of its own among them."""

    values: list[Any]
    codes: NDArray[np.int64]

    def where(self, found: Sequence[bool]) -> NDArray[np.bool_]:
        return np.asarray(found, np.bool_)[self.codes]


def _fields(customer_ids: Sequence[str | None] | None, context: Mapping[str, Values] | None) -> dict[str, _Field]:
    columns: dict[str, Values] = dict(context or {})
    if customer_ids is not None:
        # A customer who is known goes before what the context says.
        others = columns.get(_CUSTOMER) or [None] * len(customer_ids)
        columns[_CUSTOMER] = [customer or other for customer, other in zip(customer_ids, others, strict=True)]
    return {name: _coded(column) for name, column in columns.items()}


def _coded(column: Values) -> _Field:
    # By type too: 1, 1.0 and True are equal, and read differently as texts.
    places: dict[tuple[type, Hashable], int] = {}
    codes = np.fromiter((places.setdefault((type(value), value), len(places)) for value in column), np.int64)
    return _Field([value for _, value in places], codes)


def _targeted(
    targeting: Mapping[str, Any], fields: Mapping[str, _Field], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return the index that the first target or rule names that fits, beyond all variants where none does; and why."""
    indexes, reasons = np.full(count, _NOBODY, np.int64), np.full(count, _WEIGHT, np.int8)
    is_open = np.ones(count, np.bool_)
    for reason, entries in (
        (_INDIVIDUAL_TARGET, targeting.get("individualTargets") or ()),
        (_RULE, targeting.get("rules") or ()),
    ):
        for entry in entries:
            fits = is_open & _fits(entry, fields, is_target=reason == _INDIVIDUAL_TARGET)
            is_open &= ~fits
            index = entry.get("variantIndex")
            if isinstance(index, int):
                indexes[fits], reasons[fits] = np.clip(index, -_NOBODY, _NOBODY), reason
    return indexes, reasons


def _fits(entry: Mapping[str, Any], fields: Mapping[str, _Field], *, is_target: bool) -> NDArray[np.bool_] | bool:
    if is_target:
        field = fields.get(entry.get("field") or "")
        wanted = entry.get("value")
        return field.where([value == wanted for value in field.values]) if field else wanted is None
    fits: NDArray[np.bool_] | bool = True
    for condition in entry.get("conditions") or ():
        field = fields.get(condition.get("field") or "")
        if field is None:
            return False
        fits &= field.where([holds(condition, value) for value in field.values])
    return fits
