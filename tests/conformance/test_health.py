"""Point 17: health, and the description of the services."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from client_messages import TIMEOUT_S, grpc_channel, http_client
from conformance.doors import GRPC, SIGNALS, TRACES, GrpcDoor, Target
from conformance.points import point
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from keyed_server import create_key
from server_process import ServerProcess

pytestmark = [pytest.mark.e2e, point(17)]
over_grpc = pytest.mark.parametrize("door", [GRPC], ids=lambda door: door.name)
SERVICES = [f"opentelemetry.proto.collector.{found.service}" for found in SIGNALS]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def check(address: str, service: str = "") -> int:
    with grpc_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S).status)


@over_grpc
def test_each_service_and_the_server_are_serving(target: Target, door: GrpcDoor) -> None:
    assert [check(target.grpc, service) for service in ("", *SERVICES)] == [SERVING] * 4


@over_grpc
def test_a_service_that_there_is_not_is_not_found(target: Target, door: GrpcDoor) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(target.grpc, "nothing.v1.Nothing")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@over_grpc
def test_reflection_describes_each_service_and_its_messages(target: Target, door: GrpcDoor) -> None:
    with grpc_channel(target.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        listed = set(database.get_services())
        described = [database.FindFileContainingSymbol(service).service[0] for service in SERVICES]

    assert {*SERVICES, "grpc.health.v1.Health"} <= listed
    assert [[method.name for method in service.method] for service in described] == [["Export"]] * 3


def test_it_says_that_it_is_alive_and_ready(target: Target) -> None:
    with http_client(target.http) as client:
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.fixture(scope="module")
def keyed(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of ours with a key."""
    if not target.is_ours:
        pytest.skip("another server's keys are not known")
    data_dir = tmp_path_factory.mktemp("keyed") / "data"
    create_key(data_dir)
    server = ServerProcess(data_dir).start()
    yield server
    server.stop()


@pytest.fixture
def draining(target: Target, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of ours that was told to end."""
    if not target.is_ours:
        pytest.skip("another server can't be told to end")
    server = ServerProcess(tmp_path / "data", "--drain-notice-s", "10").start()
    server.send_signal(signal.SIGTERM)
    yield server
    server.stop()


def test_health_needs_no_key(keyed: ServerProcess) -> None:
    assert [keyed.request("GET", path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 401]


@over_grpc
def test_health_over_grpc_needs_no_key(keyed: ServerProcess, door: GrpcDoor) -> None:
    answer = door.send(Target(keyed.url, keyed.grpc, is_ours=True, sql=keyed.sql), b"", TRACES)

    assert (answer.code, check(keyed.grpc)) == ("UNAUTHENTICATED", SERVING)


def test_while_it_drains_it_is_alive_and_not_ready(draining: ServerProcess) -> None:
    deadline_s = time.monotonic() + 8
    while draining.get("/readyz")[0] != 503:
        assert time.monotonic() < deadline_s

    assert draining.get("/healthz")[0] == 200


@over_grpc
def test_while_it_drains_it_is_not_serving(draining: ServerProcess, door: GrpcDoor) -> None:
    deadline_s = time.monotonic() + 8
    while check(draining.grpc) != NOT_SERVING:
        assert time.monotonic() < deadline_s
