"""Clients that are slow, many or verbose: each is sent away in time, and the others are served."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from collector_inputs import flat_trace
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

HEAD_S, BODY_S, RATE, CONNECTIONS = 1.0, 1.0, 100, 1_200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    limits = ("--http-head-timeout-s", f"{HEAD_S}", "--http-body-timeout-s", f"{BODY_S}")
    limits += ("--http-body-bytes-per-s-min", f"{RATE}", "--http-connections-max", f"{CONNECTIONS}")
    found = ServerProcess(tmp_path_factory.mktemp("slow") / "data", *limits)
    yield found.start()
    found.stop()


def connect(server: ServerProcess) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), 10)
    connection.settimeout(15)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(4096):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def drip(connection: socket.socket, pieces: bytes, pause_s: float) -> None:
    """Send a byte now and then, until the server has had enough."""
    try:
        for byte in pieces:
            connection.send(bytes([byte]))
            time.sleep(pause_s)
    except OSError:
        pass


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST", HEAD, HEAD + b"X-A: b\r\n"], ids=["nothing", "method", "head", "more"])
def test_a_head_that_does_not_come_is_not_waited_for(server: ServerProcess, sent: bytes) -> None:
    began_s = time.monotonic()
    with connect(server) as connection:
        connection.sendall(sent)

        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")
    assert HEAD_S <= time.monotonic() - began_s < HEAD_S + 8


def test_a_head_that_drips_is_not_waited_for_either(server: ServerProcess) -> None:
    began_s = time.monotonic()
    with connect(server) as connection:
        drip(connection, HEAD * 10, 0.1)

    assert time.monotonic() - began_s < HEAD_S + 8


def test_a_body_that_stops_is_not_waited_for(server: ServerProcess) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")

        assert until_closed(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("at_once", [1, 5_000], ids=["from the start", "after much at once"])
def test_a_body_that_drips_is_not_waited_for_either(server: ServerProcess, at_once: int) -> None:
    began_s = time.monotonic()
    with connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * at_once)
        drip(connection, b" " * 300, 0.1)

    # At 10 bytes a second all of this would be half a minute.
    assert BODY_S <= time.monotonic() - began_s < BODY_S + 8


@pytest.mark.parametrize(
    ("begin", "endless"), [(b"1;", b"x=1;"), (b"0\r\n", b"X-A: b\r\n")], ids=["extensions", "trailers"]
)
def test_a_body_s_framing_that_never_ends_is_not_waited_for(tmp_path: Path, begin: bytes, endless: bytes) -> None:
    limits = ("--body-bytes-max", "1024", "--http-body-bytes-per-s-min", "1024", "--http-body-timeout-s", "1")
    server = ServerProcess(tmp_path / "data", *limits).start()
    began_s = time.monotonic()
    try:
        with connect(server) as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + begin)
            while time.monotonic() - began_s < 20:
                try:
                    connection.sendall(endless * 50)
                except OSError:
                    break
                time.sleep(0.05)
    finally:
        server.stop()

    assert time.monotonic() - began_s < 10


def test_a_body_that_comes_slowly_is_taken(server: ServerProcess) -> None:
    body = json.dumps(flat_trace()).encode()
    with connect(server) as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 60):
            connection.sendall(body[start : start + 60])
            time.sleep(BODY_S / 3)

        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name", [b"X-A: ", b"X-", b"GET /"], ids=["value", "name", "path"])
def test_a_head_that_is_too_large_is_refused(server: ServerProcess, name: bytes) -> None:
    with connect(server) as connection:
        try:
            connection.sendall((b"" if name.startswith(b"GET") else HEAD) + name + b"a" * 1_000_000)
        except OSError:
            return  # It was refused before all was sent.

        assert until_closed(connection)[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")


def test_a_thousand_slow_connections_keep_nobody_from_being_served(server: ServerProcess) -> None:
    with ExitStack() as open_ones:
        for _ in range(1_000):
            open_ones.enter_context(connect(server)).sendall(HEAD)

        began_s = time.monotonic()
        status, _ = server.post("/v1/traces", flat_trace())

    assert status == 200
    assert time.monotonic() - began_s < 5


def test_connections_beyond_the_limit_are_refused_until_others_end(server: ServerProcess) -> None:
    time.sleep(2 * HEAD_S)
    with ExitStack() as open_ones:
        connections = [open_ones.enter_context(connect(server)) for _ in range(CONNECTIONS + 20)]

        refused = until_closed(connections[-1])
    deadline_s = time.monotonic() + 10
    while server.post("/v1/traces", flat_trace())[0] != 200:
        assert time.monotonic() < deadline_s

    assert refused.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 408 "))


def test_a_connection_is_kept_for_the_next_request(server: ServerProcess) -> None:
    body = json.dumps(flat_trace()).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connect(server) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"{}"):
                answer += connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(HEAD_S * 1.3)
