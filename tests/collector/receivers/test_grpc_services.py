"""Health and reflection on the gRPC port: what they tell, and that nobody can keep the others from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from collector.receivers import grpc_services
from collector.receivers.grpc_services import GrpcHealth, GrpcReflection

CHECK = "/grpc.health.v1.Health/Check"
TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
STATUS = health_pb2.HealthCheckResponse
Code = grpc.StatusCode


def with_server(use: Callable[[GrpcHealth, grpc.aio.Channel], Awaitable[None]]) -> None:
    """Run ``use`` with a server that serves, and a channel to it."""

    async def run() -> None:
        server = grpc.aio.server()
        health = GrpcHealth((TRACES,))
        server.add_generic_rpc_handlers((health.handler(), GrpcReflection((TRACES,)).handler()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        health.set(is_serving=True)
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]
        try:
            async with asyncio.timeout(20), grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
                await use(health, channel)
        finally:
            await server.stop(None)

    asyncio.run(run())


async def code_of(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


def request(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


def test_a_watcher_is_told_each_change_and_let_go_at_the_end() -> None:
    async def use(health: GrpcHealth, channel: grpc.aio.Channel) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        watching, unknown = stub.Watch(request(TRACES)), stub.Watch(request("unknown"))
        told = [(await watching.read()).status]
        assert (await unknown.read()).status == STATUS.SERVICE_UNKNOWN
        for is_serving in (False, True):
            health.set(is_serving=is_serving)
            told.append((await watching.read()).status)
        health.stop()
        told.append((await watching.read()).status)

        assert told == [STATUS.SERVING, STATUS.NOT_SERVING, STATUS.SERVING, STATUS.NOT_SERVING]
        assert await watching.read() is grpc.aio.EOF
        assert await unknown.read() is grpc.aio.EOF

    with_server(use)


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", bytes(1_000_000)])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    async def use(_: GrpcHealth, channel: grpc.aio.Channel) -> None:
        assert await code_of(channel.unary_unary(CHECK)(body)) is Code.INVALID_ARGUMENT

    with_server(use)


def test_who_sends_no_message_keeps_the_others_waiting_for_a_moment_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_services, "READ_S_MAX", 0.2)

    async def use(_: GrpcHealth, channel: grpc.aio.Channel) -> None:
        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.sleep(10)
            yield b""

        slow = [channel.stream_unary(CHECK)(nothing()) for _ in range(8)]
        await asyncio.sleep(0.05)

        answer = await health_pb2_grpc.HealthStub(channel).Check(request())

        assert answer.status == STATUS.SERVING
        assert [await code_of(call) for call in slow] == [Code.INVALID_ARGUMENT] * 8

    with_server(use)


def test_calls_and_watchers_beyond_their_limits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_services, "WATCHERS_MAX", 2)

    async def use(_: GrpcHealth, channel: grpc.aio.Channel) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        watching = [stub.Watch(request()) for _ in range(2)]
        for call in watching:
            await call.read()

        assert await code_of(stub.Watch(request()).read()) is Code.RESOURCE_EXHAUSTED
        watching[0].cancel()
        await asyncio.sleep(0.1)
        assert (await stub.Watch(request()).read()).status == STATUS.SERVING
        monkeypatch.setattr(grpc_services, "CALLS_MAX", 0)
        assert await code_of(stub.Check(request())) is Code.RESOURCE_EXHAUSTED

    with_server(use)


def test_reflection_answers_a_few_at_a_time_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_services, "REFLECTION_S_MAX", 0.5)

    async def use(_: GrpcHealth, channel: grpc.aio.Channel) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        calls = [stub.ServerReflectionInfo() for _ in range(grpc_services.REFLECTIONS_MAX)]
        for call in calls:
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            services = (await call.read()).list_services_response.service
            assert TRACES in {service.name for service in services}

        assert await code_of(stub.ServerReflectionInfo().read()) is Code.RESOURCE_EXHAUSTED
        assert [await code_of(call.read()) for call in calls] == [Code.DEADLINE_EXCEEDED] * len(calls)

    with_server(use)
