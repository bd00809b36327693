"""The live tail: spans as they are acknowledged, to whoever listens.

Theory of operation. The exporter offers what it has just made durable: references to rows, into a queue of bounded
bytes, so that ingest waits for nobody. One thread takes all that waits some times a second, filters it for each
listener by the same conditions as the lists, and puts events into the listener's own queue, which is bounded too: what
does not fit is dropped and counted, and the reader is told how many. Nothing is done while nobody listens.

An event's id is the span's receipt and its ids. Receipts rise strictly, so a reader who comes back with the last one it
has seen is first given, from the tables, what came since; what the queue brings of it again is left out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics.rows import json_value
from analytics.traces.conditions import Condition
from analytics.traces.listing import microseconds, moment
from analytics.traces.messages import input_preview, output_preview
from analytics.traces.rows import milliseconds, tokens_of
from schemas.spans import SPANS
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.errors import StorageError

logger = logging.getLogger(__name__)

LISTENERS_MAX = 16
LISTENERS_OF_PROJECT_MAX = 8
EVENTS_MAX = 500
OFFERED_BYTES_MAX = 64 * 1024 * 1024
ROUND_S = 0.2
REPLAYED_MAX = 500
CONTENT_BYTES_MAX = 64 * 1024
STOP_S_MAX = 5.0

_COLUMNS = (
    "trace_id, span_id, parent_span_id, name, operation, start_time, duration_ns, status_code, status_message, "
    "error_type, config_key, session_id, customer_id, provider, coalesce(response_model, request_model) AS model, "
    "is_inference, cost, time_to_first_token_ns, tags, input_tokens, output_tokens, total_tokens, "
    "uncached_input_tokens, cache_read_tokens, cache_write_tokens, visible_output_tokens, reasoning_tokens, "
    f"CASE WHEN strlen(input) <= {CONTENT_BYTES_MAX} THEN input END AS input, "
    f"CASE WHEN strlen(output) <= {CONTENT_BYTES_MAX} THEN output END AS output, received_at"
)
_ORDER = "received_at, trace_id, span_id"

Position = tuple[int, str, str]
"""Receipt, µs since 1970, trace id and span id: the order of events."""


class FullError(Exception):
    """There are as many listeners as there may be."""


@dataclass(frozen=True, slots=True)
class Event:
    """A span to tell, and where it stands."""

    position: Position
    content: dict[str, Any]

    @property
    def id(self) -> str:
        """Return what a reader that comes back names it by."""
        return "-".join(map(str, self.position))


@dataclass(eq=False, slots=True)
class Listener:
    """One reader: whose project, which spans; its events wait until it takes them."""

    project: str
    condition: Condition
    loop: asyncio.AbstractEventLoop
    after: Position
    _waiting: deque[Event] = field(default_factory=deque)
    _dropped: int = 0
    _is_ended: bool = False
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, timeout_s: float) -> tuple[list[Event], int]:
        """Return what has come, and how many were dropped before it; nothing when the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout_s)
        self._arrived.clear()
        events, dropped = list(self._waiting), self._dropped
        self._waiting.clear()
        self._dropped = 0
        return events, dropped

    def leave_out_told(self) -> None:
        """Leave out what has come meanwhile and was told already."""
        self._waiting = deque(event for event in self._waiting if event.position > self.after)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._is_ended

    def put(self, events: Sequence[Event], dropped: int = 0) -> None:
        """Add events, from any thread."""
        with suppress(RuntimeError):
            # A loop that is closed has no reader left.
            self.loop.call_soon_threadsafe(self._put, events, dropped)

    def end(self) -> None:
        """Let the reader go, from any thread."""

        def ended() -> None:
            self._is_ended = True
            self._arrived.set()

        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(ended)

    def _put(self, events: Sequence[Event], dropped: int) -> None:
        fresh = [event for event in events if event.position > self.after]
        fitting = fresh[: max(EVENTS_MAX - len(self._waiting), 0)]
        self._waiting += fitting
        self._dropped += dropped + len(fresh) - len(fitting)
        self._arrived.set()


