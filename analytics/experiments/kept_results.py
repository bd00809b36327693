"""Results that were computed before, answered again as long as nothing that they rest on has changed.

An answer that is kept is never older than the question: what it rests on is looked up anew each time, and is compared.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from analytics.experiments.arms import Experiment
from analytics.experiments.kept_looks import ROWS_AT_ONCE_MAX, KeptLooks, with_shown
from analytics.experiments.results import results
from analytics.experiments.settings import Settings
from analytics.experiments.verdicts import Pasts
from storage.engines.duckdb import DuckDBEngine

KEPT_BYTES_MAX = 64 * 1024 * 1024
# What objects in memory take beside the same as JSON, about.
_MEMORY_A_JSON_BYTE = 10

_DEFAULTS = Settings()

_Key = tuple[str, str, int, int, str, int | None, datetime | None]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Results, and all that they rest on."""

    state: tuple[object, ...]
    experiment: Experiment
    settings: Settings
    results: dict[str, Any]
    size_bytes: int
    has_looks: bool


class KeptResults:
    """Answers questions for results, from memory where it can; the least recently asked go first. Thread-safe."""

    def __init__(
        self, engine: DuckDBEngine, bytes_max: int = KEPT_BYTES_MAX, *, rows_at_once_max: int = ROWS_AT_ONCE_MAX
    ) -> None:
        self._engine = engine
        self._looks = KeptLooks(engine, rows_at_once_max)
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._size_bytes = 0

    def results(
        self,
        project: str,
        experiment: Experiment,
        settings: Settings = _DEFAULTS,
        *,
        before: datetime | None = None,
        shown: Callable[[], Pasts] = dict,
        waits: bool = False,
    ) -> dict[str, Any]:
        """Return the results as they are now, or of what had happened before a moment.

        ``shown`` tells, where they are computed anew, since when comparisons were shown to be significant; it stands
        for the looks of past days while these are being made, unless the caller ``waits`` for them.
        """
        first = experiment.epochs[0].number
        key = (project, experiment.key, experiment.version, first, settings.inference, settings.version, before)
        rows = self._engine.config_rows(project, experiment.key, experiment.column)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        is_same = kept is not None and (kept.state, kept.experiment, kept.settings) == (
            rows.state,
            experiment,
            settings,
        )
        if kept is not None and is_same and kept.has_looks:
            return kept.results if before is not None else _as_of_now(kept.results)
        moment = before or datetime.now(UTC)
        looks = self._looks.past(project, experiment, settings, moment, rows, waits=waits)
        if kept is not None and is_same and looks is None:
            return kept.results if before is not None else _as_of_now(kept.results)
        past = with_shown(looks, shown())
        found = results(self._engine, project, experiment, settings, rows=rows, before=before, past=past)
        found["experiment"]["looks"] = "pending" if looks is None else "complete"
        size_bytes = len(orjson.dumps(found)) * _MEMORY_A_JSON_BYTE + _size(rows.state)
        self._keep(key, _Kept(rows.state, experiment, settings, found, size_bytes, looks is not None))
        return found

    def close(self) -> None:
        """Begin nothing more in the background; safe twice."""
        self._looks.close()

    def _keep(self, key: _Key, kept: _Kept) -> None:
        with self._lock:
            self._forget(key)
            if kept.size_bytes > self._bytes_max:
                return
            self._kept[key] = kept
            self._size_bytes += kept.size_bytes
            while self._size_bytes > self._bytes_max:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: _Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._size_bytes -= gone.size_bytes


def _as_of_now(kept: dict[str, Any]) -> dict[str, Any]:
    return {**kept, "experiment": {**kept["experiment"], "as_of": datetime.now(UTC).isoformat()}}


def _size(state: object) -> int:
    if isinstance(state, tuple | frozenset):
        return 64 + sum(map(_size, state))
    return len(state) if isinstance(state, str) else 32
