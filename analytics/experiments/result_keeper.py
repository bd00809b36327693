"""Computes the results of all running experiments again and again, keeps what was shown, and tells who wants to know.

An experiment of which no row, version or setting has changed is left alone. Of one that has ended, the results of its
end are kept once. What can't be computed keeps no other waiting.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analytics.experiments.kept_results import KeptResults
from analytics.experiments.settings import Settings
from analytics.experiments.shown import shown_before
from analytics.experiments.subject import Subject, subject_of
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.registry.result_snapshots import ResultSnapshots

STOP_S_MAX = 10.0
ARMS_MIN = 2

logger = logging.getLogger(__name__)

Hook = Callable[[str, str, Settings, dict[str, Any]], object]
"""Called with a project, an experiment's key, its settings, and its results, each time that these were computed."""
_Place = tuple[str, str]
"""A project and an experiment's key."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the results of an experiment rested on when they were last computed."""

    state: object
    settings: Settings
    versions: tuple[int, ...]


class ResultKeeper:
    """Looks at each experiment every ``interval_s``, in a thread of its own; ``hooks`` are called in it, too."""

    def __init__(
        self,
        engine: DuckDBEngine,
        registry: Registry,
        kept: KeptResults,
        snapshots: ResultSnapshots,
        *,
        interval_s: float,
    ) -> None:
        self.hooks: list[Hook] = []
        self._engine = engine
        self._registry = registry
        self._kept = kept
        self._snapshots = snapshots
        self._interval_s = interval_s
        self._seen: dict[_Place, _Seen] = {}
        self._ended: dict[_Place, datetime] = {}
        self._failing: set[_Place] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="results", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; safe twice and without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
            self._thread = None

    def look(self) -> None:
        """Look at each experiment once."""
        for place in list(self._places()):
            if self._stopping.is_set():
                return
            try:
                self._look_at(*place)
                self._failing.discard(place)
            except Exception:
                # Once, not at each look: a damaged file may be there for days.
                is_known = place in self._failing
                level = logging.DEBUG if is_known else logging.ERROR
                project, key = place
                logger.log(level, "no results of experiment %s of project %s", key, project, exc_info=not is_known)
                self._failing.add(place)

    def _places(self) -> Iterator[_Place]:
        """Yield what is declared, and the configs that no experiment looks at."""
        for project in self._registry.projects:
            declared = self._registry.experiments(project)
            looked_at = {body.get("config") or body["key"] for body in declared}
            yield from ((project, body["key"]) for body in declared)
            for config in self._registry.configs(project):
                if config["key"] not in looked_at:
                    yield project, config["key"]

    def _look_at(self, project: str, key: str) -> None:
        subject = subject_of(self._registry, project, key)
        experiment = subject.experiment(self._registry)
        if experiment is None or len(experiment.arms) < ARMS_MIN or subject.settings.status == "planned":
            return
        if subject.settings.ended_at is not None:
            self._keep_end(subject, subject.settings.ended_at)
            return
        rows = self._engine.config_rows(project, experiment.key, experiment.column)
        seen = _Seen(rows.state, subject.settings, tuple(version.version for version in subject.versions))
        if self._seen.get((project, key)) == seen:
            return
        found = self._results(subject)
        if any(variant["sessions"] for variant in found["variants"]):
            self._snapshots.keep(project, key, found)
            self._tell(subject, found)
        self._seen[project, key] = seen

    def _keep_end(self, subject: Subject, ended_at: datetime) -> None:
        """Keep the results of an experiment's end, unless they are."""
        place = subject.project, subject.key
        if self._ended.get(place) == ended_at:
            return
        if not self._snapshots.has_last(*place, ended_at):
            found = self._results(subject)
            self._snapshots.keep(*place, found, is_last=True)
            self._tell(subject, found)
        self._ended[place] = ended_at

    def _results(self, subject: Subject) -> dict[str, Any]:
        experiment = subject.experiment(self._registry)
        if experiment is None:
            raise LookupError(f"no version of {subject.looked_at!r}")
        shown = shown_before(self._snapshots, subject, experiment)
        found = self._kept.results(subject.project, experiment, subject.settings, before=subject.before, shown=shown)
        return subject.told(found)

    def _tell(self, subject: Subject, results: dict[str, Any]) -> None:
        for hook in self.hooks:
            try:
                hook(subject.project, subject.key, subject.settings, results)
            except Exception:
                logger.exception("what was to be done with the results of %s failed", subject.key)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.look()
            except Exception:
                logger.exception("results could not be kept, and are tried again")
