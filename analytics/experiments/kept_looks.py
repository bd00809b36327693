"""The looks of days that are over, kept until a row of those days comes late: most rows are of today."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
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
from storage.engines.config_rows import ConfigRows, past_state, row_count
from storage.engines.duckdb import DuckDBEngine

EXPERIMENTS_MAX = 200
"""Experiments, and moments, of which looks are kept: a few hundred bytes a figure and day."""
ROWS_AT_ONCE_MAX = 20_000
"""Rows of the rollup of which the looks are made at once: they take as long again as the results."""

logger = logging.getLogger(__name__)

_NONE = Past()
_Key = tuple[str, str, int, int, str, int | None, datetime]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The looks, and all that they rest on; None where they could not be made of that."""

    state: object
    experiment: Experiment
    settings: Settings
    pasts: Pasts | None


class KeptLooks:
    """Answers what the looks at an experiment saw, from memory where it can. Thread-safe.

    Those of a large experiment are made in the background, one experiment at a time.
    """

    def __init__(self, engine: DuckDBEngine, rows_at_once_max: int = ROWS_AT_ONCE_MAX) -> None:
        self._engine = engine
        self._rows_at_once_max = rows_at_once_max
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._being_made: set[_Key] = set()
        self._is_closed = False

    def close(self) -> None:
        """Begin no more in the background; what fails from here on is no error. Safe twice."""
        self._is_closed = True

    def past(
        self,
        project: str,
        experiment: Experiment,
        settings: Settings,
        before: datetime,
        rows: ConfigRows,
        *,
        waits: bool = False,
    ) -> Pasts | None:
        """Return what they saw at the end of each day that was over before a moment.

        None where they are being made, of so many rows that nobody should wait who does not want to.
        """
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

        def make() -> Pasts:
            found = past_looks(self._engine, project, experiment, settings, end, rows=rows)
            self._keep(key, _Kept(state, alone, settings, found))
            return found

        def make_later() -> None:
            try:
                make()
            except Exception:
                if not self._is_closed:
                    # Not tried again until a row of those days comes.
                    self._keep(key, _Kept(state, alone, settings, None))
                    logger.exception("the looks at experiment %s of project %s could not be made", key[1], project)

        if waits or row_count(rows, SESSION_ROLLUP) <= self._rows_at_once_max:
            return make()
        self._later(key, make_later)
        return None

    def _later(self, key: _Key, make: Callable[[], None]) -> None:
        with self._lock:
            if self._is_closed or key in self._being_made:
                return
            self._being_made.add(key)
        threading.Thread(target=self._make, args=(key, make), name="looks", daemon=True).start()

    def _make(self, key: _Key, make: Callable[[], None]) -> None:
        with self._one_at_a_time:
            if not self._is_closed:
                make()
        with self._lock:
            self._being_made.discard(key)

    def _keep(self, key: _Key, kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > EXPERIMENTS_MAX:
                self._kept.popitem(last=False)


def with_shown(looks: Pasts | None, shown: Pasts) -> Pasts:
    """Return the looks, each comparison with the moment since when it was shown to be significant.

    While they are being made, what was shown stands for them.
    """
    if looks is None:
        return shown
    return {
        comparison: Past(looks.get(comparison, _NONE).looks, shown.get(comparison, _NONE).shown_since)
        for comparison in {**looks, **shown}
    }
