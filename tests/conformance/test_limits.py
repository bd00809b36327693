"""Point 16: clients that are slow, verbose or many. gRPC's limits are seen in HTTP/2's frames, as clients get them."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import grpc
import pytest
from client_messages import TIMEOUT_S, grpc_channel
from conformance.doors import GRPC, HTTP_PROTOBUF, TRACES, GrpcDoor, Target
from conformance.points import point
from server_process import ServerProcess

pytestmark = [pytest.mark.e2e, point(16)]
over_grpc = pytest.mark.parametrize("door", [GRPC], ids=lambda door: door.name)
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
CONNECTIONS = 50
LIMIT_S = 1.0
# Frames of HTTP/2 (RFC 9113): their types, and what is in them.
SETTINGS, PING, GOAWAY = 4, 6, 7
MAX_CONCURRENT_STREAMS = 3
ENHANCE_YOUR_CALM = 11
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0))


@pytest.fixture(scope="module")
def strict(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of ours with little patience."""
    if not target.is_ours:
        pytest.skip("another server can't be told how long to wait")
    flags = {
        "--http-head-timeout-s": LIMIT_S,
        "--http-body-timeout-s": LIMIT_S,
        "--http-body-bytes-per-s-min": 100,
        "--http-connections-max": CONNECTIONS,
    }
    data_dir = tmp_path_factory.mktemp("strict") / "data"
    server = ServerProcess(data_dir, *(str(part) for flag in flags.items() for part in flag)).start()
    yield server
    server.stop()


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition("/")[2].rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        yield connection


def answer_to(server: ServerProcess, begin: bytes, dripping: bytes = b"") -> bytes:
    """Return the first bytes that come back while the client drips on."""
    with connected(server.url) as connection:
        connection.sendall(begin)
        connection.settimeout(0.1)
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                if dripping:
                    connection.send(dripping)
                return connection.recv(100)
            except TimeoutError:
                continue
            except OSError:
                return b"closed"
    raise AssertionError(f"still waited for after {TIMEOUT_S} s")


def test_a_head_that_stops_or_drips_is_not_waited_for(strict: ServerProcess) -> None:
    assert answer_to(strict, HEAD).startswith(b"HTTP/1.1 408 ")
    assert answer_to(strict, HEAD + b"X-A: ", b"a").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_or_drips_is_not_waited_for(strict: ServerProcess) -> None:
    begin = HEAD + b"Content-Length: 100000\r\n\r\n"

    assert answer_to(strict, begin).startswith(b"HTTP/1.1 408 ")
    assert answer_to(strict, begin, b"a").startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_more_is_closed(strict: ServerProcess) -> None:
    body = HTTP_PROTOBUF.encode(TRACES.sample())
    with connected(strict.url) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(12) == b"HTTP/1.1 200"

        while connection.recv(4096):
            pass


def test_a_head_that_is_too_large_is_431(strict: ServerProcess) -> None:
    with connected(strict.url) as connection:
        connection.sendall(HEAD + b"X-A: " + b"a" * 70_000)

        assert connection.recv(12) == b"HTTP/1.1 431"


def test_connections_beyond_the_limit_are_refused_and_the_others_served(strict: ServerProcess) -> None:
    with ExitStack() as open_ones, connected(strict.url) as kept:
        for _ in range(CONNECTIONS - 1):
            open_ones.enter_context(connected(strict.url))
        with connected(strict.url) as beyond:
            assert beyond.recv(12) == b"HTTP/1.1 503"
        kept.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
    time.sleep(2 * LIMIT_S)
    assert strict.request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})[0] == 200


class Frames:
    """HTTP/2 as it stands on the wire."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: int, payload: bytes) -> None:
        self._connection.sendall(struct.pack(">I", len(payload))[1:] + bytes((kind, 0)) + bytes(4) + payload)

    def until(self, kind: int) -> bytes:
        """Return the payload of the next frame of that kind."""
        while True:
            head = self._read(9)
            payload = self._read(int.from_bytes(head[:3], "big"))
            if head[3] == kind:
                return payload

    def _read(self, size_bytes: int) -> bytes:
        read = b""
        while len(read) < size_bytes:
            piece = self._connection.recv(size_bytes - len(read))
            assert piece, "the server closed the connection"
            read += piece
        return read


@over_grpc
def test_the_concurrent_streams_of_a_connection_are_limited(target: Target, door: GrpcDoor) -> None:
    with connected(target.grpc) as connection:
        connection.sendall(GREETING)
        payload = Frames(connection).until(SETTINGS)

    announced = dict(struct.iter_unpack(">HI", payload))
    assert 0 < announced[MAX_CONCURRENT_STREAMS] <= 1024


@over_grpc
def test_a_client_that_pings_too_often_is_sent_away(target: Target, door: GrpcDoor) -> None:
    with connected(target.grpc) as connection:
        connection.sendall(GREETING)
        frames = Frames(connection)
        # It may be sent away before it has sent all.
        with suppress(BrokenPipeError):
            for number in range(10):
                frames.send(PING, number.to_bytes(8, "big"))

        payload = frames.until(GOAWAY)

    assert int.from_bytes(payload[4:8], "big") == ENHANCE_YOUR_CALM


@over_grpc
def test_metadata_that_are_too_large_are_refused(target: Target, door: GrpcDoor) -> None:
    with grpc_channel(target.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/opentelemetry.proto.collector.{TRACES.service}/Export")(
            b"", timeout=TIMEOUT_S, metadata=(("x-large", "a" * 200_000),)
        )

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@over_grpc
def test_a_connection_that_never_speaks_http_2_is_closed(target: Target, door: GrpcDoor) -> None:
    with connected(target.grpc) as connection:
        connection.sendall(GREETING[:10])

        while connection.recv(4096):
            pass
