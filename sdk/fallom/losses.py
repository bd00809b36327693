"""What did not go as it should, counted by reason, and said at most once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

logger = logging.getLogger("fallom")

WARNING_INTERVAL_S = 60.0
REASONS_MAX = 1000


class Losses:
    """Counters of what was dropped; safe to use from any thread."""

    def __init__(self, headline: str = "not delivered", clock: Callable[[], float] = time.monotonic) -> None:
        self._headline = headline
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unsaid: Counter[str] = Counter()
        self._said_at = -float("inf")

    def count(self, what: str, reason: str, number: int = 1) -> None:
        """Add ``number`` dropped ``what`` (spans, exposures, metrics); warn unless that was done a moment ago."""
        name = f"{what}: {reason}"
        with self._lock:
            if name not in self._counts and len(self._counts) >= REASONS_MAX:
                name = f"{what}: other reasons"
            self._counts[name] += number
            self._unsaid[name] += number
            if self._clock() - self._said_at < WARNING_INTERVAL_S:
                return
            self._said_at = self._clock()
            lost, self._unsaid = self._unsaid, Counter()
        logger.warning("%s: %s", self._headline, _in_words(lost))

    def as_dict(self) -> dict[str, int]:
        """Return how many of what were dropped since the start, by reason."""
        with self._lock:
            return dict(self._counts)


def _in_words(lost: Counter[str]) -> str:
    return "; ".join(f"{number} {what}" for what, number in lost.items())
