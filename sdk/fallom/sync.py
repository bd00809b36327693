"""Fetches configs, prompts and prompt tests in the background, and keeps on disk what came.

Each is asked for with the tag of the last answer, every ``sync_interval_s`` give or take a tenth, so that clients that
began together don't ask together. While nothing can be fetched, what was fetched last is used.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from fallom.config_store import ConfigStore
from fallom.disk_cache import DiskCache
from fallom.prompt_store import PromptStore, PromptTestStore
from fallom.transport import Answer, Transport, TransportError, backoff_s
from fallom.worker import Worker

logger = logging.getLogger("fallom")

WARNING_INTERVAL_S = 60.0
_JITTER = 0.1


class Store(Protocol):
    """Takes the answer to a list."""

    def replace(self, document: Mapping[str, Any]) -> None:
        """Take the document as a whole. Raises ValueError for what is none."""


@dataclass(slots=True)
class Source:
    """One list of a server: where it is, who takes it, and the tag of the last answer."""

    name: str
    base_url: str
    path: str
    store: Store
    etag: str | None = None
    is_fetched: bool = False


class Sync:
    """Keeps stores like the server's lists; a worker of its own does all of it."""

    def __init__(
        self,
        transport: Transport,
        cache: DiskCache,
        *,
        configs_url: str | None,
        prompts_url: str | None,
        interval_s: float,
        configs: ConfigStore,
        prompts: PromptStore,
        prompt_tests: PromptTestStore,
    ) -> None:
        self._transport = transport
        self._cache = cache
        self._interval_s = interval_s
        self._configs = configs
        self._configs_url = configs_url
        self._sources: list[Source] = []
        if configs_url is not None:
            self._sources.append(Source("configs", configs_url, "/configs", configs))
        if prompts_url is not None:
            self._sources.append(Source("prompts", prompts_url, "/prompts", prompts))
            self._sources.append(Source("prompt-ab-tests", prompts_url, "/prompt-ab-tests", prompt_tests))
        self._failures = 0
        self._warned_at = -float("inf")
        self.tried = threading.Event()
        """Set when all lists were asked for once, with or without success."""
        self.worker = Worker("fallom-sync", self.run)

    def inherit(self, before: Sync) -> None:
        """Go on where the sync of the same stores was: nothing needs to be asked for at once."""
        state = {source.name: source for source in before._sources if source.is_fetched}
        for source in self._sources:
            if (known := state.get(source.name)) is not None:
                source.etag, source.is_fetched = known.etag, True
        if all(source.is_fetched for source in self._sources):
            self.tried.set()
            pause_s = self._interval_s * random.uniform(0, 1)  # noqa: S311 - it spreads clients
            self.worker = Worker("fallom-sync", self.run, first_pause_s=pause_s)

    def restore(self) -> None:
        """Take what was kept on disk."""
        for source in self._sources:
            document = self._cache.load(source.name, source.base_url)
            if document is None:
                continue
            try:
                if isinstance(source.store, ConfigStore):
                    source.store.restore(document)
                else:
                    source.store.replace(document)
            except Exception as error:
                logger.debug("what was kept of %s can't be used: %s", source.name, error)

    @property
    def are_configs_fetched(self) -> bool:
        """Whether the server's configs are here, of this process's asking."""
        return any(source.is_fetched for source in self._sources if source.store is self._configs)

    def run(self) -> float:
        """Ask for everything once; return when to ask again."""
        try:
            self._fetch_wanted()
            problems = self._fetch_all()
            self._fetch_wanted()
        finally:
            self.tried.set()
        if not problems:
            self._failures = 0
            return self._interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - it spreads clients
        self._failures += 1
        self._warn(problems[0])
        return min(self._interval_s, backoff_s(self._failures))

    def _fetch_all(self) -> list[str]:
        """Fetch every list, but from a server that gives no answer only the first; return what went wrong."""
        problems: list[str] = []
        silent: set[str] = set()
        for source in self._sources:
            if source.base_url in silent:
                continue
            try:
                problem = self._fetch(source)
            except TransportError as error:
                silent.add(source.base_url)
                problem = str(error)
            if problem is not None:
                problems.append(problem)
        return problems

    def _fetch(self, source: Source) -> str | None:
        """Fetch one list; return what was wrong with the answer. Raises TransportError where none came."""

        def take(document: Mapping[str, Any]) -> None:
            source.store.replace(document)
            kept = source.store.document() if isinstance(source.store, ConfigStore) else dict(document)
            self._cache.save(source.name, source.base_url, kept)

        answer = self._transport.get(source.base_url + source.path, source.etag)
        try:
            if answer.status != 304:
                _taken(answer, take)
                source.etag = answer.etag
            source.is_fetched = True
        except (ValueError, RecursionError) as error:
            return f"GET {source.base_url}{source.path}: {error}"
        return None

    def _fetch_wanted(self) -> None:
        """Fetch the versions that somebody asked for by number."""
        added = False
        while self._configs.wanted and self._configs_url is not None:
            key, version = self._configs.wanted.popleft()
            url = f"{self._configs_url}/configs/{quote(key)}/version/{version}"
            try:
                answer = self._transport.get(url)
                if answer.status == 404:
                    self._configs.is_absent(key, version)
                    continue
                _taken(answer, self._configs.add)
                added = True
            except (TransportError, ValueError, RecursionError) as error:
                logger.debug("%s: %s", url, error)
                break
        if added and self._configs_url is not None:
            self._cache.save("configs", self._configs_url, self._configs.document())

    def _warn(self, problem: str) -> None:
        logger.debug("%s", problem)
        if time.monotonic() - self._warned_at >= WARNING_INTERVAL_S:
            self._warned_at = time.monotonic()
            logger.warning("can't be fetched, and what was fetched last is used: %s", problem)


def _taken(answer: Answer, take: Callable[[Mapping[str, Any]], None]) -> None:
    """Give the answer's JSON object to ``take``. Raises ValueError, also where there is none."""
    if answer.status in (401, 403):
        raise ValueError(f"the server refuses the API key ({answer.status})")
    if not answer.is_success:
        raise ValueError(f"the server answered {answer.status}")
    document = json.loads(answer.body)
    if not isinstance(document, dict):
        raise ValueError(f"a JSON object expected, got {document!r:.100}")  # noqa: TRY004 - the server's fault
    take(document)
