"""``grpc.health.v1`` on the OTLP port: SERVING while the server is ready.

The messages and the registration are grpcio-health-checking's; its servicer is not used, since it writes to its
watchers under a lock, so that one who reads nothing would keep all others, and the server, from the news.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE = "grpc.health.v1.Health"
WATCHERS_MAX = 1000

_Response = health_pb2.HealthCheckResponse


class GrpcHealth(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Tells whether the services are served; ``""`` stands for all. For one event loop."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._is_serving = False
        self._is_stopped = False
        self._changed = asyncio.Event()
        self._watchers = 0

    def set(self, *, is_serving: bool) -> None:
        """Tell all who watch."""
        self._is_serving = is_serving and not self._is_stopped
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Tell all who watch that nothing is served any more, and let them go: they would hold up the drain."""
        self._is_stopped = True
        self.set(is_serving=False)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Answer once."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service; the empty name stands for all")
        return _Response(status=self._status(request.service))

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Answer for all services."""
        return health_pb2.HealthListResponse(
            statuses={name: _Response(status=self._status(name)) for name in self._services}
        )

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer now and at each change."""
        if self._watchers >= WATCHERS_MAX:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS_MAX} watch already, the limit")
        self._watchers += 1
        try:
            told = None
            while True:
                changed = self._changed
                status = self._status(request.service)
                if status != told:
                    yield _Response(status=status)
                    told = status
                if self._is_stopped:
                    return
                if changed is self._changed:
                    await changed.wait()
        finally:
            self._watchers -= 1

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(_Response.SERVICE_UNKNOWN)
        return int(_Response.SERVING if self._is_serving else _Response.NOT_SERVING)
