"""Uvicorn's HTTP protocol with limits: on the time that a client takes, on its head's size, on connections.

A connection has one timer, which looks now and then whether its client is late; a request costs it no timer of its own.
Time in which the server does not read, since it is behind, is not the client's.

A head has one deadline. A body's moves on as bytes come, by the time that these may take at the least rate, and is
never further away than ``body_timeout_s``: who sends a byte now and then is sent away as who sends nothing, and what
was sent fast at first buys no time later. It does not move beyond ``body_s_max`` from the body's begin, whatever comes:
a body may have a size, but its framing (the extensions and trailers of chunks) has none.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 64 * 1024
_CHECK_S_MAX = 1.0
_HEAD, _BODY, _IDLE = range(3)
_TIMEOUT = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_MANY = b"503 Service Unavailable\r\nretry-after: 1"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Seconds in which a head must have come, and for which a body may stop; its least rate; connections at a time.

    ``body_bytes_max`` is the largest body that is taken.
    """

    head_timeout_s: float
    body_timeout_s: float
    body_bytes_per_s_min: float
    body_bytes_max: int
    connections_max: int

    @property
    def body_s_max(self) -> float:
        """Return how long the largest body takes at the least rate."""
        return self.body_timeout_s + self.body_bytes_max / self.body_bytes_per_s_min


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection; ``limited`` makes the class that a server takes."""

    limits: HttpLimits
    _deadline_s: float

    @classmethod
    def limited(cls, limits: HttpLimits) -> "type[LimitedHttpProtocol]":
        """Return the protocol with these limits."""
        return type("LimitedHttpProtocol", (cls,), {"limits": limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or refuse the connection."""
        super().connection_made(transport)
        self._begin_head()
        self._body_end_s = math.inf
        self._checked_at_s = self.loop.time()
        self._check_s = min(self.limits.head_timeout_s, self.limits.body_timeout_s, 4 * _CHECK_S_MAX) / 4
        self._timer = self.loop.call_later(self._check_s, self._check)
        if len(self.connections) > self.limits.connections_max:
            self._refuse(_TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request."""
        super().data_received(data)
        if self._stage == _BODY:
            gained_s = len(data) / self.limits.body_bytes_per_s_min
            latest_s = min(self.loop.time() + self.limits.body_timeout_s, self._body_end_s)
            self._deadline_s = min(self._deadline_s + gained_s, latest_s)
        elif self._stage == _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, but no trailer: nobody reads them, and no limit would hold them."""
        if self._stage == _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a body."""
        self._stage = _BODY
        now_s = self.loop.time()
        self._deadline_s = now_s + self.limits.body_timeout_s
        self._body_end_s = now_s + self.limits.body_s_max
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request: from here on the server keeps the client waiting."""
        self._stage = _IDLE
        super().on_message_complete()

    def _begin_head(self) -> None:
        self._stage = _HEAD
        self._head_bytes = 0
        self._deadline_s = self.loop.time() + self.limits.head_timeout_s

    def _check(self) -> None:
        if self.transport.is_closing():
            return
        now_s = self.loop.time()
        if self.flow.read_paused:
            self._deadline_s += now_s - self._checked_at_s
            self._body_end_s += now_s - self._checked_at_s
        self._checked_at_s = now_s
        if self._stage != _IDLE and now_s > self._deadline_s:
            self._refuse(_TIMEOUT)
        else:
            self._timer = self.loop.call_later(self._check_s, self._check)

    def _refuse(self, status: bytes) -> None:
        cycle: Any = self.cycle
        if not self.transport.is_closing():
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
