"""The one object of the process that ``init`` makes, and all that lives as long: threads, queues, what was fetched.

After a fork the child has none of the parent's threads, and must not send what the parent will: it gets a new one of
the same settings. At the end of the process what waits is sent, for a bounded time.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fallom.config_store import ConfigStore
from fallom.losses import Losses
from fallom.prompt_store import PromptStore, PromptTestStore
from fallom.settings import Settings, read_settings

if TYPE_CHECKING:
    from fallom.assignment import Assignment
    from fallom.context import SessionContext
    from fallom.outbox import Outbox
    from fallom.plan import Plan
    from fallom.spool import Spool
    from fallom.sync import Sync
    from fallom.tracing import Tracing

logger = logging.getLogger("fallom")


ALL_PARTS = frozenset({"models", "prompts", "trace"})


class Runtime:
    """What runs between ``init`` and ``shutdown``. It never raises: a part that can't be made is missing."""

    def __init__(self, settings: Settings, parts: frozenset[str] = ALL_PARTS, *, before: Runtime | None = None) -> None:
        """Make one, not begun; what ``before`` has fetched from the same server as the same client is taken over."""
        self.settings = settings
        self.parts = parts
        self.losses, self.fallbacks = Losses(), Losses("a fallback was used")
        self.configs, self.prompts, self.prompt_tests = ConfigStore(), PromptStore(), PromptTestStore()
        self._forked_from: Sync | None = None
        if before is not None and _source(before.settings) == _source(settings):
            self.configs, self.prompts, self.prompt_tests = before.configs, before.prompts, before.prompt_tests
        self.recent: dict[tuple[str, str], tuple[Plan, Assignment, SessionContext | None]] = {}
        """What sessions were given of late, for the next ``models.get`` of the same."""
        self.tracing: Tracing | None = None
        self.outbox: Outbox | None = None
        self.sync: Sync | None = None
        self._is_stopped = False

    @property
    def is_never_begun(self) -> bool:
        """Whether neither ``init`` nor ``shutdown`` was ever called."""
        return self is _none

    def forked(self) -> Runtime:
        """Return another one of the same settings for a child of this process, not begun; this one does no more."""
        self._is_stopped = True
        child = Runtime(self.settings, self.parts, before=self)
        child._forked_from = self.sync
        return child

    def start(self) -> Runtime:
        """Begin: threads are started, nothing is waited for."""
        if self.settings.api_key is None:
            return self
        spool = self._spool(self.settings.api_key)
        with _said("configs and prompts can't be fetched"):
            self._start_sync(self.settings.api_key)
        with _said("exposures and metrics can't be sent"):
            self._start_outbox(self.settings.api_key, spool)
        if "trace" in self.parts:
            with _said("spans can't be sent"):
                self._start_tracing(spool)
        return self

    def wait_until_tried(self, timeout_s: float) -> bool:
        """Return whether all was asked for once within the time; it waits only for the first answer."""
        return self.sync is not None and self.sync.tried.wait(timeout_s)

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Return whether the server's configs are there within the time."""
        deadline = time.monotonic() + timeout_s
        while self.sync is not None and not self.sync.are_configs_fetched:
            if time.monotonic() >= deadline or self._is_stopped:
                return False
            time.sleep(_READY_PAUSE_S)
        return self.sync is not None

    def why_unknown(self) -> str:
        """Return why a config or a prompt may not be known, in words."""
        if self._is_stopped or self is _ended:
            return "since fallom.shutdown() was called"
        if self.sync is None:
            return "since there is no API key" if self.settings.api_key is None else "since none are fetched"
        return "though the server was asked" if self.sync.are_configs_fetched else "and none could be fetched yet"

    def flush(self, timeout_s: float) -> bool:
        """Return whether all that was taken before is delivered within the time."""
        deadline = time.monotonic() + timeout_s
        delivered = True
        if self.tracing is not None:
            # It works while the outbox is waited for.
            self.tracing.spans.worker.wake()
        for part in (self.outbox, self.tracing.spans if self.tracing is not None else None):
            if part is not None:
                delivered &= part.flush(max(0.0, deadline - time.monotonic()))
        return delivered

    def stop(self, timeout_s: float) -> bool:
        """Flush and end; safe to call twice. Return whether all was delivered."""
        if self._is_stopped:
            return True
        delivered = self.flush(timeout_s)
        self._is_stopped = True
        if self.sync is not None:
            self.sync.worker.stop()
        if self.outbox is not None:
            self.outbox.worker.stop()
            self.outbox.close()
        if self.tracing is not None:
            self.tracing.spans.worker.stop()
            self.tracing.close()
        return delivered

    def _spool(self, api_key: str) -> Spool | None:
        if self.settings.spool_dir is None:
            return None
        from fallom.spool import Spool

        return Spool(self.settings.spool_dir, f"{self.settings.traces_url}\0{api_key}")

    def _start_sync(self, api_key: str) -> None:
        from fallom.disk_cache import DiskCache
        from fallom.sync import Sync
        from fallom.transport import Transport

        self.sync = Sync(
            Transport(api_key),
            DiskCache(self.settings.cache_dir, api_key),
            configs_url=self.settings.configs_url if "models" in self.parts else None,
            prompts_url=self.settings.prompts_url if "prompts" in self.parts else None,
            interval_s=self.settings.sync_interval_s,
            configs=self.configs,
            prompts=self.prompts,
            prompt_tests=self.prompt_tests,
        )
        if self._forked_from is not None:
            self.sync.inherit(self._forked_from)
            self._forked_from = None
        if not self.configs.latest:
            self.sync.restore()
        self.sync.worker.start()

    def _start_outbox(self, api_key: str, spool: Spool | None) -> None:
        from fallom.outbox import Outbox
        from fallom.transport import Transport

        self.outbox = Outbox(
            Transport(api_key),
            self.losses,
            configs_url=self.settings.configs_url,
            traces_url=self.settings.traces_url,
            spool=spool,
        )
        self.outbox.worker.start()

    def _start_tracing(self, spool: Spool | None) -> None:
        from fallom.tracing import start_tracing

        self.tracing = start_tracing(self.settings, self.losses, spool)
        if self.tracing is not None:
            self.tracing.spans.worker.start()


