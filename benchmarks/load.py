"""Loads a server, in a closed loop (as fast as answers come) or an open one (at fixed times), and times its answers.

The generator shares the machine with what it measures, so it is made to cost little, and says what it costs. Requests
are encoded beforehand and renewed in place. A thread a connection sends large ones; it spends its time in copies that
release Python's lock. Of small ones over HTTP one thread serves all connections, since switching threads would cost
more than a request. gRPC is Python's own client, as most of its users have it.
"""

from __future__ import annotations

import contextlib
import gzip
import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import grpc
import numpy as np
from spans import Request, Singles, request
from traces import Traces

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TEMPLATES = 4
LARGE_BYTES_MIN = 4_000_000
SMALL_BYTES_MAX = 32 * 1024
TIMEOUT_S = 60
RETRY_S = 0.05
PROTOBUF = "application/x-protobuf"

Body = Callable[[], bytes]
Send = Callable[[bytes], None]


class RefusedError(Exception):
    """The server asks to try again later."""


class FailedError(Exception):
    """The server answered with an error, or not at all."""


@dataclass(frozen=True, slots=True)
class Case:
    """One load: how large the spans are, how many a request, how they travel, and how many a second (None: all)."""

    span_bytes: int
    batch: int
    transport: str
    compression: str
    rate: float | None = None


@dataclass(slots=True)
class Load:
    """What became of the requests: how long those that were acknowledged took, and how many were not."""

    waits_s: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    generator_cpu_s: float = 0.0


def run(http: str, grpc_address: str, case: Case, seconds: float, connections: int) -> Load:
    """Load the server for so many seconds."""
    bodies = [_bodies(case, seed) for seed in range(connections)]
    load = Load()
    cpu, started = time.process_time(), time.perf_counter()
    if case.transport != "grpc" and case.span_bytes * case.batch <= SMALL_BYTES_MAX:
        _one_thread(http, case, bodies, seconds, load)
    else:
        _thread_a_connection(http, grpc_address, case, bodies, seconds, load)
    load.seconds = time.perf_counter() - started
    load.generator_cpu_s = time.process_time() - cpu
    return load


def _bodies(case: Case, seed: int) -> Body:
    """Return what makes the next request of one connection."""
    if case.transport == "fallom":
        return Traces(case.span_bytes, seed).renewed
    templates: deque[Request | Singles] = deque(_templates(case, seed))
    generator = np.random.default_rng([seed, time.time_ns()])

    def body() -> bytes:
        templates.rotate()
        renewed = templates[0].renewed(generator)
        # grpcio compresses by itself.
        return gzip.compress(renewed, 1) if case.compression == "gzip" and case.transport != "grpc" else renewed

    return body


def _templates(case: Case, seed: int) -> list[Request | Singles]:
    if case.batch == 1:
        return [Singles(case.span_bytes, seed)]
    count = 1 if case.span_bytes * case.batch > LARGE_BYTES_MIN else TEMPLATES
    return [request(case.batch, case.span_bytes, seed * TEMPLATES + number) for number in range(count)]


