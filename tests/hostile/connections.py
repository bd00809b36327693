"""The two ways in: raw bytes over a TCP connection, and calls by grpcio; each says what came back and how fast."""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import grpc
from hostile.messages import HttpMessage, grpc_message, http_message

ANSWER_S_MAX = 20.0
UNFINISHED_S = 0.05
"""How long it waits for the answer to a request whose end the server may be waiting for."""
METHODS = (
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Nothing",
    "/nothing",
)
_GRPC_WRONG = ("UNKNOWN", "INTERNAL", "DATA_LOSS", "DEADLINE_EXCEEDED")


@dataclass(frozen=True, slots=True)
class Answer:
    """``outcome``: a status, or that the connection was closed without one; ``is_wrong``: it must not be."""

    outcome: str
    seconds: float
    is_wrong: bool


class HttpClient:
    """Writes messages to a connection, which it keeps as long as the server does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def send(self, chance: random.Random, *, show: Callable[[object], None] = lambda _: None) -> Answer:
        message = http_message(chance)
        show(message.content[:3_000])
        began_s = time.monotonic()
        try:
            answer = self._exchange(message)
        except TimeoutError:
            self._close()
            return Answer("no answer in time", time.monotonic() - began_s, is_wrong=True)
        show(answer[:3_000])
        outcome = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "closed"
        is_wrong = outcome not in ("503", "closed") and not "200" <= outcome < "500"
        return Answer(outcome, time.monotonic() - began_s, is_wrong or (message.is_whole and outcome == "closed"))

    def _exchange(self, message: HttpMessage) -> bytes:
        """Return the answer; for a message that is not whole, what came before the server had waited a moment."""
        connection = self._connection or self._connect()
        connection.settimeout(ANSWER_S_MAX if message.is_whole else UNFINISHED_S)
        try:
            connection.sendall(message.content)
            answer, is_open = _answer(connection, has_body=not message.content.startswith(b"HEAD "))
        except (ConnectionError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and message.is_whole:
                raise
            answer, is_open = b"", False
        if not (is_open and message.is_whole):
            self._close()
        return answer

    def _connect(self) -> socket.socket:
        self._connection = socket.create_connection(self._address, timeout=ANSWER_S_MAX)
        # Closed by a reset: else the port would stay in use for a minute, and there are fewer than are needed.
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _answer(connection: socket.socket, *, has_body: bool) -> tuple[bytes, bool]:
    """Return the final answer with its body, and whether the connection stays open."""
    answer = b""
    while True:
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65_536)
            if not part:
                return answer, False
            answer += part
        if not answer.startswith(b"HTTP/1.1 1"):
            break
        answer = answer.partition(b"\r\n\r\n")[2]
    head = answer.partition(b"\r\n\r\n")[0].lower()
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    wanted = len(head) + 4 + (int(length[1]) if length and has_body else 0)
    while len(answer) < wanted:
        part = connection.recv(65_536)
        if not part:
            return answer, False
        answer += part
    return answer, length is not None and b"connection: close" not in head


class GrpcClient:
    """Calls methods, with messages that are mostly wrong."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._calls = {method: self._channel.unary_unary(method, None, None) for method in METHODS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send(self, chance: random.Random, *, show: Callable[[object], None] = lambda _: None) -> Answer:
        method = METHODS[0] if chance.random() < 0.9 else chance.choice(METHODS)
        message = grpc_message(chance)
        show((method, message[:3_000]))
        began_s = time.monotonic()
        try:
            show(self._calls[method](message, timeout=ANSWER_S_MAX, compression=_compression(chance)))
        except grpc.RpcError as error:
            show(error)
            outcome = error.code().name
        else:
            outcome = "OK"
        return Answer(outcome, time.monotonic() - began_s, outcome in _GRPC_WRONG)


def _compression(chance: random.Random) -> grpc.Compression:
    return grpc.Compression.Gzip if chance.random() < 0.05 else grpc.Compression.NoCompression
