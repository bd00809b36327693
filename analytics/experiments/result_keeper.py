"""Computes the results of running experiments again and again, keeps what was shown, and tells who wants to know.

An experiment of which no row, version or setting has changed is kept once, and is told from memory. Of one that has
ended, the results of its end are kept once. What can't be computed keeps no other waiting.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from analytics.experiments.kept_results import KeptResults
from analytics.experiments.listing import listed
from analytics.experiments.settings import Settings
from analytics.experiments.shown import shown_before
from analytics.experiments.subject import Subject, subject_of
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.registry.result_snapshots import ResultSnapshots

STOP_S_MAX = 10.0
ARMS_MIN = 2

logger = logging.getLogger(__name__)

_Place = tuple[str, str]
"""A project and an experiment's key."""


class Watcher(Protocol):
    """Who is told of results as they are now."""

    def covered(self, project: str, keys: Iterable[str]) -> list[str]:
        """Return of which experiments it wants to be told."""

    def __call__(self, project: str, key: str, settings: Settings, results: dict[str, Any]) -> None:
        """Be told: also where nothing has changed but the time."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the results of an experiment rested on when they were last computed."""

    state: object
    settings: Settings
    versions: tuple[int, ...]


class ResultKeeper:
    """Keeps results every ``interval_s``, and tells the watcher every ``watch_interval_s``, in a thread of its own."""

    def __init__(
        self,
        engine: DuckDBEngine,
        registry: Registry,
        kept: KeptResults,
        snapshots: ResultSnapshots,
        *,
        interval_s: float,
        watcher: Watcher | None = None,
        watch_interval_s: float = math.inf,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._kept = kept
        self._snapshots = snapshots
        self._watcher = watcher
        self._intervals_s = {self.keep: interval_s, self.watch: watch_interval_s}
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

    def keep(self) -> None:
        """Keep the results of each experiment that has changed."""
        self._each(lambda project: list(self._keys(project)), self._keep)

    def watch(self) -> None:
        """Tell the watcher of each running experiment that it wants to be told of."""
        if (watcher := self._watcher) is not None:
            self._each(lambda project: watcher.covered(project, self._keys(project)), partial(self._tell, watcher))

    def _each(self, keys: Callable[[str], Iterable[str]], do: Callable[[Subject], None]) -> None:
        for place in [(project, key) for project in self._registry.projects for key in keys(project)]:
            if self._stopping.is_set():
                return
            try:
                do(subject_of(self._registry, *place))
                self._failing.discard(place)
            except Exception:
                # Once, not at each look: a damaged file may be there for days.
                is_known = place in self._failing
                level = logging.DEBUG if is_known else logging.ERROR
                project, key = place
                text = "experiment %s of project %s could not be looked at"
                logger.log(level, text, key, project, exc_info=not is_known)
                self._failing.add(place)

    def _keys(self, project: str) -> Iterator[str]:
        """Yield what is listed: what is declared, and the configs and prompt tests that no experiment looks at."""
        now, registry = datetime.now(UTC), self._registry
        prompt_tests = registry.prompt_ab_tests(project)
        for entry in listed(registry.experiments(project), registry.configs(project), prompt_tests, {}, now):
            yield entry["key"]

    def _keep(self, subject: Subject) -> None:
        place = subject.project, subject.key
        experiment = subject.experiment(self._registry)
        if experiment is None or len(experiment.arms) < ARMS_MIN or subject.settings.status == "planned":
            return
        if subject.settings.ended_at is not None:
            self._keep_end(subject, subject.settings.ended_at)
            return
        rows = self._engine.config_rows(subject.project, experiment.key, experiment.column)
        seen = _Seen(rows.state, subject.settings, tuple(version.version for version in subject.versions))
        if self._seen.get(place) == seen:
            return
        found = self._results(subject)
        if any(variant["sessions"] for variant in found["variants"]):
            self._snapshots.keep(*place, found)
        self._seen[place] = seen

    def _keep_end(self, subject: Subject, ended_at: datetime) -> None:
        """Keep the results of an experiment's end, unless they are."""
        place = subject.project, subject.key
        if self._ended.get(place) == ended_at:
            return
        if not self._snapshots.has_last(*place, ended_at):
            self._snapshots.keep(*place, self._results(subject), is_last=True)
        self._ended[place] = ended_at

    def _results(self, subject: Subject) -> dict[str, Any]:
        experiment = subject.experiment(self._registry)
        if experiment is None:
            raise LookupError(f"no version of {subject.looked_at!r}")
        shown = shown_before(self._snapshots, subject, experiment)
        found = self._kept.results(
            subject.project, experiment, subject.settings, before=subject.before, shown=shown, waits=True
        )
        return subject.told(found)

    def _tell(self, watcher: Watcher, subject: Subject) -> None:
        if subject.settings.status == "running" and subject.experiment(self._registry) is not None:
            watcher(subject.project, subject.key, subject.settings, self._results(subject))

    def _run(self) -> None:
        now = time.monotonic()
        due_s = {task: now + interval_s for task, interval_s in self._intervals_s.items()}
        while not self._stopping.wait(min(min(due_s.values()) - time.monotonic(), threading.TIMEOUT_MAX)):
            for task, at_s in due_s.items():
                if at_s > time.monotonic():
                    continue
                try:
                    task()
                except Exception:
                    logger.exception("results could not be looked at, and are tried again")
                due_s[task] = time.monotonic() + self._intervals_s[task]
