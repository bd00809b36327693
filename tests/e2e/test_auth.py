"""With keys defined, every route but health refuses a missing, wrong, revoked and under-scoped key, before its body."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from client_messages import EXPORT, export_bytes, export_request, flat_trace, grpc_channel, http_client, span
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from keyed_server import create_key, revoke_key
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from server_process import ServerProcess

from collector.otlp.signals import SIGNALS
from schemas.scopes import Scope
from server.scopes import CHANGES, PUBLIC_PATHS, SCOPES, scopes_of
from storage.registry.api_keys import Rates

pytestmark = pytest.mark.e2e

# tests/server/test_scopes.py compares the list with the server's routes.
PATHS = sorted(SCOPES)
CHANGING = ("POST", "PUT", "DELETE")
METHODS = ("GET", *CHANGING)
WRONG = ("none", "unknown", "mixed", "revoked", "expired")
UNDER_SCOPED = sorted(
    (path, scope) for path, scopes in SCOPES.items() for scope in (Scope.INGEST, Scope.READ) if scope not in scopes
)
SEEN_S_MAX = 10.0
SPAN = export_request([span()]).SerializeToString()


@dataclass
class Keyed:
    """A server and keys of its, by scope and by what is wrong with them."""

    server: ServerProcess
    keys: dict[str, str]
    http: httpx.Client

    def ask(self, method: str, path: str, key: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[key]}"} if self.keys[key] else {}
        return self.http.request(method, path, headers=headers, **options)

    def status(self, method: str, path: str, key: str) -> int:
        """Return the status of an answer whose body may have no end."""
        with self.http.stream(method, path, headers={"Authorization": f"Bearer {self.keys[key]}"}) as answer:
            return answer.status_code


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    data_dir = tmp_path_factory.mktemp("keyed") / "data"
    keys = {scope.value: create_key(data_dir, "web", scope) for scope in Scope}
    keys["none"] = ""
    keys["unknown"] = "fallom_000000000000_" + "0" * 64
    keys["mixed"] = keys["ingest"].rpartition("_")[0] + "_" + keys["read"].rpartition("_")[2]
    keys["revoked"] = create_key(data_dir, "web", "admin")
    keys["expired"] = create_key(data_dir, "web", "admin", expires_at=datetime.now(UTC))
    revoke_key(data_dir, keys["revoked"])
    server = ServerProcess(data_dir).start()
    with http_client(server.url) as http:
        yield Keyed(server, keys, http)
    server.stop()


def filled(path: str) -> str:
    """Return a path of the list as a client would write it."""
    return re.sub(r"\{[^}]*\}", "1", path)


def check_error(answer: httpx.Response, path: str, code: str, number: int) -> None:
    """Check that an error has the form of its path's others."""
    if path.startswith("/v1/"):
        assert Parse(answer.content, Status()).code == number
    elif path.startswith("/ofrep/"):
        # The protocol's errors of this kind have no code.
        assert answer.json()["errorDetails"]
    else:
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("key", WRONG)
@pytest.mark.parametrize("path", PATHS)
def test_a_path_refuses_a_key_that_does_not_count(keyed: Keyed, path: str, key: str) -> None:
    for method in METHODS:
        answer = keyed.ask(method, filled(path), key)

        assert answer.status_code == 401, method
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        check_error(answer, path, "unauthenticated", 16)


@pytest.mark.parametrize(("path", "scope"), UNDER_SCOPED)
def test_a_path_refuses_a_key_of_another_scope(keyed: Keyed, path: str, scope: Scope) -> None:
    # A path that is read and changed may let different keys do so.
    for method in (each for each in METHODS if scope not in (scopes_of(path, each) or ())):
        answer = keyed.ask(method, filled(path), scope.value)

        assert answer.status_code == 403, method
        check_error(answer, path, "permission_denied", 7)


@pytest.mark.parametrize(
    ("path", "scope"), sorted((path, scope) for path, scopes in CHANGES.items() for scope in SCOPES[path] - scopes)
)
def test_a_path_refuses_a_change_by_a_key_that_may_read_only(keyed: Keyed, path: str, scope: Scope) -> None:
    for method in CHANGING:
        answer = keyed.ask(method, filled(path), scope.value)

        assert answer.status_code == 403, method
        check_error(answer, path, "permission_denied", 7)


