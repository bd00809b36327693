"""``fallom-server serve``: opens the data directory and both ports, runs until it is told to stop, drains."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import uvicorn

from server import logs
from server.allocator import keep_freed_memory
from server.descriptors import raise_limit
from server.doors import listening, refuse_open_doors
from server.errors import CommandError
from server.event_loop import EventLoop
from server.http_protocol import LimitedHttpProtocol
from server.parts import Parts
from server.settings import ServerSettings
from storage.data_directory import DataDirectory

DRAIN_S_MAX = 20
_UMASK = 0o027
logger = logging.getLogger("fallom")


def serve(settings: ServerSettings) -> None:
    """Run the server until SIGTERM or SIGINT; return when all that was acknowledged is committed."""
    logs.configure(settings.log_level, settings.log_format)
    data = DataDirectory(settings.data_dir)
    refuse_open_doors(settings, data)
    keep_freed_memory()
    raise_limit()
    # Others than the server's user and group read nothing, also where the data directory was made for all.
    os.umask(os.umask(_UMASK) | _UMASK)
    data.create()
    data.lock()
    with listening(settings.http) as listener:
        parts = Parts(settings, data)
        try:
            with asyncio.Runner(loop_factory=partial(EventLoop, settings.http_head_timeout_s)) as runner:
                runner.run(_run(parts, listener))
        finally:
            parts.stop()
            data.unlock()
    if not parts.exporter.is_drained:
        raise CommandError("stopped, but not all could be committed: the rest is in the log, and is at the next start")
    logger.info("stopped; all that was acknowledged is committed")


class _HttpServer(uvicorn.Server):
    """Uvicorn, without its own signal handlers: the drain here has more to do than close a port."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(parts: Parts, listener: socket.socket) -> None:
    tls = parts.tls
    config = uvicorn.Config(
        parts.front,
        http=LimitedHttpProtocol.limited(parts.http_limits),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_S_MAX,
        lifespan="off",
        ws="none",
        ssl_context_factory=(lambda _, __: tls.context(parts.http_limits.connections_max)) if tls else None,
    )
    http = _HttpServer(config)
    asyncio.get_running_loop().set_exception_handler(logs.log_loop_error)
    # While the parts start, health is answered, and that the server is starting.
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        await asyncio.to_thread(parts.start)
        await _open(parts)
        # What is there by now stays: the collector of cycles need not look at it ever again.
        gc.freeze()
        await _serve(parts, http, serving, listener)
    finally:
        await parts.grpc.stop()
        http.should_exit = True
        await serving


async def _open(parts: Parts) -> None:
    """Let requests through, and tell gRPC's clients whether the server is ready, now and at each change."""
    loop = asyncio.get_running_loop()

    def tell(is_ready: bool) -> None:
        # A loop that is closed has nobody left who asks.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: parts.grpc.health.set(is_serving=is_ready))

    parts.readiness.on_change(tell)
    await parts.grpc.start()
    parts.front.open()
    await asyncio.to_thread(parts.readiness.start)


async def _serve(parts: Parts, http: uvicorn.Server, serving: "asyncio.Task[None]", listener: socket.socket) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Only now: a server that is told to end while it starts may end at once, since a crash is a replay.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    while not http.started and not serving.done():
        await asyncio.sleep(0.005)
    if http.started:
        _announce(parts, listener)
        ending = asyncio.create_task(stopping.wait())
        await asyncio.wait({ending, serving}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        parts.readiness.drain()
        await asyncio.sleep(parts.drain_notice_s)
        logger.info("stopping: no new requests; answering those that are in")
        # Who listens would keep the port open.
        parts.live.close()
        http.should_exit = True
        stopping_grpc = asyncio.create_task(parts.grpc.stop())
        while not serving.done():
            parts.engine.interrupt()
            await asyncio.wait({serving}, timeout=0.1)
        await stopping_grpc
    await serving


def _announce(parts: Parts, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if parts.tls else "http"
    print(f"ready http={scheme}://{host}:{port} grpc={parts.grpc.address}", flush=True)  # noqa: T201 - the contract's line