_READY_PAUSE_S = 0.005
_lock = threading.Lock()
_none = Runtime(Settings())
_ended = Runtime(Settings())
_current = _none
_given: dict[str, Any] = {}
_hooks_are_set = False


def current() -> Runtime:
    """Return the runtime; before ``init`` and after ``shutdown`` one that does nothing."""
    return _current


def start(settings: Settings, parts: frozenset[str] = ALL_PARTS) -> Runtime:
    """Make the runtime of these settings the process's, and end the one before it, if any."""
    global _current
    _set_hooks()
    with _lock:
        before = _current
        _current = made = Runtime(settings, parts, before=before)
    _configure_log(settings)
    for problem in settings.problems:
        logger.warning("%s", problem)
    made.start()
    # After the new one has begun, and beside it: nobody waits, and the process's end waits for it.
    if before.sync is not None:
        threading.Thread(target=before.stop, args=(settings.flush_timeout_s,), name="fallom-stop").start()
    return made


def begin(**given: Any) -> Runtime:
    """Begin all parts with what ``fallom.init`` was given."""
    global _given
    _given = given
    return start(read_settings(**given))


_extending = threading.RLock()


def extend(parts: set[str], **given: Any) -> Runtime:
    """Begin these parts too, as ``models.init`` and the like do; nothing happens where they run and nothing is new."""
    with _extending:
        return _extend(parts, given)


def _extend(parts: set[str], given: dict[str, Any]) -> Runtime:
    global _given
    given = {name: value for name, value in given.items() if value is not None}
    is_running = _current not in (_none, _ended)
    if is_running and parts <= _current.parts and all(_given.get(name) == value for name, value in given.items()):
        return _current
    _given = (_given if is_running else {}) | given
    return start(read_settings(**_given), frozenset(parts) | (_current.parts if is_running else frozenset()))


def stop(timeout_s: float | None = None) -> bool:
    """End the runtime, if there is one; return whether all was delivered."""
    global _current
    with _lock:
        before, _current = _current, _ended
    return before.stop(before.settings.flush_timeout_s if timeout_s is None else timeout_s)


def _source(settings: Settings) -> tuple[str | None, ...]:
    return settings.api_key, settings.configs_url, settings.prompts_url


def _set_hooks() -> None:
    global _hooks_are_set
    with _lock:
        if _hooks_are_set:
            return
        _hooks_are_set = True
    atexit.register(stop)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """Begin anew in a child: locks may have been held, and threads are gone."""
    global _current, _extending, _lock
    _lock, _extending = threading.Lock(), threading.RLock()
    if (tracing := sys.modules.get("fallom.tracing")) is not None:
        tracing.forget_lock()
    parents = _current
    if parents in (_none, _ended):
        return
    _current = parents.forked()
    with contextlib.suppress(Exception):
        _current.start()
    # Children of multiprocessing end without running what atexit has.
    if (util := sys.modules.get("multiprocessing.util")) is not None:
        util.register_after_fork(_current, _flush_at_the_end_of_a_child)


def _flush_at_the_end_of_a_child(_: Runtime) -> None:
    from multiprocessing import util

    util.Finalize(None, stop, exitpriority=0)


def _configure_log(settings: Settings) -> None:
    if settings.debug:
        logger.setLevel(logging.DEBUG)
        if not logging.getLogger().handlers and not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("[fallom] %(levelname)s %(message)s"))
            logger.addHandler(handler)


@contextlib.contextmanager
def _said(message: str) -> Iterator[None]:
    """Log what goes wrong within, and go on."""
    try:
        yield
    except Exception as error:
        logger.warning("%s: %s: %s", message, type(error).__name__, error)
        logger.debug("", exc_info=True)