@pytest.mark.parametrize(
    ("path", "scope"), sorted((path, scope) for path, scopes in SCOPES.items() for scope in scopes | {Scope.ADMIN})
)
def test_a_path_lets_in_a_key_of_its_scope(keyed: Keyed, path: str, scope: Scope) -> None:
    may_change = scope is Scope.ADMIN or scope in CHANGES.get(path, SCOPES[path])
    for method in ("GET", "POST") if may_change else ("GET",):
        assert keyed.status(method, filled(path), scope.value) not in (401, 403), method


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/trace", "/v2/traces", "/debug", "/sql/"])
def test_a_path_that_is_not_there_tells_nobody_so_who_has_no_key(keyed: Keyed, path: str) -> None:
    statuses = {key: keyed.ask("GET", path, key).status_code for key in ("none", "unknown", "ingest", "read", "admin")}

    assert statuses == {"none": 401, "unknown": 401, "ingest": 404, "read": 404, "admin": 404}
    check_error(keyed.ask("GET", path, "ingest"), path, "not_found", 5)


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
def test_health_needs_no_key(keyed: Keyed, path: str) -> None:
    assert keyed.ask("GET", path, "none").status_code not in (401, 403)


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/json; charset=utf-8", "text/plain"])
@pytest.mark.parametrize(("key", "status", "code"), [("unknown", 401, 16), ("read", 403, 7)])
def test_an_otlp_refusal_is_a_status_in_the_requests_encoding(
    keyed: Keyed, media_type: str, key: str, status: int, code: int
) -> None:
    headers = {"Authorization": f"Bearer {keyed.keys[key]}", "Content-Type": media_type}

    answer = keyed.http.post("/v1/traces", content=SPAN, headers=headers)

    is_protobuf = "protobuf" in media_type
    parsed = Status.FromString(answer.content) if is_protobuf else Parse(answer.content, Status())
    assert (answer.status_code, parsed.code) == (status, code)
    assert answer.headers["Content-Type"] == ("application/x-protobuf" if is_protobuf else "application/json")


@pytest.mark.parametrize("path", ["/v1/traces", "/spans", "/sessions", "/apply", "/sql"])
def test_a_refusal_over_http_waits_for_no_body(keyed: Keyed, path: str) -> None:
    host, port = keyed.server.url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"

    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("key", "code"),
    [*((key, grpc.StatusCode.UNAUTHENTICATED) for key in WRONG), ("read", grpc.StatusCode.PERMISSION_DENIED)],
)
def test_a_grpc_call_is_refused_before_its_message_is_read(keyed: Keyed, key: str, code: grpc.StatusCode) -> None:
    answered = threading.Event()

    def late() -> Iterator[bytes]:
        # The answer must come although the client has sent nothing yet.
        answered.wait(10)
        yield SPAN

    metadata = (("authorization", f"Bearer {keyed.keys[key]}"),) if keyed.keys[key] else ()
    with grpc_channel(keyed.server.grpc) as channel:
        call = channel.stream_unary(EXPORT).future(late(), timeout=5, metadata=metadata)
        with pytest.raises(grpc.RpcError) as caught:
            call.result()
        answered.set()

    assert caught.value.code() is code
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    assert Status.FromString(details).code == code.value[0]


@pytest.mark.parametrize("service", [signal.service for signal in SIGNALS])
def test_no_otlp_service_over_grpc_answers_without_a_key(keyed: Keyed, service: str) -> None:
    with grpc_channel(keyed.server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{service}/Export")(b"", timeout=10)

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_opentelemetrys_exporters_send_their_key_in_either_header(keyed: Keyed, transport: str, header: str) -> None:
    key = keyed.keys["ingest"]
    headers = {header: f"Bearer {key}" if header == "authorization" else key}
    exporter: SpanExporter = (
        HttpExporter(endpoint=f"{keyed.server.url}/v1/traces", headers=headers)
        if transport == "http"
        else GrpcExporter(endpoint=keyed.server.grpc, insecure=True, headers=headers)
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    name = f"{transport} {header}"

    provider.get_tracer("tests").start_span(name).end()
    provider.shutdown()

    statement = {"query": f"SELECT project, count(*) FROM spans WHERE name = '{name}' GROUP BY 1"}
    assert keyed.ask("POST", "/sql", "read", json=statement).json()["rows"] == [["web", 1]]


def test_a_web_page_is_let_in_by_its_key_alone(keyed: Keyed) -> None:
    headers = {"Authorization": f"Bearer {keyed.keys['read']}", "Origin": "https://example.com", "Host": "example.com"}

    assert keyed.http.get("/experiments", headers=headers).status_code == 200


def until(is_so: Callable[[], bool], timeout_s: float = SEEN_S_MAX) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {timeout_s} s"
        time.sleep(0.02)


def http_status(server: ServerProcess, key: str = "", path: str = "/configs") -> int:
    return server.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})[0]


