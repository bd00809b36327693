"""Weight epochs: unbroken runs of versions that assign alike, and when each of them was in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from fallom.assignment import effective_shares, targeted_variant, targeting_fields, variant_keys, variant_list
from storage.registry.resources import ConfigVersion


@dataclass(frozen=True, slots=True)
class Epoch:
    """Versions that assign alike, one after the other, in force from ``start`` until ``end`` (None: they still are).

    ``number`` counts the epochs of the config from 1; ``shares`` are the arms' parts of the sessions; ``by_chance`` is
    the body without its targeting.
    """

    number: int
    versions: tuple[int, ...]
    start: datetime
    end: datetime | None
    shares: tuple[float, ...]
    by_chance: dict[str, Any]
    targeting: dict[str, Any]

    @property
    def has_unseen_targeting(self) -> bool:
        """Return whether who is targeted depends on more than the customer, which only the client knows."""
        return not targeting_fields(self.targeting) <= {"customerId"}

    def is_targeted(self, customer_id: str | None) -> bool:
        """Return whether the targeting, not chance, decides on this customer's sessions."""
        found = targeted_variant(self.targeting, customer_id, None)
        return found is not None and 0 <= found[0] < len(self.shares)


def weight_epochs(key: str, versions: Sequence[ConfigVersion]) -> tuple[Epoch, ...]:
    """Return the epochs of all versions of a config, which are given oldest first."""
    runs = [list(run) for _, run in groupby(versions, lambda version: _assignment_rule(version.body))]
    # A clock that was set back does not bring an older version back.
    latest = versions[0].created_at if versions else None
    starts: list[datetime] = []
    for run in runs:
        latest = run[0].created_at if latest is None else max(latest, run[0].created_at)
        starts.append(latest)
    return tuple(
        _epoch(key, number, run, start, end)
        for number, (run, start, end) in enumerate(zip(runs, starts, [*starts[1:], None], strict=False), 1)
    )


def arms_rule(epoch: Epoch) -> tuple[object, ...]:
    """Return what epochs whose sessions may count in one comparison have in common: the arms and the hash."""
    body = epoch.by_chance
    return _arms(body), body.get("hash_version", 1), body.get("seed") or "", body.get("sticky_by") or "session"


def _epoch(key: str, number: int, run: Sequence[ConfigVersion], start: datetime, end: datetime | None) -> Epoch:
    body = run[-1].body
    targeting = body.get("targeting") or {}
    return Epoch(
        number=number,
        versions=tuple(version.version for version in run),
        start=start,
        end=end,
        shares=tuple(effective_shares([float(variant["weight"]) for variant in variant_list(body["variants"])])),
        by_chance={**body, "key": key, "targeting": None},
        targeting={} if targeting.get("enabled") is False else targeting,
    )


def _arms(body: dict[str, Any]) -> list[tuple[str, object]]:
    variants = body["variants"]
    return [
        (key, variant["model"]) for key, variant in zip(variant_keys(variants), variant_list(variants), strict=True)
    ]


def _assignment_rule(body: dict[str, Any]) -> tuple[object, ...]:
    chance = (
        body.get("hash_version", 1),
        body.get("seed") or "",
        body.get("traffic", 100),
        body.get("sticky_by") or "session",
    )
    weights = [float(variant["weight"]) for variant in variant_list(body["variants"])]
    return _arms(body), weights, body.get("targeting") or None, chance