def _thread_a_connection(
    http: str, grpc_address: str, case: Case, bodies: list[Body], seconds: float, load: Load
) -> None:
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    end = time.perf_counter() + seconds

    def work(body: Body) -> None:
        with _sender(http, grpc_address, case) as send:
            for meant in _due(due, end) if case.rate else _as_they_come(end):
                content = body()
                begun = meant or time.perf_counter()
                _send(send, content, begun, load)

    threads = [threading.Thread(target=work, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    if case.rate:
        for meant in _schedule(case, end):
            time.sleep(max(meant - time.perf_counter(), 0))
            due.put(meant)
        for _ in threads:
            due.put(None)
    for thread in threads:
        thread.join()


def _send(send: Send, content: bytes, begun: float, load: Load) -> None:
    try:
        send(content)
    except RefusedError:
        load.refused += 1
        time.sleep(RETRY_S)
    except (FailedError, OSError):
        load.failed += 1
        time.sleep(RETRY_S)
    else:
        load.waits_s.append(time.perf_counter() - begun)


def _as_they_come(end: float) -> Iterator[float]:
    """Yield 0, for now, until the end."""
    while time.perf_counter() < end:
        yield 0.0


def _due(due: queue.SimpleQueue[float | None], end: float) -> Iterator[float]:
    while (meant := due.get()) is not None and time.perf_counter() < end + TIMEOUT_S:
        yield meant


def _schedule(case: Case, end: float) -> Iterator[float]:
    """Yield the times at which requests are meant to be sent, whether or not there are answers to earlier ones."""
    assert case.rate is not None
    meant = time.perf_counter()
    while meant < end:
        yield meant
        meant += case.batch / case.rate


@contextlib.contextmanager
def _sender(http: str, grpc_address: str, case: Case) -> Iterator[Send]:
    if case.transport != "grpc":
        with contextlib.closing(Connection(http, case)) as connection:
            yield connection.exchange
        return
    compression = grpc.Compression.Gzip if case.compression == "gzip" else grpc.Compression.NoCompression
    limits = [("grpc.max_send_message_length", 1 << 28), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(grpc_address.removeprefix("http://"), limits, compression) as channel:
        export = channel.unary_unary(METHOD)

        def send(body: bytes) -> None:
            try:
                export(body, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                refused = error.code() is grpc.StatusCode.UNAVAILABLE
                raise (RefusedError if refused else FailedError)(str(error)) from error

        yield send


class Connection:
    """A keep-alive connection of HTTP/1.1 that costs next to nothing."""

    def __init__(self, url: str, case: Case) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        media_type = "application/json" if case.transport == "fallom" else PROTOBUF
        encoding = "Content-Encoding: gzip\r\n" if case.compression == "gzip" else ""
        self._head = (
            f"POST /v1/traces HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {media_type}\r\n{encoding}"
            "Content-Length: "
        ).encode()
        self._received = b""
        self.begun = 0.0

    def fileno(self) -> int:
        """Return the socket's number."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def send(self, body: bytes) -> None:
        """Send one request."""
        self.socket.sendall(b"%s%d\r\n\r\n" % (self._head, len(body)) + body)

    def has_answer(self) -> bool:
        """Read what is there; return whether an answer is whole. Raises RefusedError, FailedError."""
        self._received += (read := self.socket.recv(65536))
        if not read:
            raise FailedError("the server closed the connection")
        head, separator, content = self._received.partition(b"\r\n\r\n")
        if not separator:
            return False
        lowered = head.lower()
        length = int(lowered.partition(b"content-length:")[2].split(None, 1)[0])
        if len(content) < length:
            return False
        self._received = b""
        status = head.split(None, 2)[1]
        if status == b"503":
            raise RefusedError(content.decode())
        if status != b"200":
            raise FailedError(f"{status.decode()}: {content.decode(errors='replace')}")
        return True

    def exchange(self, body: bytes) -> None:
        """Send one request, return with its answer."""
        self.send(body)
        while not self.has_answer():
            pass


def _one_thread(http: str, case: Case, bodies: list[Body], seconds: float, load: Load) -> None:
    idle = deque((Connection(http, case), body) for body in bodies)
    busy: dict[int, tuple[Connection, Body]] = {}
    poll = select.epoll()
    for connection, _ in idle:
        poll.register(connection, select.EPOLLIN)
    end = time.perf_counter() + seconds
    times = _schedule(case, end) if case.rate else _as_they_come(end)
    meant = next(times, None)
    while meant is not None or busy:
        now = time.perf_counter()
        while idle and meant is not None and meant <= now:
            connection, body = idle.popleft()
            # Late or not, the time that counts is the one that was meant.
            connection.begun = meant or now
            connection.send(body())
            busy[connection.fileno()] = connection, body
            meant = next(times, None)
        until_next = 1.0 if meant is None or not idle else max(meant - time.perf_counter(), 0.0)
        for number, _ in poll.poll(until_next):
            connection, body = busy[number]
            if _is_answered(connection, load):
                idle.append(busy.pop(number))
    for connection, _ in idle:
        connection.close()


def _is_answered(connection: Connection, load: Load) -> bool:
    try:
        if not connection.has_answer():
            return False
    except RefusedError:
        load.refused += 1
    except FailedError:
        load.failed += 1
    else:
        load.waits_s.append(time.perf_counter() - connection.begun)
    return True
