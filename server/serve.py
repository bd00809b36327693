"""``fallom-server serve``: opens the data directory and both ports, runs until it is told to stop, drains."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp

from analytics.api import backups, customers, errors, experiments, registry, sql, traces
from collector import debug, prometheus
from collector.admission import Admission
from collector.exporters.lake import LakeExporter
from collector.http_body import BodyReader
from collector.pipeline import Pipeline
from collector.prometheus import PipelineMetrics
from collector.receivers import fallom_http, otlp_http
from collector.receivers.http_paths import HttpPaths
from collector.receivers.otlp_grpc import OtlpGrpcReceiver
from collector.replies import Replies
from collector.warm_up import COMPILING_S, is_compiled, warm_up
from collector.window import SpanWindow
from server import logs
from server.allocator import keep_freed_memory
from server.backup import backup
from server.cors import Cors
from server.descriptors import raise_limit
from server.errors import CommandError
from server.forget import forget
from server.front import Front
from server.guard import LocalGuard
from server.http_protocol import HttpLimits, LimitedHttpProtocol
from server.key_guard import KeyGuard
from server.key_ring import KeyRing
from server.privacy import privacy_of
from server.readiness import Readiness
from server.settings import ServerSettings, is_loopback, split_address
from server.tls import tls_of
from storage import sql as statements
from storage.data_directory import DataDirectory
from storage.engines.duckdb import DuckDBEngine
from storage.errors import StorageError
from storage.hot import HotRows
from storage.lake import Lake
from storage.recent_spans import recent_spans
from storage.registry.api_keys import ApiKeys, Rates
from storage.registry.registry import Registry
from storage.upkeep.upkeep import Upkeep

DRAIN_S_MAX = 20
VERSION = "0.1.0"
CLOCK_AHEAD_US_MAX = 86_400_000_000
logger = logging.getLogger("fallom")


class Parts:
    """The parts of one server, made in the order of their dependencies and stopped in the reverse order."""

    def __init__(self, settings: ServerSettings, data: DataDirectory) -> None:
        self._data = data
        self.drain_notice_s = settings.drain_notice_s
        self.registry = Registry(data.registry_url)
        self.keys = KeyRing(
            ApiKeys(data.registry_url),
            rates=Rates(settings.key_requests_per_s, settings.key_bytes_per_s),
            may_be_open=not _reachable(settings),
        )
        lake = Lake(data.lake)
        writer_id = data.writer_id()
        self.engine = DuckDBEngine(lake, HotRows(data.log, lake, writer_id))
        self.exporter = LakeExporter(
            lake,
            data.log,
            writer_id,
            flush_interval_s=settings.flush_interval_s,
            segment_bytes_max=settings.segment_bytes_max,
            log_bytes_max=settings.log_bytes_max,
            disk_free_bytes_min=settings.disk_free_bytes_min,
            window=SpanWindow(settings.dedup_window_spans),
            recent_spans=lambda: recent_spans(self.engine, settings.dedup_window_spans),
        )
        self.upkeep = Upkeep(
            lake, retention_days=settings.retention_days, content_retention_days=settings.content_retention_days
        )
        self._privacy = privacy_of(settings, data)
        self.pipeline = Pipeline(
            self.exporter, newest_receipt=lambda: newest_receipt(self.engine), privacy=self._privacy
        )
        self.admission = Admission(settings.in_flight_bytes_max)
        self.replies = Replies(self.pipeline)
        self.tls = tls_of(settings)
        self.grpc = OtlpGrpcReceiver(
            self.replies,
            self.admission,
            settings.grpc,
            access=self.keys,
            body_bytes_max=settings.body_bytes_max,
            credentials=self.tls and self.tls.grpc_credentials(),
        )
        self.readiness = Readiness(self.exporter.obstacles, warnings=self.exporter.warnings)
        self.metrics = PipelineMetrics(
            self.exporter,
            self.pipeline.counts,
            self.admission,
            version=VERSION,
            not_ready=self.readiness.reasons,
        )
        app = application(self, settings)
        self.app = KeyGuard(
            app,
            self.keys,
            keyless=LocalGuard(app, settings.allowed_hosts, settings.cors_origins),
            on_refusal=lambda error: self.admission.count_refusal("http", error),
        )
        # Before the guard: a preflight request bears no key.
        allowed: ASGIApp = Cors(self.app, settings.cors_origins) if settings.cors_origins else self.app
        self.front = Front(allowed, self.readiness)
        self.http_limits = HttpLimits(
            settings.http_head_timeout_s, settings.http_body_timeout_s, settings.http_connections_max
        )

    def start(self) -> None:
        """Load or make what is compiled, take over the log, begin to take requests."""
        if not is_compiled():
            logger.info("compiling the decoder: about %d s, the first time only", COMPILING_S)
        warm_up()
        self.keys.start()
        self.exporter.start()
        self.pipeline.start()
        self.upkeep.start()

    def forget(self, project: str, customer_id: str, progress: Callable[[str], None]) -> Mapping[str, int]:
        """Remove a customer's rows, also those that are not committed yet; return how many of each table."""
        # Where there are projects, a file that holds an id may be another one's: that is for the server's owner alone.
        tell_damaged = None if self.keys.is_open else logger.warning
        return forget(
            self.exporter,
            self.upkeep,
            self._data,
            project,
            customer_id,
            progress,
            tell_damaged=tell_damaged,
            privacy=self._privacy,
        )

    def backup(self) -> Path:
        """Return the folder of a new backup of the data directory."""
        return backup(self.exporter, self.upkeep, self.registry, self._data)

    def status(self) -> dict[str, Any]:
        """Return where all rows are, and how many items were taken of kinds that are not kept."""
        return {**self.exporter.status(), "dropped": dict(+self.pipeline.dropped)}

    def stop(self) -> None:
        """Answer what was taken, commit it, close; each step is taken, whatever befalls the others."""
        steps = (
            self.readiness.stop,
            self.pipeline.stop,
            self.upkeep.stop,
            self.exporter.stop,
            self.engine.close,
            self.keys.stop,
            self.registry.close,
        )
        for step in steps:
            try:
                step()
            except Exception:
                logger.exception("a part could not be stopped as it should")


