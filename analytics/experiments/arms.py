"""The arms of an experiment: the variants of one config version, and the versions that assign just as it does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fallom.assignment import (
    assign,
    effective_shares,
    targeted_variant,
    targeting_fields,
    variant_keys,
    variant_list,
)
from storage.registry.resources import ConfigVersion


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant: its key, its model, and the share of sessions that the assignment gives it."""

    key: str
    model: str
    share: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """A config under test, at one version.

    ``epoch`` holds the versions whose variants, weights, targeting and hash are the same as this one's: their sessions
    were assigned alike and may be counted together. Sessions of other versions may not. ``by_chance`` is the config
    without its targeting.
    """

    key: str
    version: int
    arms: tuple[Arm, ...]
    by_chance: dict[str, Any]
    epoch: frozenset[int]
    known_versions: frozenset[int]
    targeting: dict[str, Any]
    started_at: datetime

    @property
    def has_unseen_targeting(self) -> bool:
        """Return whether who is targeted depends on more than the customer, which only the client knows."""
        return not targeting_fields(self.targeting) <= {"customerId"}

    @property
    def needs_customers(self) -> bool:
        """Return whether a session's arm depends on its customer."""
        return bool(self.targeting) or self.by_chance.get("sticky_by") == "customer"

    @property
    def is_by_request(self) -> bool:
        """Return whether each request is dealt anew: a session is then in no arm."""
        return self.by_chance.get("sticky_by") == "request"

    def is_targeted(self, customer_id: str | None) -> bool:
        """Return whether the targeting, not chance, decides on this customer's sessions."""
        found = targeted_variant(self.targeting, customer_id, None)
        return found is not None and 0 <= found[0] < len(self.arms)

    def arm_of_hash(self, session_id: str, customer_id: str | None = None) -> int | None:
        """Return the index of the arm that the session's bucket falls to; None where it is outside of the test."""
        found = assign(self.by_chance, session_id, customer_id=customer_id)
        return None if found.reason == "outside_traffic" else found.variant_index


def experiment_of(key: str, versions: list[ConfigVersion], version: int | None = None) -> Experiment | None:
    """Return the experiment at a version of the config, the latest if None; None where there is no such version."""
    chosen = [found for found in versions if version in (None, found.version)]
    if not chosen:
        return None
    current = chosen[-1]
    epoch = _epoch(versions, current)
    variants = variant_list(current.body["variants"])
    weights = tuple(float(variant["weight"]) for variant in variants)
    keys = variant_keys(current.body["variants"])
    targeting = current.body.get("targeting") or {}
    return Experiment(
        key=key,
        version=current.version,
        arms=tuple(
            Arm(arm_key, str(variant["model"]), share)
            for arm_key, variant, share in zip(keys, variants, effective_shares(weights), strict=True)
        ),
        by_chance={**current.body, "key": key, "targeting": None},
        epoch=frozenset(found.version for found in epoch),
        known_versions=frozenset(found.version for found in versions),
        targeting={} if targeting.get("enabled") is False else targeting,
        started_at=min(found.created_at for found in epoch),
    )


def _epoch(versions: list[ConfigVersion], current: ConfigVersion) -> list[ConfigVersion]:
    """Return the unbroken run of versions around ``current`` that assign sessions as it does."""
    rule = _assignment_rule(current.body)
    run: list[ConfigVersion] = []
    for found in versions:
        if _assignment_rule(found.body) == rule:
            run.append(found)
        elif any(kept.version == current.version for kept in run):
            break
        else:
            run = []
    return run


def _assignment_rule(body: dict[str, Any]) -> tuple[object, ...]:
    variants = variant_list(body["variants"])
    keys = variant_keys(body["variants"])
    arms = [(key, variant["model"], float(variant["weight"])) for key, variant in zip(keys, variants, strict=True)]
    chance = (
        body.get("hash_version", 1),
        body.get("seed") or "",
        body.get("traffic", 100),
        body.get("sticky_by") or "session",
    )
    return arms, body.get("targeting") or None, chance
