"""Whether the server takes rows now, and if not, why: what ``/readyz`` and gRPC's health protocol tell.

Not ready is a server that starts, that drains, or whose log refuses rows: its budget is spent, its disk is full or
does not write. Commits that fail do not make it unready: rows are taken, durable and visible all the same, until the
log's budget is spent; they are a warning.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

CHECK_INTERVAL_S = 0.5
# A check that takes longer waits for a disk that does not answer, as every request does then.
CHECK_S_MAX = 10.0

logger = logging.getLogger("fallom.readiness")


class Readiness:
    """Looks twice a second, in a thread of its own, so that asking costs nothing and waits for nothing."""

    def __init__(self, obstacles: Callable[[], Sequence[str]], *, warnings: Callable[[], Sequence[str]]) -> None:
        """``obstacles`` says why rows are refused, ``warnings`` what else goes wrong; both may take long."""
        self._obstacles = obstacles
        self._warnings = warnings
        self._phase = "the server is starting"
        self._found: tuple[str, ...] = ()
        self._found_warnings: tuple[str, ...] = ()
        self._checked_at_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self._told: bool | None = None
        # A change is told by who finds it: the thread, or who drains.
        self._telling = threading.Lock()

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` with whether the server is ready, at each change, from any thread."""
        self._listeners.append(listener)

    def start(self) -> None:
        """The server has started: it is ready unless something is found."""
        self._check()
        self._phase = ""
        self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)
        self._thread.start()
        self._tell()

    def drain(self) -> None:
        """The server takes nothing more."""
        self._phase = "the server is shutting down"
        self._tell()

    def stop(self) -> None:
        """End; safe twice and without ``start``. The thread is not waited for: its disk may not answer."""
        self._stopping.set()

    def reasons(self) -> tuple[str, ...]:
        """Return why the server is not ready; nothing where it is."""
        if self._phase:
            return (self._phase,)
        waited_s = time.monotonic() - self._checked_at_s
        if waited_s > CHECK_S_MAX:
            return (f"the log's disk has not answered for {waited_s:.0f} s",)
        return self._found

    def warnings(self) -> tuple[str, ...]:
        """Return what goes wrong, though rows are taken."""
        return self._found_warnings

    def _run(self) -> None:
        overseer = threading.Thread(target=self._oversee, name="readiness-overseer", daemon=True)
        overseer.start()
        while not self._stopping.wait(CHECK_INTERVAL_S):
            self._check()
            self._tell()

    def _oversee(self) -> None:
        """Tell also of a check that hangs."""
        while not self._stopping.wait(CHECK_S_MAX / 4):
            self._tell()

    def _check(self) -> None:
        try:
            self._found = tuple(self._obstacles())
            self._found_warnings = tuple(self._warnings())
        except Exception:
            # It must go on: a server that is not looked at would stay as it was found last.
            logger.exception("readiness could not be checked")
            self._found = ("readiness could not be checked; the server's log says why",)
        self._checked_at_s = time.monotonic()

    def _tell(self) -> None:
        with self._telling:
            reasons = self.reasons()
            is_ready = not reasons
            if is_ready == self._told:
                return
            self._told = is_ready
            if is_ready:
                logger.info("ready")
            else:
                logger.warning("not ready: %s", "; ".join(reasons))
            for listener in self._listeners:
                listener(is_ready)