def serve(settings: ServerSettings) -> None:
    """Run the server until SIGTERM or SIGINT; return when all that was acknowledged is committed."""
    logs.configure(settings.log_level, settings.log_format)
    data = DataDirectory(settings.data_dir)
    _refuse_open_doors(settings, data)
    keep_freed_memory()
    raise_limit()
    data.create()
    data.lock()
    with _listening(settings.http) as listener:
        parts = Parts(settings, data)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(parts, listener))
        finally:
            parts.stop()
            data.unlock()
    if not parts.exporter.is_drained:
        raise CommandError("stopped, but not all could be committed: the rest is in the log, and is at the next start")
    logger.info("stopped; all that was acknowledged is committed")


def application(parts: Parts, settings: ServerSettings) -> ASGIApp:
    """Return the one HTTP application: receivers, and behind them registry and analytics."""
    app = FastAPI(
        title="Fallom server",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=errors.RESPONSES,
    )
    app.router.routes.extend(debug.routes(parts.status))
    app.router.routes.extend(prometheus.routes(parts.metrics))
    app.include_router(registry.router(parts.registry))
    app.include_router(experiments.router(parts.engine, parts.registry))
    app.include_router(traces.router(parts.engine))
    app.include_router(customers.router(parts.forget))
    app.include_router(backups.router(parts.backup))
    app.include_router(
        sql.router(
            parts.engine,
            timeout_s=settings.sql_timeout_s,
            rows_max=settings.sql_rows_max,
            bytes_max=settings.sql_bytes_max,
        )
    )
    errors.install(app)
    bodies = BodyReader(settings.body_bytes_max)
    return HttpPaths(
        app,
        {
            **otlp_http.handlers(parts.replies, parts.admission, bodies),
            **fallom_http.handlers(parts.replies, parts.admission, bodies, parts.registry.knows_config),
        },
        otlp_http.PREFIX,
        otlp_http.wrong_path,
        otlp_http.wrong_method,
    )


def newest_receipt(engine: DuckDBEngine) -> int:
    """Return the latest receipt that is stored, µs since 1970, so that a clock set back does not age new values."""
    try:
        newest = engine.query(statements.load("newest_receipt"), project=None)["newest"][0].as_py() or 0
    except StorageError:
        logger.exception("the latest receipt can't be read: the clock is trusted")
        return 0
    # A clock that once ran far ahead must not set all times from then on.
    return min(int(newest), time.time_ns() // 1000 + CLOCK_AHEAD_US_MAX)


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
        ssl_context_factory=(lambda _, __: tls.context()) if tls else None,
    )
    http = _HttpServer(config)
    asyncio.get_running_loop().set_exception_handler(logs.log_loop_error)
    # While the parts start, health is answered, and that the server is starting.
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        await asyncio.to_thread(parts.start)
        await _open(parts)
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


def _refuse_open_doors(settings: ServerSettings, data: DataDirectory) -> None:
    reachable = _reachable(settings)
    if reachable and not _has_keys(data):
        raise CommandError(
            f"{reachable} can be reached from other machines, but no API key is defined, so anyone could read and "
            f"write: make one first by `fallom-server keys create --data-dir {data.path}`, or listen on 127.0.0.1"
        )


def _reachable(settings: ServerSettings) -> str:
    """Return the setting and the address that other machines can reach; empty where there is none."""
    addresses = {"http": settings.http, "grpc": settings.grpc}
    found = (f"{name}: {address}" for name, address in addresses.items() if not is_loopback(split_address(address)[0]))
    return next(found, "")


def _has_keys(data: DataDirectory) -> bool:
    if not data.registry_path.is_file():
        return False
    keys = ApiKeys(data.registry_url)
    try:
        return keys.exist()
    finally:
        keys.close()


@contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off, 40 ms an answer, only for sockets whose protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            raise CommandError(f"can't listen on {address} for HTTP: {error.strerror or error}") from error
        yield listener
    finally:
        listener.close()
