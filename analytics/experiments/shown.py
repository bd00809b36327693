"""Since when comparisons were shown to be significant: what the latest snapshot of the same experiment tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.figures import identity_of
from analytics.experiments.subject import Subject
from analytics.experiments.verdicts import Past, Pasts
from storage.registry.result_snapshots import ResultSnapshots

Shown = Callable[[], Pasts]


def shown_before(snapshots: ResultSnapshots, subject: Subject, experiment: Experiment) -> Shown:
    """Return what tells since when the experiment's comparisons were shown to be significant, before its moment.

    Each snapshot tells what the one before it did, so that the latest is enough. One of other arms, of another control,
    level or N* says nothing.
    """

    def find() -> Pasts:
        kept = snapshots.latest(subject.project, subject.key, subject.before)
        return {} if kept is None or not _is_same(kept, subject, experiment) else _significant(kept)

    return find


def _is_same(kept: Mapping[str, Any], subject: Subject, experiment: Experiment) -> bool:
    settings, told = subject.settings, kept["experiment"]
    keys = [arm.key for arm in experiment.arms]
    return bool(
        told["config_versions"][:1] == sorted(experiment.versions)[:1]
        and told["control"] == keys[settings.control_index(keys)]
        and all(kept["settings"][name] == getattr(settings, name) for name in ("alpha", "n_star", "inference"))
    )


def _significant(kept: Mapping[str, Any]) -> Pasts:
    return {
        (identity_of(entry), comparison["variant"]): Past(shown_since=datetime.fromisoformat(since))
        for entry in kept["metrics"]
        for comparison in entry["comparisons"]
        if (since := comparison["first_significant_at"]) is not None
    }