class LiveFeed:
    """Takes rows as they are acknowledged and tells the listeners. Thread-safe."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._listeners: set[Listener] = set()
        self._offered: deque[pa.RecordBatch] = deque()
        self._offered_bytes = 0
        self._missed = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def offer(self, table: str, rows: pa.RecordBatch) -> None:
        """Take rows that are durable now. Returns at once, whatever the listeners do."""
        if table != SPANS.name or not self._listeners or not rows.num_rows:
            return
        with self._lock:
            if self._offered_bytes + rows.nbytes > OFFERED_BYTES_MAX and self._offered:
                self._missed += rows.num_rows
            else:
                self._offered.append(rows)
                self._offered_bytes += rows.nbytes
        self._wake.set()

    @contextmanager
    def listening(self, project: str, condition: Condition, after: Position | None) -> Iterator[Listener]:
        """Give a listener, which is told of spans from now on, or from ``after`` on. Raises FullError."""
        listener = Listener(project, condition, asyncio.get_running_loop(), after or (0, "", ""))
        self._add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def replay(self, listener: Listener) -> tuple[list[Event], bool]:
        """Return what came since the listener's position, oldest first, and whether there is more than is told."""
        received_us = listener.after[0]
        with self._engine.session(listener.project) as session:
            session.narrow(SPANS, "received_at", moment(received_us), None)
            # Columns and conditions are ours; values are parameters.
            statement = (
                f"SELECT {_COLUMNS} FROM spans WHERE (received_at, trace_id, span_id) > "  # noqa: S608
                f"($received_at, $trace_id, $span_id){_and(listener.condition)} ORDER BY {_ORDER} LIMIT $limit"
            )
            place = {
                "received_at": moment(received_us),
                "trace_id": listener.after[1],
                "span_id": listener.after[2],
                "limit": REPLAYED_MAX + 1,
            }
            rows = session.query(statement, {**listener.condition.parameters, **place})
        events = [_event(row) for row in rows.slice(0, REPLAYED_MAX).to_pylist()]
        if events:
            listener.after = events[-1].position
        return events, rows.num_rows > REPLAYED_MAX

    def close(self) -> None:
        """End all listeners; safe twice."""
        with self._lock:
            self._is_closed = True
            listeners = list(self._listeners)
        self._wake.set()
        for listener in listeners:
            listener.end()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)

    def _add(self, listener: Listener) -> None:
        with self._lock:
            if self._is_closed:
                raise FullError("the server is shutting down")
            of_project = sum(other.project == listener.project for other in self._listeners)
            if len(self._listeners) >= LISTENERS_MAX or of_project >= LISTENERS_OF_PROJECT_MAX:
                raise FullError(
                    f"{len(self._listeners)} listen, {of_project} of the project; the limits are {LISTENERS_MAX} and "
                    f"{LISTENERS_OF_PROJECT_MAX}: try again"
                )
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-tail", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                batches, missed = list(self._offered), self._missed
                listeners = list(self._listeners)
                self._offered.clear()
                self._offered_bytes = self._missed = 0
            for listener in listeners:
                try:
                    events, beyond = self._events(listener, batches)
                    if events or missed or beyond:
                        listener.put(events, missed + beyond)
                except StorageError:
                    logger.exception("spans could not be told to a listener")
            # A moment's spans together: each round costs a statement a listener.
            threading.Event().wait(ROUND_S)

    def _events(self, listener: Listener, batches: Sequence[pa.RecordBatch]) -> tuple[list[Event], int]:
        """Return what the listener is to be told of the rows, and how many are left out since they are too many."""
        own = [batch.filter(pc.equal(batch["project"], listener.project)) for batch in batches]
        arrived = pa.Table.from_batches([batch for batch in own if batch.num_rows], SPANS.schema)
        if not arrived.num_rows:
            return [], 0
        with self._engine.session(listener.project) as session:
            found = _asked(session, arrived, listener.condition)
        events = [_event(row) for row in found.slice(max(found.num_rows - EVENTS_MAX, 0)).to_pylist()]
        return events, max(found.num_rows - EVENTS_MAX, 0)


def position_of(event_id: str) -> Position | None:
    """Return the position that an event's id names; None where it is none."""
    match event_id.split("-"):
        case [received_us, trace_id, span_id] if (
            received_us.isdecimal() and received_us.isascii() and len(received_us) <= 16 and len(event_id) <= 100
        ):
            return int(received_us), trace_id, span_id
    return None


def _asked(session: QuerySession, arrived: pa.Table, condition: Condition) -> pa.Table:
    statement = f"SELECT {_COLUMNS} FROM arrived WHERE true{_and(condition)} ORDER BY {_ORDER}"  # noqa: S608 - likewise
    return session.query_with({"arrived": arrived}, statement, condition.parameters)


def _and(condition: Condition) -> str:
    return f" AND {condition.sql}" if condition else ""


def _event(row: dict[str, Any]) -> Event:
    received_at: datetime = row.pop("received_at")
    texts = {
        "input_preview": input_preview(row.pop("input")),
        "output_preview": output_preview(row.pop("output")),
    }
    content = {
        "tokens": tokens_of(row),
        "duration_ms": milliseconds(row.pop("duration_ns")),
        "time_to_first_token_ms": milliseconds(row.pop("time_to_first_token_ns")),
        "status": row.pop("status_code"),
        **texts,
    }
    left = {name: json_value(value) for name, value in row.items() if not name.endswith("_tokens")}
    return Event((microseconds(received_at), row["trace_id"], row["span_id"]), {**left, **content})
