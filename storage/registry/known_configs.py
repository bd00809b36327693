"""The configs that assignments are made by: parsed once a version, since a version never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from storage.registry.registry import Registry

CONFIGS_MAX = 1_000

ServedConfig = Mapping[str, Any]
"""A config as ``GET /configs`` serves it; whoever has one must not change it."""


class KnownConfigs:
    """Configs by project, key and version; the ``CONFIGS_MAX`` used last are kept. Thread-safe."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._configs: OrderedDict[tuple[str, str, int], ServedConfig] = OrderedDict()
        self._lock = threading.Lock()

    def latest_version(self, project: str, key: str) -> int | None:
        """Return the version that is in force, from memory; None if there is no such config."""
        return self._registry.latest_version(project, key)

    def remembered(self, project: str, key: str, version: int) -> ServedConfig | None:
        """Return a config that is kept here; None where it has to be asked for, or is none."""
        with self._lock:
            found = self._configs.get((project, key, version))
            if found is not None:
                self._configs.move_to_end((project, key, version))
            return found

    def at(self, project: str, key: str, version: int) -> ServedConfig | None:
        """Return a version of a config; None if there is none. Of an older one, the database may be asked.

        Raises RegistryError.
        """
        found = self.remembered(project, key, version)
        if found is not None:
            return found
        found = self._registry.config(project, key, version)
        if found is not None:
            with self._lock:
                self._configs[project, key, version] = found
                while len(self._configs) > CONFIGS_MAX:
                    self._configs.popitem(last=False)
        return found

    def in_force(self, project: str, key: str) -> ServedConfig | None:
        """Return the config as it is now; None if there is none. Raises RegistryError."""
        version = self.latest_version(project, key)
        return None if version is None else self.at(project, key, version)

    def all_in_force(self, project: str) -> list[dict[str, Any]]:
        """Return all configs of the project as they are now, parsed anew."""
        return self._registry.configs(project)
