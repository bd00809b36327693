"""Configs by key and version: what was fetched last, read by any thread without a lock.

The whole is replaced, never changed in place, so that a reader sees one state. A config that can't be used leaves the
one of before where it is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from fallom.plan import Plan

logger = logging.getLogger("fallom")

PINNED_MAX = 1000
WANTED_MAX = 100


class ConfigStore:
    """The latest versions, those that were asked for by number, and those that are wanted and not there."""

    def __init__(self) -> None:
        self.latest: dict[str, Plan] = {}
        self.pinned: dict[tuple[str, int], Plan] = {}
        self.wanted: deque[tuple[str, int]] = deque(maxlen=WANTED_MAX)
        self._absent: dict[tuple[str, int], None] = {}

    def replace(self, document: Mapping[str, Any]) -> None:
        """Take the answer of ``GET /configs``. Raises ValueError for what is none."""
        configs = document.get("configs")
        if not isinstance(configs, list):
            raise ValueError(f"configs: a list expected, got {configs!r:.100}")  # noqa: TRY004 - the server's fault
        latest: dict[str, Plan] = {}
        for config in configs:
            if (plan := self._plan(config)) is not None:
                latest[plan.key] = plan
            elif isinstance(config, dict) and (before := self.latest.get(str(config.get("key")))) is not None:
                latest[before.key] = before
        # Of a version that was the latest, sessions that are pinned to it may still come.
        self._pin({(plan.key, plan.version): plan for plan in (*self.latest.values(), *latest.values())})
        self.latest = latest
        self._absent = {}

    def add(self, config: Mapping[str, Any]) -> None:
        """Take one version, as ``GET /configs/{key}/version/{n}`` answers."""
        if (plan := self._plan(config)) is not None:
            self._pin({(plan.key, plan.version): plan})

    def want(self, key: str, version: int) -> bool:
        """Ask for a version that is not there; return whether that is news, so that it is to be fetched."""
        wanted = (key, version)
        if wanted in self._absent or wanted in self.wanted:
            return False
        self.wanted.append(wanted)
        return True

    def is_absent(self, key: str, version: int) -> None:
        """Note that the server has no such version: it is asked again when its configs change."""
        if len(self._absent) < PINNED_MAX:
            self._absent[key, version] = None

    def document(self) -> dict[str, Any]:
        """Return all of it, to keep: ``configs``, and the versions that were pinned."""
        pinned = [plan.config for plan in self.pinned.values()]
        return {"configs": [plan.config for plan in self.latest.values()], "pinned": pinned}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take what ``document`` returned before. Raises ValueError for what is none."""
        pinned = document.get("pinned")
        for config in pinned if isinstance(pinned, list) else ():
            self.add(config)
        self.replace(document)

    def _pin(self, plans: dict[tuple[str, int], Plan]) -> None:
        merged = self.pinned | plans
        for oldest in list(merged)[: max(0, len(merged) - PINNED_MAX)]:
            del merged[oldest]
        self.pinned = merged

    def _plan(self, config: Any) -> Plan | None:
        try:
            if not isinstance(config, dict):
                raise TypeError(f"an object expected, got {config!r:.100}")  # noqa: TRY301 - as what Plan raises
            return Plan(config)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            logger.warning("a config can't be used, and the last good one stays: %s", error)
            return None
