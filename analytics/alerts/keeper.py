"""Computes the results of experiments that somebody wants to be told of, again and again, and hands them on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from analytics.alerts.sending import declared
from analytics.experiments.arms import experiment_of, prompt_experiment_of
from analytics.experiments.beside import with_tests_beside
from analytics.experiments.declarations import settings_of
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.listing import listed
from analytics.experiments.settings import Settings
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry

KEPT_BYTES_MAX = 16 * 1024 * 1024
STOP_S_MAX = 10.0

logger = logging.getLogger(__name__)

Hook = Callable[[str, str, Settings, dict[str, Any]], None]
"""Called with a project, an experiment's key, its settings, and its results as they are now."""


class AlertKeeper:
    """Calls ``hook`` every ``interval_s`` for each running experiment that an alert covers, in a thread of its own."""

    def __init__(self, engine: DuckDBEngine, registry: Registry, hook: Hook, *, interval_s: float) -> None:
        self._registry = registry
        self._kept = KeptResults(engine, KEPT_BYTES_MAX)
        self._hook = hook
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; safe twice and without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
            self._thread = None

    def look(self) -> None:
        """Look at each experiment once; one that can't be looked at keeps no other waiting."""
        for project, key in self._covered():
            if self._stopping.is_set():
                return
            try:
                self._look_at(project, key)
                self._failing.discard((project, key))
            except Exception:
                # Once, not at each look: a damaged file may be there for days.
                is_known = (project, key) in self._failing
                level = logging.DEBUG if is_known else logging.ERROR
                logger.log(level, "no alerts of experiment %s of project %s", key, project, exc_info=not is_known)
                self._failing.add((project, key))

    def _covered(self) -> Iterator[tuple[str, str]]:
        now = datetime.now(UTC)
        for project in self._registry.projects_with("alert"):
            alerts = declared(self._registry, project).values()
            registry = self._registry
            tests = registry.prompt_ab_tests(project)
            for entry in listed(registry.experiments(project), registry.configs(project), tests, {}, now):
                # Without its traffic, which is not asked for here, what runs is waiting.
                if entry["status"] in ("running", "waiting") and any(alert.covers(entry["key"]) for alert in alerts):
                    yield project, entry["key"]

    def _look_at(self, project: str, key: str) -> None:
        looked_at, settings = settings_of(self._registry, project, key)
        is_config = settings.looks_at == "config"
        versions = (self._registry.config_versions if is_config else self._registry.prompt_ab_test_versions)(
            project, looked_at
        )
        experiment = (experiment_of if is_config else prompt_experiment_of)(looked_at, versions)
        if experiment is None:
            return
        if is_config:
            experiment = with_tests_beside(experiment, self._registry.configs(project))
        self._hook(project, key, settings, self._kept.results(project, experiment, settings))

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self.look()
            except Exception:
                logger.exception("alerts could not be looked for, and are tried again")
