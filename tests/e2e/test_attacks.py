"""What an attacker tried, and got: each of these cost memory, disk or somebody else's secrets once."""

from __future__ import annotations

import gzip
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from client_messages import EXPORT, PROTOBUF, export_bytes, export_request, grpc_channel, http_client, span
from google.rpc.status_pb2 import Status
from keyed_server import Client, create_key
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

LARGE = 8 * 1024 * 1024
EMPTY_SCOPES = 200_000


@pytest.mark.parametrize("path", ["/sql", "/customers/forget"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_larger_than_its_path_needs_is_refused(shared_server: ServerProcess, path: str, chunked: bool) -> None:
    body = b'{"query": "' + b"x" * LARGE + b'"}'
    content = (body[start : start + 65536] for start in range(0, len(body), 65536)) if chunked else body

    with http_client(shared_server.url) as http:
        answer = http.post(path, content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "1048576 bytes" in answer.json()["error"]["message"]


def test_bodies_that_the_framework_reads_are_in_the_budget_of_all(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--in-flight-bytes-max", "100000").start()
    document = b'{"configs": []' + b" " * 200_000 + b"}"

    try:
        status, headers, _ = server.request("POST", "/apply", document, {"Content-Type": "application/json"})
        small, _, _ = server.request("POST", "/apply", b'{"configs": []}', {"Content-Type": "application/json"})
    finally:
        server.stop()

    assert (status, headers["retry-after"]) == (503, "1")
    assert small == 200


def test_binary_metadata_is_no_header_of_ours(shared_server: ServerProcess) -> None:
    body = export_request([span("binary metadata")]).SerializeToString()

    with grpc_channel(shared_server.grpc) as channel:
        answer = export_bytes(channel, body, metadata=(("x-fallom-session-bin", b"\xff"),))

    assert not answer.HasField("partial_success")
    assert shared_server.sql("SELECT count(*) AS n FROM spans WHERE name = 'binary metadata'") == [{"n": 1}]


@pytest.mark.parametrize("number", [1, 2])
def test_more_scopes_than_a_request_may_have_are_refused(shared_server: ServerProcess, number: int) -> None:
    scopes = b"\x12\x00" * EMPTY_SCOPES
    size = len(scopes)
    holder = b"\x0a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    body = gzip.compress((holder + scopes) * number)
    headers = {**PROTOBUF, "Content-Encoding": "gzip"}

    status, _, answer = shared_server.request("POST", "/v1/traces", body, headers)

    assert status == 413
    message = Status.FromString(answer).message
    assert message == f"at most 100000 scopes in a request allowed, got {EMPTY_SCOPES * number}: send it in parts"


@pytest.mark.parametrize(
    "request_line",
    [
        b"not HTTP at all\r\n\r\n",
        b"GET /configs HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_requests_can_not_fill_the_log(tmp_path: Path, request_line: bytes) -> None:
    server = ServerProcess(tmp_path / "data").start()
    host, port = server.url.removeprefix("http://").split(":")

    for _ in range(100):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request_line)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                continue
    lines = server.log().splitlines()
    server.stop()

    assert 10 <= len(lines) <= 40


def test_the_data_are_for_the_servers_user_and_group_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = ServerProcess(data_dir, "--flush-interval-s", "0.1").start()

    server.request("POST", "/v1/traces", export_request([span()]).SerializeToString(), PROTOBUF)
    server.wait_for_commit()
    assert server.post("/backups", {})[0] == 201
    server.stop()

    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o750
    open_to_all = [path for path in data_dir.rglob("*") if path.stat().st_mode & stat.S_IRWXO]
    assert open_to_all == []


def test_calls_of_one_project_that_send_nothing_keep_no_others_waiting(tmp_path: Path) -> None:
    keys = {project: create_key(tmp_path / "data", project, "ingest") for project in ("a", "b")}
    server = ServerProcess(tmp_path / "data").start()
    released = threading.Event()

    def nothing() -> Iterator[bytes]:
        released.wait(30)
        yield b""

    channel = grpc.insecure_channel(server.grpc, options=[("grpc.enable_http_proxy", 0)])
    export = channel.stream_unary(EXPORT)
    try:
        # More than have a place to be read, and more than a project may have under way.
        calls = [export.future(nothing(), timeout=30, metadata=(("x-api-key", keys["a"]),)) for _ in range(140)]
        deadline_s = time.monotonic() + 10
        while len(ended := [call for call in calls if call.done()]) < 12 and time.monotonic() < deadline_s:
            time.sleep(0.05)
        with grpc_channel(server.grpc) as other:
            export_bytes(other, b"", timeout_s=5, metadata=(("x-api-key", keys["b"]),))
        codes = [call.code() for call in ended]
        released.set()
        others = [call.result(10) for call in calls if call not in ended]
    finally:
        released.set()
        server.stop()
        channel.close()

    assert codes == [grpc.StatusCode.UNAVAILABLE] * 12
    assert others == [b""] * 128


def test_one_project_can_not_take_all_places_of_statements(tmp_path: Path) -> None:
    slow = {"query": "SELECT sleep_ms(4000)"}
    keys = {project: create_key(tmp_path / "data", project, "read") for project in ("a", "b")}
    server = ServerProcess(tmp_path / "data").start()
    a, b = (Client(server, keys[project]) for project in ("a", "b"))

    try:
        with ThreadPoolExecutor(3) as threads:
            running = [threads.submit(Client(server, keys["a"]).post, "/sql", slow) for _ in range(3)]
            time.sleep(1.5)
            refused = a.ask("POST", "/sql", json=slow)
            assert b.sql("SELECT 1") == [[1]]
            assert [one.done() for one in running] == [False] * 3
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert a.sql("SELECT 1") == [[1]]
    finally:
        server.stop()
