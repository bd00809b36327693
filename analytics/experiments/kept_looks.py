"""The looks of days that are over, kept until a row of those days comes late: most rows are of today."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime

from analytics.experiments.arms import Experiment
from analytics.experiments.looks import day_start, past_looks
from analytics.experiments.settings import Settings
from analytics.experiments.verdicts import Past, Pasts
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.engines.config_rows import ConfigRows, past_state
from storage.engines.duckdb import DuckDBEngine

EXPERIMENTS_MAX = 200
"""Experiments, and moments, of which looks are kept: a few hundred bytes a figure and day."""

_NONE = Past()
_Key = tuple[str, str, int, int, str, int | None, datetime]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The looks, and all that they rest on."""

    state: object
    experiment: Experiment
    settings: Settings
    pasts: Pasts


class KeptLooks:
    """Answers what the looks at an experiment saw, from memory where it can. Thread-safe."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def past(
        self, project: str, experiment: Experiment, settings: Settings, before: datetime, rows: ConfigRows
    ) -> Pasts:
        """Return what they saw at the end of each day that was over before a moment."""
        if settings.inference != "sequential":
            return {}
        end = day_start(before)
        first = experiment.epochs[0].number
        key = (project, experiment.key, experiment.version, first, settings.inference, settings.version, end)
        # Spans say of days that are over who a session's customer is, and nothing else.
        tables = (EXPOSURES, METRICS, SESSION_ROLLUP, *([SPANS] if experiment.needs_customers else []))
        state = past_state(rows, tables, project, experiment.key, experiment.column, end)
        # What other tests there are says nothing here.
        alone = replace(experiment, beside=())
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and (kept.state, kept.experiment, kept.settings) == (state, alone, settings):
            return kept.pasts
        found = past_looks(self._engine, project, experiment, settings, end, rows=rows)
        with self._lock:
            self._kept[key] = _Kept(state, alone, settings, found)
            self._kept.move_to_end(key)
            while len(self._kept) > EXPERIMENTS_MAX:
                self._kept.popitem(last=False)
        return found


def with_shown(looks: Pasts, shown: Pasts) -> Pasts:
    """Return the looks, each comparison with the moment since when it was shown to be significant."""
    return {
        comparison: Past(looks.get(comparison, _NONE).looks, shown.get(comparison, _NONE).shown_since)
        for comparison in {**looks, **shown}
    }
