"""The arms of an experiment: the variants of a config, or of a prompt test, and the weight epochs that count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from analytics.experiments.epochs import Epoch, arms_rule, weight_epochs
from fallom.assignment import assign, variant_keys, variant_list
from storage.registry.experiments import prompt_variant_keys
from storage.registry.resources import ConfigVersion

Column = Literal["config_key", "prompt_ab_test_key"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant: its key, its model (None for a prompt's), and the share of sessions that it gets by now."""

    key: str
    model: str | None
    share: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """A config or prompt test under test, with the arms of one version.

    ``epochs`` are those whose sessions count, oldest first, of all that there were (``timeline``). A row is the
    experiment's where its ``column`` has the key. ``beside`` are other configs that deal sessions by the same hash.
    """

    key: str
    version: int
    arms: tuple[Arm, ...]
    epochs: tuple[Epoch, ...]
    timeline: tuple[Epoch, ...]
    column: Column = "config_key"
    beside: tuple[str, ...] = ()

    @property
    def versions(self) -> frozenset[int]:
        """Return the versions whose sessions count."""
        return frozenset(version for epoch in self.epochs for version in epoch.versions)

    @property
    def started_at(self) -> datetime:
        """Return since when there is a version whose sessions count."""
        return self.epochs[0].start

    @property
    def by_chance(self) -> dict[str, Any]:
        """Return the latest epoch's body without its targeting; all hash alike."""
        return self.epochs[-1].by_chance

    @property
    def has_unseen_targeting(self) -> bool:
        """Return whether who is targeted depends on more than the customer, which only the client knows."""
        return any(epoch.has_unseen_targeting for epoch in self.epochs)

    @property
    def needs_customers(self) -> bool:
        """Return whether a session's arm depends on its customer."""
        return any(epoch.targeting for epoch in self.epochs) or self.by_chance.get("sticky_by") == "customer"

    @property
    def is_by_request(self) -> bool:
        """Return whether each request is dealt anew: a session is then in no arm."""
        return self.by_chance.get("sticky_by") == "request"

    def arms_of(self, assigned: str | None) -> list[int]:
        """Return the indexes of the arms that what a client was given, as exposures name it, may be of.

        It is a model, or a prompt as ``prompt_variant_keys`` has it.
        """
        if self.column == "config_key":
            return [index for index, arm in enumerate(self.arms) if arm.model == assigned]
        return [index for index, arm in enumerate(self.arms) if assigned and _is_prompt_of(arm.key, assigned)]

    def arm_of_hash(self, session_id: str, customer_id: str | None = None, *, epoch: Epoch | None = None) -> int | None:
        """Return the index of the arm that the session's bucket falls to in an epoch, the latest if None.

        None where the session is outside of the test.
        """
        by_chance = (epoch or self.epochs[-1]).by_chance
        found = assign(by_chance, session_id, customer_id=customer_id)
        return None if found.reason == "outside_traffic" else found.variant_index


def prompt_experiment_of(
    key: str, versions: Sequence[ConfigVersion], version: int | None = None, *, epoch: int | None = None
) -> Experiment | None:
    """Return the experiment of a prompt test, as ``experiment_of`` does that of a config.

    Clients deal its variants as those of a config of hash_version 1, by session. They report no exposures: what a
    session's calls say of their prompt stands for them.
    """
    configs = [ConfigVersion(each.version, each.created_at, _as_config(each.body)) for each in versions]
    found = experiment_of(key, configs, version, epoch=epoch)
    if found is None:
        return None
    arms = tuple(replace(arm, model=None) for arm in found.arms)
    return replace(found, arms=arms, column="prompt_ab_test_key")


def experiment_of(
    key: str, versions: Sequence[ConfigVersion], version: int | None = None, *, epoch: int | None = None
) -> Experiment | None:
    """Return the experiment at a version of the config, at an epoch's last, or, if both are None, at the latest.

    At the latest version all epochs of its arms count, else the one alone. None where there is no such version, or no
    such epoch.
    """
    timeline = weight_epochs(key, versions)
    chosen = [
        each
        for each in timeline
        if (epoch is None or each.number == epoch) and (version is None or version in each.versions)
    ]
    if not chosen:
        return None
    current = chosen[-1]
    rule = arms_rule(current)
    is_whole = version is None and epoch is None
    body = current.by_chance
    arms = zip(variant_keys(body["variants"]), variant_list(body["variants"]), current.shares, strict=True)
    return Experiment(
        key=key,
        version=version or current.versions[-1],
        arms=tuple(Arm(arm_key, str(variant["model"]), share) for arm_key, variant, share in arms),
        epochs=tuple(each for each in timeline if arms_rule(each) == rule) if is_whole else (current,),
        timeline=timeline,
    )


def _as_config(body: dict[str, Any]) -> dict[str, Any]:
    variants = body["variants"]
    named = zip(prompt_variant_keys(variants), variants, strict=True)
    return {"variants": {name: {"model": name, "weight": variant["weight"]} for name, variant in named}}


def _is_prompt_of(arm: str, assigned: str) -> bool:
    """Return whether a prompt is that of an arm: an arm without a version has any, a call without one may be of any."""
    arm_key, arm_version = _prompt_parts(arm)
    prompt_key, version = _prompt_parts(assigned)
    return arm_key == prompt_key and (arm_version == version or not arm_version or not version)


def _prompt_parts(name: str) -> tuple[str, str]:
    key, at, version = name.rpartition("@")
    return (key, version) if at and version.isdecimal() else (name, "")
