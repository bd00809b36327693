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
from typing import TYPE_CHECKING

from fallom.losses import Losses
from fallom.settings import Settings

if TYPE_CHECKING:
    from fallom.tracing import Tracing

logger = logging.getLogger("fallom")


class Runtime:
    """What runs between ``init`` and ``shutdown``. It never raises: a part that can't be made is missing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.losses = Losses()
        self.tracing: Tracing | None = None
        self._is_stopped = False

    def start(self) -> Runtime:
        """Begin: threads are started, nothing is waited for."""
        if self.settings.is_inert:
            return self
        with _said("tracing could not be begun"):
            self._start_tracing()
        return self

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Return whether all that was asked for is there within the time."""
        return self.tracing is not None and timeout_s >= 0

    def flush(self, timeout_s: float) -> bool:
        """Return whether all that was taken before is delivered within the time."""
        deadline = time.monotonic() + timeout_s
        delivered = True
        if self.tracing is not None:
            delivered &= self.tracing.spans.flush(max(0.0, deadline - time.monotonic()))
        return delivered

    def stop(self, timeout_s: float) -> bool:
        """Flush and end; safe to call twice. Return whether all was delivered."""
        if self._is_stopped:
            return True
        self._is_stopped = True
        delivered = self.flush(timeout_s)
        if self.tracing is not None:
            self.tracing.spans.worker.stop()
            self.tracing.close()
        return delivered

    def abandon(self) -> None:
        """Leave all to the process that this one is a fork of."""
        self._is_stopped = True

    def _start_tracing(self) -> None:
        from fallom.tracing import start_tracing

        self.tracing = start_tracing(self.settings, self.losses, None)
        if self.tracing is not None:
            self.tracing.spans.worker.start()


_lock = threading.Lock()
_none = Runtime(Settings())
_current = _none
_hooks_are_set = False


def current() -> Runtime:
    """Return the runtime; before ``init`` and after ``shutdown`` one that does nothing."""
    return _current


def start(settings: Settings) -> Runtime:
    """Make the runtime of these settings the process's, and end the one before it, if any."""
    global _current
    _set_hooks()
    with _lock:
        before, _current = _current, Runtime(settings)
        made = _current
    before.stop(settings.flush_timeout_s)
    _configure_log(settings)
    for problem in settings.problems:
        logger.warning("%s", problem)
    return made.start()


def stop(timeout_s: float | None = None) -> bool:
    """End the runtime, if there is one; return whether all was delivered."""
    global _current
    with _lock:
        before, _current = _current, _none
    return before.stop(before.settings.flush_timeout_s if timeout_s is None else timeout_s)


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
    global _current, _lock
    _lock = threading.Lock()
    parents = _current
    if parents is _none:
        return
    parents.abandon()
    _current = Runtime(parents.settings)
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
