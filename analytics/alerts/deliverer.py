"""Delivers what is in the outbox, in a thread of its own: again and again, later each time, for a day."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from analytics.alerts.outcome import Outcome
from storage.alerts.outbox import Claimed, Delivery, Outbox, Status
from storage.registry.errors import RegistryError

# Longer than any attempt takes, an e-mail of many steps too: what is claimed for longer was lost with who claimed it.
LEASE = timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(days=1)
BACKOFF_S_MIN, BACKOFF_S_MAX = 10.0, 3600.0
AT_ONCE = 4
INTERVAL_S = 5.0
PRUNE_INTERVAL_S = 3600.0
STOP_S_MAX = 15.0

logger = logging.getLogger(__name__)

Send = Callable[[Claimed], Outcome]


class Deliverer:
    """Sends what is due by ``send``; what fails is tried again, up to a day. ``now`` tells the time."""

    def __init__(
        self,
        outbox: Outbox,
        send: Send,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._outbox = outbox
        self._send = send
        self._now = now
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._pruned_at = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="alert-deliveries", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, once what is being sent has its outcome; safe twice and without ``start``."""
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
            self._thread = None

    def wake(self) -> None:
        """Look into the outbox now."""
        self._wake.set()

    def deliver_due(self) -> int:
        """Send some of what is due; return how many. Raises RegistryError."""
        claimed = self._outbox.claim(AT_ONCE, self._now(), LEASE)
        if len(claimed) == 1:
            self._deliver(claimed[0], self._after(claimed[0]))
        elif claimed:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alert-delivery") as pool:
                # All are sent before an error of one is raised: leaving the block waits for them.
                list(pool.map(lambda each: self._deliver(each, self._after(each)), claimed))
        return len(claimed)

    def deliver_now(self, delivery: Delivery) -> Status:
        """Send something once and at once; return what became of it. Raises RegistryError."""
        claimed = self._outbox.add_claimed(delivery, self._now(), LEASE)
        self._deliver(claimed, None)
        status = self._outbox.status(delivery.project, claimed.id)
        if status is None:
            raise RuntimeError(f"delivery {claimed.id} is gone")
        return status

    def _after(self, claimed: Claimed) -> datetime | None:
        """Return when it is tried again if this attempt fails; None if this is the last one."""
        delay_s = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** min(claimed.attempts - 1, 16))
        # So that what failed together does not come again together.
        after = self._now() + timedelta(seconds=delay_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return after if after - claimed.created_at <= GIVEN_UP_AFTER else None

    def _deliver(self, claimed: Claimed, again_at: datetime | None) -> None:
        try:
            outcome = self._send(claimed)
        except Exception:
            logger.exception("alert delivery %s could not be sent", claimed.id)
            outcome = Outcome("retry", "the server failed to send it: see its log")
        now = self._now()
        if outcome.state == "delivered":
            self._outbox.delivered(claimed, now, outcome.error)
        elif outcome.state == "refused" or again_at is None:
            logger.warning("alert delivery %s is given up: %s", claimed.id, outcome.error)
            self._outbox.give_up(claimed, outcome.error, now)
        else:
            wanted = now + timedelta(seconds=outcome.retry_after_s or 0.0)
            self._outbox.retry(claimed, outcome.error, max(again_at, wanted))

    def _run(self) -> None:
        is_failing = False
        while not self._is_stopping:
            try:
                while not self._is_stopping and self.deliver_due():
                    pass
                self._prune()
                is_failing = False
            except RegistryError as error:
                (logger.debug if is_failing else logger.error)("alerts wait, and are tried again: %s", error)
                is_failing = True
            except Exception:
                logger.exception("alerts could not be delivered, and are tried again")
            self._wake.wait(self._interval_s)
            self._wake.clear()

    def _prune(self) -> None:
        if self._pruned_at == 0.0 or time.monotonic() - self._pruned_at > PRUNE_INTERVAL_S:
            self._outbox.prune(self._now())
            self._pruned_at = time.monotonic()
