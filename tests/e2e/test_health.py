"""Health of a real server while it starts, serves, is full and drains, over HTTP and gRPC."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from client_messages import PROTOBUF, export_request, grpc_channel, span
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from metrics_scrape import scrape
from server_process import ServerProcess
from tmpfs import Disk, mounted

pytestmark = pytest.mark.e2e

MIB = 1 << 20
TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
SERVICES = tuple(
    f"opentelemetry.proto.collector.{name}"
    for name in ("trace.v1.TraceService", "logs.v1.LogsService", "metrics.v1.MetricsService")
)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 64 * MIB) as disk:
        yield disk


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers, and ends them after the test."""
    servers: list[ServerProcess] = []

    def start(data_dir: Path, *flags: str) -> ServerProcess:
        servers.append(ServerProcess(data_dir, *flags))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


class Watcher:
    """A client of ``Watch``: what it was told, in order."""

    def __init__(self, channel: grpc.Channel, service: str = TRACE_SERVICE) -> None:
        self.told: list[int] = []
        self.ended = threading.Event()
        self._call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # It ends with an error where the connection goes first.
        with suppress(grpc.RpcError):
            for answer in self._call:
                self.told.append(answer.status)
        self.ended.set()

    def wait_for(self, *expected: int, timeout_s: float = 10) -> None:
        deadline = time.monotonic() + timeout_s
        while self.told != list(expected):
            assert time.monotonic() < deadline, f"told {self.told}, expected {expected}"
            time.sleep(0.02)


def check(channel: grpc.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)


def wait_until_ready_is(server: ServerProcess, expected: int, timeout_s: float = 10) -> dict[str, list[str]]:
    deadline = time.monotonic() + timeout_s
    while True:
        status, answer = server.get("/readyz")
        if status == expected:
            return answer
        assert time.monotonic() < deadline, f"{status} {answer} after {timeout_s} s"
        time.sleep(0.05)


def send(server: ServerProcess, size_bytes: int = 5_000) -> int:
    body = export_request([span("x", {"text": "x" * size_bytes})]).SerializeToString()
    return server.request("POST", "/v1/traces", body, PROTOBUF)[0]


def test_a_server_that_works_is_alive_and_ready(server: ServerProcess) -> None:
    assert server.get("/healthz") == (200, {"status": "alive"})
    assert server.get("/readyz") == (200, {"status": "ready", "reasons": [], "warnings": []})
    assert server.request("HEAD", "/readyz")[::2] == (200, b"")
    status, headers, _ = server.request("POST", "/healthz", b"")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    with grpc_channel(server.grpc) as channel:
        assert [check(channel), check(channel, TRACE_SERVICE)] == [SERVING, SERVING]
        with pytest.raises(grpc.RpcError) as caught:
            check(channel, "unknown")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        listed = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=10)
        assert {name: answer.status for name, answer in listed.statuses.items()} == dict.fromkeys(
            ("", *SERVICES), SERVING
        )


