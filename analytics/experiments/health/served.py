"""Whether the provider answered for an arm with another model than before, in the middle of the test."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.health.traffic import ModelDay
from analytics.experiments.health.warning import warning
from analytics.experiments.served_models import is_alias_of

SHARE_MIN = 0.8
"""The share of a day's calls by which a model is the one that serves the arm."""
CHANGES_MAX = 20


def served_model_changes(experiment: Experiment, models: Sequence[ModelDay]) -> list[dict[str, Any]]:
    """Return each change, the latest last: ``variant``, ``from``, ``to``, and ``at``, the new one's first answer."""
    found = [
        {"variant": experiment.arms[arm].key, **change}
        for arm, days in groupby(models, lambda row: row.arm)
        for change in _changes(list(days))
    ]
    return sorted(found, key=lambda change: str(change["at"]))[-CHANGES_MAX:]


def change_warnings(changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the warning of changes, if there are any."""
    if not changes:
        return []
    latest = changes[-1]
    return [
        warning(
            "served_model_changed",
            f"{len(changes)} times another model began to answer for a variant, lastly for {latest['variant']!r} "
            f"{latest['to']!r} instead of {latest['from']!r}, on {latest['at'][:10]}: what was measured before is not "
            "of the same model",
            count=len(changes),
        )
    ]


def _changes(rows: Sequence[ModelDay]) -> Iterator[dict[str, Any]]:
    served: ModelDay | None = None
    for _, found in groupby(rows, lambda row: row.day):
        models = list(found)
        # The most frequent comes first.
        main = models[0]
        if main.calls < SHARE_MIN * sum(model.calls for model in models):
            continue
        if served is not None and main.model != served.model and not is_alias_of(main.model, served.model):
            first_at = min(row.first_at for row in rows if row.model == main.model and row.day >= served.day)
            yield {"from": served.model, "to": main.model, "at": first_at.isoformat()}
        served = main
