"""What stands beside OTLP on its gRPC port, without a key: ``grpc.health.v1``, SERVING while the server is ready, and
reflection.

grpcio would read a request of theirs, up to the largest that OTLP may send, before it asks anybody. So these are
handlers of streams, as the receiver's is: of all that are called only a few are read at a time.

The messages are grpcio-health-checking's; its servicer is not used, since it writes to its watchers under a lock, so
that one who reads nothing would keep all others, and the server, from the news.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE = "grpc.health.v1.Health"
CALLS_MAX = 256
WATCHERS_MAX = 1000
READS_MAX = 4
# A client that stops in the middle of its message must not keep its place.
READ_S_MAX = 2.0
REQUEST_BYTES_MAX = 4096
REFLECTIONS_MAX = 4
REFLECTION_S_MAX = 30.0

_Response = health_pb2.HealthCheckResponse
_Code = grpc.StatusCode
_STOPPED = (_Code.UNAVAILABLE, "the server is shutting down: try again")


class GrpcHealth:
    """Tells whether the services are served; ``""`` stands for all. For one event loop."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._is_serving = False
        self._is_stopped = False
        self._changed = asyncio.Event()
        self._reads = asyncio.Semaphore(READS_MAX)
        self._calls = 0
        self._watchers = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what answers the protocol's calls."""
        serialize = _Response.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.stream_unary_rpc_method_handler(self._check, response_serializer=serialize),
                "List": grpc.stream_unary_rpc_method_handler(
                    self._list, response_serializer=health_pb2.HealthListResponse.SerializeToString
                ),
                "Watch": grpc.stream_stream_rpc_method_handler(self._watch, response_serializer=serialize),
            },
        )

    def set(self, *, is_serving: bool) -> None:
        """Tell all who watch."""
        self._is_serving = is_serving and not self._is_stopped
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Tell all who watch that nothing is served any more, and let them go: they would hold up the drain."""
        self._is_stopped = True
        self.set(is_serving=False)

    async def _check(self, _: object, call: Any) -> Any:
        service = await self._service(call, health_pb2.HealthCheckRequest)
        if service not in self._services:
            await call.abort(_Code.NOT_FOUND, "no such service; the empty name stands for all")
        return _Response(status=self._status(service))

    async def _list(self, _: object, call: Any) -> Any:
        await self._service(call, health_pb2.HealthListRequest)
        return health_pb2.HealthListResponse(
            statuses={name: _Response(status=self._status(name)) for name in self._services}
        )

    async def _watch(self, _: object, call: Any) -> None:
        service = await self._service(call, health_pb2.HealthCheckRequest)
        if self._watchers >= WATCHERS_MAX:
            await call.abort(_Code.RESOURCE_EXHAUSTED, f"{WATCHERS_MAX} watch already, the limit")
        self._watchers += 1
        try:
            told = None
            while True:
                # All of one moment: while it is written, another change may come.
                changed, is_last = self._changed, self._is_stopped
                status = self._status(service)
                if status != told:
                    await call.write(_Response(status=status))
                    told = status
                if is_last:
                    return
                await changed.wait()
        finally:
            self._watchers -= 1

    async def _service(self, call: Any, kind: Any) -> str:
        """Return the service that a request names; a request that names none asks for all. Aborts on what is none."""
        if self._calls >= CALLS_MAX:
            await call.abort(_Code.RESOURCE_EXHAUSTED, f"{CALLS_MAX} calls are under way, the limit: try again")
        self._calls += 1
        try:
            message = await self._read(call)
        except TimeoutError:
            message = None
        finally:
            self._calls -= 1
        if not isinstance(message, bytes) or len(message) > REQUEST_BYTES_MAX:
            await call.abort(_Code.INVALID_ARGUMENT, f"a message of at most {REQUEST_BYTES_MAX} bytes expected")
        try:
            request = kind.FromString(message)
        except DecodeError:
            await call.abort(_Code.INVALID_ARGUMENT, f"a {kind.DESCRIPTOR.name} expected")
        return getattr(request, "service", "")

    async def _read(self, call: Any) -> object:
        async with self._reads, asyncio.timeout(READ_S_MAX):
            return await call.read()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_Response.SERVICE_UNKNOWN)
        return int(_Response.SERVING if self._is_serving else _Response.NOT_SERVING)


class GrpcReflection:
    """Describes the services to who asks, a few at a time, for as long as a person's tool needs."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = reflection.aio.ReflectionServicer((*services, SERVICE, reflection.SERVICE_NAME))
        self._limits: set[asyncio.Timeout] = set()
        self._is_stopped = False

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what answers the protocol's call."""
        method = grpc.stream_stream_rpc_method_handler(
            self._describe,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {"ServerReflectionInfo": method})

    def stop(self) -> None:
        """Let all who ask go: they would hold up the drain."""
        self._is_stopped = True
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())

    async def _describe(self, requests: AsyncIterator[Any], call: Any) -> AsyncIterator[Any]:
        if self._is_stopped:
            await call.abort(*_STOPPED)
        if len(self._limits) >= REFLECTIONS_MAX:
            await call.abort(_Code.RESOURCE_EXHAUSTED, f"{REFLECTIONS_MAX} are answered already, the limit: try again")
        limit = asyncio.timeout(REFLECTION_S_MAX)
        self._limits.add(limit)
        try:
            async with limit:
                async for answer in self._servicer.ServerReflectionInfo(requests, call):
                    yield answer
        except TimeoutError:
            if self._is_stopped:
                await call.abort(*_STOPPED)
            await call.abort(_Code.DEADLINE_EXCEEDED, f"a call is answered for {REFLECTION_S_MAX:.0f} s at most")
        finally:
            self._limits.discard(limit)