def test_health_is_answered_to_a_probe_that_names_the_machine_s_address(server: ServerProcess) -> None:
    headers = {"Host": "10.1.2.3:4318"}

    assert [server.request("GET", path, headers=headers)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    assert server.request("GET", "/metrics", headers=headers)[0] == 403


def test_reflection_tells_the_services_and_their_messages(server: ServerProcess) -> None:
    with grpc_channel(server.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)

        assert {*SERVICES, "grpc.health.v1.Health"} <= set(database.get_services())
        service = database.FindFileContainingSymbol(TRACE_SERVICE).service[0]
        assert [method.name for method in service.method] == ["Export"]


def test_while_it_starts_it_is_alive_and_not_ready(tmp_path: Path, started: Callable[..., ServerProcess]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answers: list[tuple[int, int, bytes, str | None]] = []
    stopping = threading.Event()

    def ask(path: str, body: bytes | None = None) -> tuple[int, bytes, str | None]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, PROTOBUF if body is not None else {})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read(), None
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers.get("Retry-After")
        except OSError:
            return 0, b"", None

    def poll() -> None:
        while not stopping.is_set():
            ready = ask("/readyz")
            alive = ask("/healthz")
            export = ask("/v1/traces", b"")
            answers.append((alive[0], ready[0], ready[1] + export[1], export[2]))
            time.sleep(0.005)

    poller = threading.Thread(target=poll)
    poller.start()
    server = started(tmp_path / "data", "--http", f"127.0.0.1:{port}", "--grpc", "127.0.0.1:0")
    stopping.set()
    poller.join()

    starting = [answer for answer in answers if answer[1] == 503]
    assert starting
    assert {answer[0] for answer in starting} == {200}
    assert all(b"the server is starting" in answer[2] for answer in starting)
    assert "1" in {answer[3] for answer in starting}
    assert server.get("/readyz")[0] == 200


def test_a_full_disk_makes_it_unready_until_there_is_space_again(
    disk: Disk, started: Callable[..., ServerProcess]
) -> None:
    flags = ("--disk-free-bytes-min", str(20 * MIB), "--flush-interval-s", "3600")
    server = started(disk.path / "data", *flags)
    assert send(server) == 200
    with grpc_channel(server.grpc) as channel:
        watcher = Watcher(channel)
        watcher.wait_for(SERVING)
        disk.fill(left_bytes=10 * MIB)

        answer = wait_until_ready_is(server, 503)

        assert answer["status"] == "not ready"
        assert "are kept free for commits" in answer["reasons"][0]
        watcher.wait_for(SERVING, NOT_SERVING)
        assert scrape(server).value("fallom_ready") == 0
        assert server.get("/healthz")[0] == 200
        assert send(server) == 503
        disk.empty()
        assert wait_until_ready_is(server, 200)["reasons"] == []
        watcher.wait_for(SERVING, NOT_SERVING, SERVING)
        assert send(server) == 200


def test_a_write_that_failed_makes_it_unready_until_one_succeeds_though_nobody_sends(
    disk: Disk, started: Callable[..., ServerProcess]
) -> None:
    server = started(disk.path / "data", "--flush-interval-s", "3600", "--disk-free-bytes-min", "0")
    disk.fill()
    assert send(server, 2 * MIB) == 503

    answer = wait_until_ready_is(server, 503)

    assert answer["reasons"] == ["the log can't be written: No space left on device"]
    disk.empty()
    wait_until_ready_is(server, 200)
    assert list((disk.path / "data" / "log").rglob("probe*")) == []
    assert send(server) == 200


def test_a_spent_log_budget_makes_it_unready_until_rows_are_committed(
    tmp_path: Path, started: Callable[..., ServerProcess]
) -> None:
    flags = ("--flush-interval-s", "4", "--log-bytes-max", str(MIB))
    server = started(tmp_path / "data", *flags)
    while send(server, 200_000) == 200:
        pass

    assert "its limit is 1048576" in wait_until_ready_is(server, 503)["reasons"][0]
    assert wait_until_ready_is(server, 200, timeout_s=20)["reasons"] == []
    assert send(server, 200_000) == 200


def test_before_it_drains_it_says_so_and_still_takes_requests(
    tmp_path: Path, started: Callable[..., ServerProcess]
) -> None:
    server = started(tmp_path / "data", "--drain-notice-s", "3")
    with grpc_channel(server.grpc) as channel:
        watcher = Watcher(channel)
        watcher.wait_for(SERVING)
        server.send_signal(signal.SIGTERM)

        assert wait_until_ready_is(server, 503, timeout_s=2)["reasons"] == ["the server is shutting down"]
        assert server.get("/healthz")[0] == 200
        assert send(server) == 200
        watcher.wait_for(SERVING, NOT_SERVING)
        assert server.wait() == 0
    assert '"stopped; all that was acknowledged is committed"' in server.log()


def test_who_watches_does_not_hold_up_the_end(tmp_path: Path, started: Callable[..., ServerProcess]) -> None:
    server = started(tmp_path / "data")
    with grpc_channel(server.grpc) as channel:
        watcher = Watcher(channel)
        watcher.wait_for(SERVING)
        began_s = time.monotonic()

        assert server.terminate() == 0

        # Held up, it takes the 30 s that the call may take.
        assert time.monotonic() - began_s < 20
        assert watcher.ended.wait(5)
        assert watcher.told == [SERVING, NOT_SERVING]


def test_who_asks_for_a_description_does_not_hold_up_the_end_either(
    tmp_path: Path, started: Callable[..., ServerProcess]
) -> None:
    server = started(tmp_path / "data")
    ending = threading.Event()

    def requests() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        ending.wait(30)

    with grpc_channel(server.grpc) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(requests(), timeout=30)
        assert next(call).HasField("list_services_response")
        began_s = time.monotonic()

        assert server.terminate() == 0

        # Held up, it takes the 30 s that the call may take.
        assert time.monotonic() - began_s < 20
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        ending.set()
    assert "Traceback" not in server.log()


def test_every_line_of_the_log_is_json(tmp_path: Path, started: Callable[..., ServerProcess]) -> None:
    server = started(tmp_path / "data")
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert server.terminate() == 0

    lines = [json.loads(line) for line in server.log().splitlines()]

    assert {"timestamp", "level", "logger", "event"} <= set.intersection(*(set(line) for line in lines))
    assert {"fallom", "fallom.readiness", "uvicorn.error"} <= {line["logger"] for line in lines}
