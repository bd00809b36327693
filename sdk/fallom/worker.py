"""A background thread that does one kind of work: when it is woken, and again after the time that the work asks for.

All I/O of the SDK is done by such threads. They are daemons, so that no application waits for them at its end; who
wants their work done calls ``flush``, which waits for a bounded time.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("fallom")

PAUSE_AFTER_ERROR_S = 5.0
_RETRY_PAUSE_S = 0.1


class Worker:
    """Runs ``work``, which returns the seconds until it is to run again, in a thread of its own.

    ``start`` and ``stop`` are safe to call twice; ``stop`` without ``start`` too.
    """

    def __init__(self, name: str, work: Callable[[], float], *, first_pause_s: float = 0.0) -> None:
        self._first_pause_s = first_pause_s
        self._name = name
        self._work = work
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._flushes = 0
        self._asked = 0
        self._done = 0

    def start(self) -> None:
        """Begin, if it has not begun."""
        with self._condition:
            if self._thread is None and not self._stopping:
                # A context of its own: the session of who called init is not that of this thread.
                run = contextvars.Context().run
                self._thread = threading.Thread(target=run, args=(self._run,), name=self._name, daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Let the work be done now."""
        with self._condition:
            self._asked += 1
            self._condition.notify_all()

    def flush(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Let the work be done until ``is_done``; return whether it was within the time."""
        deadline = time.monotonic() + timeout_s
        self._flushes += 1
        try:
            while self._run_once(deadline):
                if is_done():
                    return True
                if time.monotonic() + _RETRY_PAUSE_S >= deadline:
                    break
                time.sleep(_RETRY_PAUSE_S)
        finally:
            self._flushes -= 1
        return is_done()

    def is_flushing(self) -> bool:
        """Return whether somebody waits for the work to be done."""
        return self._flushes > 0

    def stop(self, timeout_s: float = 0.0) -> None:
        """End after the work that is being done; wait for that so long."""
        with self._condition:
            self._stopping = True
            thread, self._thread = self._thread, None
            self._condition.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _run_once(self, deadline: float) -> bool:
        """Let the work run from its beginning to its end; return whether it did by the deadline."""
        with self._condition:
            if self._thread is None or not self._thread.is_alive():
                return False
            self._asked += 1
            wanted = self._asked
            self._condition.notify_all()
            return self._condition.wait_for(
                lambda: self._done >= wanted or self._stopping, max(0.0, deadline - time.monotonic())
            )

    def _run(self) -> None:
        _suppress_instrumentation()
        pause_s = self._first_pause_s
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._asked > self._done, pause_s)
                if self._stopping:
                    return
                begun = self._asked
            try:
                pause_s = self._work()
            except Exception:
                # Nobody foresaw it; the host must not hear of more than a line in its log.
                logger.exception("%s failed; it goes on in %s s", self._name, PAUSE_AFTER_ERROR_S)
                pause_s = PAUSE_AFTER_ERROR_S
            with self._condition:
                self._done = begun
                self._condition.notify_all()


def _suppress_instrumentation() -> None:
    """Keep the application's own instrumentation of HTTP clients from tracing what this thread sends."""
    try:
        from opentelemetry import context
    except ImportError:
        return
    for key in {"suppress_instrumentation", getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "")} - {""}:
        context.attach(context.set_value(key, True))