def grpc_code(server: ServerProcess, key: str, **options: Any) -> grpc.StatusCode:
    with grpc_channel(server.grpc) as channel:
        try:
            export_bytes(channel, SPAN, metadata=(("x-api-key", key),), **options)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def test_a_key_that_is_made_and_revoked_while_the_server_runs_counts_soon(server: ServerProcess) -> None:
    assert http_status(server) == 200

    key = create_key(server.data_dir)
    until(lambda: http_status(server) == 401)
    assert (http_status(server, key), grpc_code(server, key)) == (200, grpc.StatusCode.OK)

    revoke_key(server.data_dir, key)
    until(lambda: http_status(server, key) == 401)
    # Both ports ask the same keys.
    assert grpc_code(server, key) is grpc.StatusCode.UNAUTHENTICATED
    assert http_status(server) == 401


def test_a_server_whose_keys_are_all_revoked_starts_shut(tmp_path: Path) -> None:
    key = create_key(tmp_path / "data")
    revoke_key(tmp_path / "data", key)
    server = ServerProcess(tmp_path / "data").start()

    try:
        assert [http_status(server, sent) for sent in ("", key)] == [401, 401]
        other = create_key(tmp_path / "data")
        until(lambda: http_status(server, other) == 200)
    finally:
        server.stop()


def test_with_a_key_a_server_may_listen_to_other_machines(tmp_path: Path) -> None:
    key = create_key(tmp_path / "data")
    server = ServerProcess(tmp_path / "data", "--http", "0.0.0.0:0", "--grpc", "0.0.0.0:0").start()
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    server.grpc = server.grpc.replace("0.0.0.0", "127.0.0.1")

    try:
        assert [http_status(server, sent) for sent in ("", key)] == [401, 200]
        assert grpc_code(server, key) is grpc.StatusCode.OK
        assert grpc_code(server, "any") is grpc.StatusCode.UNAUTHENTICATED
    finally:
        server.stop()


def test_beyond_its_rate_a_key_is_told_when_to_try_again_on_both_ports(tmp_path: Path) -> None:
    key = create_key(tmp_path / "data", "web", "ingest", rates=Rates(requests_per_s=0.01))
    server = ServerProcess(tmp_path / "data").start()
    body, headers = SPAN, {"Authorization": f"Bearer {key}", "Content-Type": "application/x-protobuf"}

    try:
        assert server.request("POST", "/v1/traces", body, headers)[0] == 200
        status, answered, content = server.request("POST", "/v1/traces", body, headers)
        with grpc_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
            export_bytes(channel, SPAN, metadata=(("x-api-key", key),))
    finally:
        server.stop()

    assert (status, Status.FromString(content).code) == (503, 14)
    assert 60 <= int(answered["retry-after"]) <= 100
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    hint = RetryInfo()
    details = Status.FromString(dict(caught.value.trailing_metadata())["grpc-status-details-bin"])
    assert details.details[0].Unpack(hint)
    assert 60 <= hint.retry_delay.seconds <= 100


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_the_bytes_of_bodies_count_against_a_keys_rate(tmp_path: Path, transport: str) -> None:
    key = create_key(tmp_path / "data", "web", "ingest", rates=Rates(bytes_per_s=100))
    server = ServerProcess(tmp_path / "data").start()
    large = export_request([span("x" * 10_000)]).SerializeToString()

    try:
        if transport == "http":
            headers = {"X-API-Key": key, "Content-Type": "application/x-protobuf"}
            statuses: list[object] = [server.request("POST", "/v1/traces", large, headers)[0] for _ in range(2)]
        else:
            with grpc_channel(server.grpc) as channel:
                export_bytes(channel, large, metadata=(("x-api-key", key),))
            statuses = [200, {grpc.StatusCode.UNAVAILABLE: 503}[grpc_code(server, key)]]
    finally:
        server.stop()

    assert statuses == [200, 503]


def test_a_wrong_key_reaches_no_row_and_no_log(keyed: Keyed) -> None:
    marked = "fallom_111111111111_marked"
    trace = flat_trace("config", "unauthenticated")

    headers = {"Authorization": f"Bearer {marked}"}
    answer = keyed.http.post("/v1/traces", json=trace, headers=headers)

    assert answer.status_code == 401
    assert marked not in answer.text
    assert marked not in keyed.server.log()
    assert keyed.keys["admin"] not in keyed.server.log()
    query = {"query": "SELECT count(*) FROM spans WHERE session_id = 'unauthenticated'"}
    assert keyed.ask("POST", "/sql", "read", json=query).json()["rows"] == [[0]]
