"""Bodies on their way to one URL: sent in order, tried again for a while, then kept on disk or counted as lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fallom.losses import Losses
from fallom.transport import Answer, Transport, TransportError, backoff_s

logger = logging.getLogger("fallom")

RETRY_FOR_S = 120.0
PAUSE_LEAST_S = 0.1
_SHOWN_CHARACTERS = 200


class Keeper(Protocol):
    """Keeps bodies that could not be sent: the spool."""

    def put(self, kind: str, body: bytes, count: int) -> bool:
        """Return whether the body is kept."""

    def send_kept(self, kind: str, send: Callable[[bytes, int], bool]) -> None:
        """Send what was kept, bodies and their counts, oldest first, until ``send`` says that it can't now."""


@dataclass(slots=True)
class _Waiting:
    body: bytes
    count: int
    since_s: float
    attempts: int = 0


class Delivery:
    """Sends one body after the other; to be used by one thread.

    An answer that says no for good ends a body's way at once; one that says try later, or none, after RETRY_FOR_S, or
    at once where there is a spool to keep it.
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        what: str,
        losses: Losses,
        *,
        content_type: str,
        spool: Keeper | None = None,
        answered: Callable[[Answer], None] | None = None,
        refused: Callable[[Answer], bool] | None = None,
        is_urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make one.

        ``answered`` hears of what was taken, ``refused`` says whether it sees to what was refused; while ``is_urgent``,
        no pause between attempts is kept.
        """
        self._transport = transport
        self._url = url
        self._what = what
        self._losses = losses
        self._content_type = content_type
        self._spool = spool
        self._answered = answered
        self._refused = refused
        self._is_urgent = is_urgent
        self._held: _Waiting | None = None
        self._not_before_s = -float("inf")
        # What an earlier process could not send is tried first.
        self._may_have_kept = spool is not None
        self.sent = 0

    @property
    def waiting(self) -> int:
        """How many items are in the body that is being sent."""
        held = self._held
        return 0 if held is None else held.count

    def accept(self, body: bytes, count: int, now_s: float) -> None:
        """Take the next body, of ``count`` items; ``send_waiting`` sends it."""
        self._held = _Waiting(body, count, now_s)

    def send_waiting(self) -> float | None:
        """Send the body that waits; return the seconds until it may be tried again, None where none waits any more."""
        held = self._held
        if held is None:
            self._send_kept()
            return None
        remaining_s = self._not_before_s - time.monotonic()
        if remaining_s > 0 and not self._is_urgent():
            return remaining_s
        pause_s = self._try(held)
        if pause_s is None:
            self._held = None
            self._send_kept()
            return None
        held.attempts += 1
        self._not_before_s = time.monotonic() + pause_s
        if self._spool is not None and self._spool.put(self._what, held.body, held.count):
            self._held = None
            self._may_have_kept = True
            return pause_s
        if time.monotonic() - held.since_s > RETRY_FOR_S:
            self._losses.count(self._what, f"no success within {RETRY_FOR_S:g} s", held.count)
            self._held = None
        return pause_s

    def give_up(self, body: bytes, count: int) -> None:
        """Keep in the spool what there is no time to send, or count it as lost."""
        if self._spool is None or not self._spool.put(self._what, body, count):
            self._losses.count(self._what, "the process ended first", count)

    def close(self) -> None:
        """Give up what waits, and close the connection."""
        held, self._held = self._held, None
        if held is not None:
            self.give_up(held.body, held.count)
        self._transport.close()

    def _try(self, held: _Waiting) -> float | None:
        """Return when to try again, None where the body's way has ended."""
        try:
            answer = self._transport.post(self._url, held.body, self._content_type)
        except TransportError as error:
            logger.debug("%s", error)
            return backoff_s(held.attempts + 1)
        if answer.is_success:
            self.sent += held.count
            if self._answered is not None:
                self._answered(answer)
            return None
        if answer.is_retryable:
            logger.debug("POST %s: %s", self._url, answer.status)
            if answer.retry_after_s is not None:
                return max(answer.retry_after_s, PAUSE_LEAST_S)
            return backoff_s(held.attempts + 1)
        if self._refused is not None and self._refused(answer):
            return None
        said = answer.body[:_SHOWN_CHARACTERS].decode(errors="replace")
        logger.debug("POST %s: %s %s", self._url, answer.status, said)
        self._losses.count(self._what, f"the server answered {answer.status}", held.count)
        return None

    def _send_kept(self) -> None:
        if self._spool is not None and self._may_have_kept:
            self._may_have_kept = False
            self._spool.send_kept(self._what, self._send_kept_body)

    def _send_kept_body(self, body: bytes, count: int) -> bool:
        """Return whether the body's way has ended; if not, the next success brings it another try."""
        held = _Waiting(body, count, time.monotonic())
        ended = self._try(held) is None
        self._may_have_kept |= not ended
        return ended
