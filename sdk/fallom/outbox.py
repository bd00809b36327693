"""Exposures and custom metrics on their way to the server: a deque, a worker that sends batches, counters.

The caller's thread looks into a set and appends; nothing else.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from fallom.assignment import Assignment
from fallom.delivery import Delivery, Keeper
from fallom.losses import Losses
from fallom.transport import Answer, Transport
from fallom.worker import Worker

logger = logging.getLogger("fallom")

QUEUE_ITEMS_MAX = 10_000
BATCH_ITEMS_MAX = 500
BATCH_BYTES_MAX = 512 * 1024
ITEM_BYTES_MAX = 1024 * 1024
SEND_INTERVAL_S = 1.0
REPORTED_MAX = 10_000
"""How many exposures of late are remembered, twice, so as not to be reported again; the server leaves out the rest."""
_CONTENT_TYPE = "application/json"
_REFUSES_LISTS = frozenset({400, 404, 405, 415, 422})


class Events:
    """Takes JSON objects of one kind from any thread, and delivers them by the outbox's."""

    def __init__(
        self,
        transport: Transport,
        url: str,
        what: str,
        losses: Losses,
        spool: Keeper | None,
        as_json: Callable[..., Mapping[str, Any]],
        is_urgent: Callable[[], bool],
    ) -> None:
        self._what = what
        self._losses = losses
        self._as_json = as_json
        self._queue: deque[bytes | tuple[Any, ...]] = deque()
        self._sending: list[bytes] = []
        self._sends_lists = True
        self._delivery = Delivery(
            transport,
            url,
            what,
            losses,
            content_type=_CONTENT_TYPE,
            spool=spool,
            answered=self._answered,
            refused=self._refused,
            is_urgent=is_urgent,
        )

    def put(self, item: tuple[Any, ...]) -> None:
        """Take what ``as_json`` makes an object of; drop and count it where there is no room."""
        if len(self._queue) >= QUEUE_ITEMS_MAX:
            self._losses.count(self._what, "the queue was full")
        else:
            self._queue.append(item)

    def __len__(self) -> int:
        return len(self._queue) + self._delivery.waiting

    def deliver(self) -> float:
        """Send until nothing is left, or it can't be sent now; return when to come again."""
        while True:
            pause_s = self._delivery.send_waiting()
            if pause_s is not None:
                return pause_s
            self._sending = self._take()
            if not self._sending:
                return SEND_INTERVAL_S
            self._delivery.accept(_body(self._sending), len(self._sending), time.monotonic())

    def close(self) -> None:
        """Count what is left as lost, or keep it in the spool."""
        while batch := self._take():
            self._delivery.give_up(_body(batch), len(batch))
        self._delivery.close()

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size_bytes = 0
        batch_max = BATCH_ITEMS_MAX if self._sends_lists else 1
        while self._queue and len(batch) < batch_max:
            item = self._encoded(self._queue.popleft())
            if item is None:
                continue
            size_bytes += len(item)
            if batch and size_bytes > BATCH_BYTES_MAX:
                self._queue.appendleft(item)
                break
            batch.append(item)
        return batch

    def _encoded(self, item: bytes | tuple[Any, ...]) -> bytes | None:
        if isinstance(item, bytes):
            return item
        try:
            encoded = json.dumps(self._as_json(*item), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            self._losses.count(self._what, f"can't be written as JSON: {type(error).__name__}")
            return None
        if len(encoded) > ITEM_BYTES_MAX:
            self._losses.count(self._what, f"larger than {ITEM_BYTES_MAX} bytes")
            return None
        return encoded

    def _answered(self, answer: Answer) -> None:
        """Count what the server did not take of a list."""
        try:
            rejected = json.loads(answer.body).get("rejected", 0)
        except (ValueError, AttributeError, RecursionError):
            return
        if isinstance(rejected, int) and rejected > 0:
            logger.debug("%s: %s", self._what, answer.body[:500])
            self._losses.count(self._what, "the server rejected them", rejected)

    def _refused(self, answer: Answer) -> bool:
        """Send one by one what was refused as a list: servers of before know no lists."""
        if len(self._sending) < 2 or answer.status not in _REFUSES_LISTS:
            return False
        self._sends_lists = False
        self._queue.extendleft(reversed(self._sending))
        return True


class Outbox:
    """What the SDK reports besides spans."""

    def __init__(
        self,
        transport: Transport,
        losses: Losses,
        *,
        configs_url: str | None,
        traces_url: str | None,
        spool: Keeper | None = None,
    ) -> None:
        self.worker = Worker("fallom-outbox", self.deliver)
        urgent = self.worker.is_flushing
        self._exposures = _events(transport, configs_url, "/sessions", "exposures", losses, spool, _exposure, urgent)
        self._metrics = _events(transport, traces_url, "/spans", "metrics", losses, spool, _metrics, urgent)
        self._reported: set[tuple[object, ...]] = set()
        self._reported_before: set[tuple[object, ...]] = set()

    def expose(
        self, config_key: str, version: int | None, session_id: str, assignment: Assignment, customer_id: str | None
    ) -> None:
        """Report that a session was given a variant, unless that was done of late."""
        exposure = (config_key, version, session_id, assignment[0], assignment[2], customer_id)
        if exposure in self._reported or exposure in self._reported_before or self._exposures is None:
            return
        if len(self._reported) >= REPORTED_MAX:
            self._reported_before, self._reported = self._reported, set()
        self._reported.add(exposure)
        self._exposures.put((config_key, version, session_id, assignment, customer_id))

    def record(self, config_key: str, session_id: str, data: Mapping[str, Any]) -> None:
        """Report custom metrics of a session."""
        if self._metrics is not None:
            self._metrics.put((config_key, session_id, dict(data)))

    def flush(self, timeout_s: float) -> bool:
        """Return whether all that was taken is delivered within the time."""
        return self.worker.flush(lambda: len(self) == 0, timeout_s)

    def deliver(self) -> float:
        """Send what waits; return when to come again."""
        return min((events.deliver() for events in self._kinds()), default=SEND_INTERVAL_S)

    def close(self) -> None:
        """Give up what is left."""
        for events in self._kinds():
            events.close()

    def __len__(self) -> int:
        return sum(map(len, self._kinds()))

    def _kinds(self) -> list[Events]:
        return [events for events in (self._exposures, self._metrics) if events is not None]


def _events(transport: Transport, base_url: str | None, path: str, *rest: Any) -> Events | None:
    return None if base_url is None else Events(transport, base_url + path, *rest)


def _exposure(
    config_key: str, version: int | None, session_id: str, assignment: Assignment, customer_id: str | None
) -> dict[str, Any]:
    report = {
        "config_key": config_key,
        "config_version": version,
        "session_id": session_id,
        "assigned_model": assignment.model,
        "variant_index": assignment.variant_index,
        "reason": assignment.reason,
        "customer_id": customer_id,
    }
    return {name: value for name, value in report.items() if value is not None}


def _metrics(config_key: str, session_id: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"config_key": config_key, "session_id": session_id, "data": data}


def _body(items: list[bytes]) -> bytes:
    """Return one item as it is, several as a list."""
    return items[0] if len(items) == 1 else b"[" + b",".join(items) + b"]"
