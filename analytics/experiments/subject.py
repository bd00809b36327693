"""What a key stands for, now or at a past moment: the config or prompt test that it looks at, and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from analytics.experiments.arms import Experiment, experiment_of, prompt_experiment_of
from analytics.experiments.as_of import in_force, moment_of
from analytics.experiments.beside import with_tests_beside
from analytics.experiments.declarations import settings_of
from analytics.experiments.settings import Settings
from storage.registry.registry import Registry
from storage.registry.resources import ConfigVersion


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked for by ``key``: ``versions`` of what it looks at, oldest first, none where there is none.

    What counts happened ``before`` a moment; None where that is now.
    """

    project: str
    key: str
    looked_at: str
    versions: Sequence[ConfigVersion]
    settings: Settings
    before: datetime | None

    @property
    def is_config(self) -> bool:
        """Return whether a config is under test, not a prompt test."""
        return self.settings.looks_at == "config"

    def experiment(
        self, registry: Registry, version: int | None = None, *, epoch: int | None = None
    ) -> Experiment | None:
        """Return the experiment at a version, at an epoch, or over all epochs of its arms; None where there is none."""
        make = experiment_of if self.is_config else prompt_experiment_of
        made = make(self.looked_at, self.versions, version, epoch=epoch)
        # Those of now, also in the past: what they were then would be a reading of each one's history.
        return with_tests_beside(made, registry.configs(self.project)) if made is not None and self.is_config else made

    def told(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return the results under the key that was asked for, with links to what else there is."""
        experiment = {**results["experiment"], "key": self.key, self.settings.looks_at: self.looked_at}
        return {**results, "experiment": experiment, "links": links(self.key)}


def links(key: str) -> dict[str, str]:
    """Return where an experiment's course, sessions and snapshots are."""
    path = f"/experiments/{quote(key)}"
    return {each: f"{path}/{each}" for each in ("timeseries", "sessions", "snapshots")}


def subject_of(registry: Registry, project: str, key: str, *, as_of: datetime | None = None) -> Subject:
    """Return what the key stands for: now, or by the versions and settings in force at a moment. Raises RegistryError.

    What has ended is as it was at its end, where no moment is asked for.
    """
    looked_at, settings = settings_of(registry, project, key, at=as_of)
    known = registry.config_versions if settings.looks_at == "config" else registry.prompt_ab_test_versions
    before = moment_of(as_of, settings)
    return Subject(project, key, looked_at, in_force(known(project, looked_at), before), settings, before)
