"""The parts of one server, and the one HTTP application over them."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from analytics import evaluations as evaluation_runs
from analytics.api import (
    alerts,
    assign,
    backups,
    compare,
    customers,
    datasets,
    errors,
    evaluations,
    experiment_end,
    experiment_sessions,
    experiments,
    export,
    live,
    management,
    ofrep,
    registry,
    reprice,
    rollouts,
    sql,
    timeseries,
    traces,
)
from analytics.api.managed import PATHS
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.result_keeper import ResultKeeper
from analytics.experiments.session_labels import session_labels
from analytics.traces.live import LiveFeed
from collector import debug, prometheus
from collector.admission import Admission
from collector.decoders import decoders
from collector.exporters.lake import LakeExporter
from collector.exporters.otlp_forward import Forwarding
from collector.http_body import BodyReader
from collector.pipeline import Pipeline
from collector.processors.overrides import ProjectOverrides
from collector.prometheus import PipelineMetrics
from collector.receivers import evaluations_http, fallom_http, otlp_http
from collector.receivers.http_paths import Handler, HttpPaths
from collector.receivers.otlp_grpc import OtlpGrpcReceiver
from collector.recompute import Recompute
from collector.replies import Replies
from collector.warm_up import COMPILING_S, is_compiled, warm_up
from collector.window import SpanWindow
from schemas.spans import SPANS
from server.alerting import Alerting
from server.backup import backup, left_out
from server.body_limits import BodyLimits
from server.cors import Cors
from server.dataset_privacy import DatasetPrivacy
from server.dataset_retention import dataset_retention
from server.doors import reachable
from server.forget import forget
from server.front import Front
from server.guard import LocalGuard
from server.http_protocol import HttpLimits
from server.kept import recent_others
from server.key_guard import KeyGuard
from server.key_ring import BUSY_TIMEOUT_MS, KeyRing
from server.openapi import describe_all
from server.privacy import identifier, privacy_of
from server.readiness import Readiness
from server.recorder import ExposureRecorder
from server.registry_place import registry_url_of
from server.reprice import reprice as reprice_calls
from server.settings import ServerSettings
from server.tls import tls_of
from storage import sql as statements
from storage.data_directory import DataDirectory
from storage.datasets.datasets import Datasets
from storage.engines.duckdb import DuckDBEngine
from storage.engines.sandbox.request import Limits
from storage.engines.trace_sums import TraceSums
from storage.errors import StorageError
from storage.hot import HotRows
from storage.lake import Lake
from storage.recent_spans import recent_spans
from storage.registry.api_keys import ApiKeys, Rates
from storage.registry.document import DOCUMENT_BYTES_MAX
from storage.registry.known_configs import KnownConfigs
from storage.registry.registry import Registry
from storage.registry.result_snapshots import ResultSnapshots
from storage.registry.rollout_keeper import RolloutKeeper
from storage.upkeep.repricing import Repriced
from storage.upkeep.upkeep import Upkeep

VERSION = "0.1.0"
CLOCK_AHEAD_US_MAX = 86_400_000_000
logger = logging.getLogger("fallom")


class Parts:
    """The parts of one server, made in the order of their dependencies and stopped in the reverse order."""

    def __init__(self, settings: ServerSettings, data: DataDirectory) -> None:
        self._data = data
        self.drain_notice_s = settings.drain_notice_s
        self._open_registry(settings, data)
        self._open_tables(settings, data)
        self._make_pipeline(settings, data)
        self._make_doors(settings)

    def _open_registry(self, settings: ServerSettings, data: DataDirectory) -> None:
        registry_url = registry_url_of(data, settings.registry_url)
        self.registry = Registry(registry_url)
        self.rollouts = RolloutKeeper(self.registry)
        self.datasets = Datasets(registry_url)
        self.configs = KnownConfigs(self.registry)
        self.keys = KeyRing(
            ApiKeys(registry_url, busy_timeout_ms=BUSY_TIMEOUT_MS),
            rates=Rates(settings.key_requests_per_s, settings.key_bytes_per_s),
            may_be_open=not reachable(settings),
        )

    def _open_tables(self, settings: ServerSettings, data: DataDirectory) -> None:
        lake = Lake(data.lake)
        writer_id = data.writer_id()
        sums = TraceSums(data.lake / SPANS.name)
        self.engine = DuckDBEngine(lake, HotRows(data.log, lake, writer_id), trace_sums=sums)
        self.engine.users.labels_of = partial(session_labels, self.engine, self.registry)
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
            recent_others=recent_others(self.engine, settings),
        )
        self.forwarding = Forwarding(
            settings.forward, data.forward, writer_id, disk_free_bytes_min=settings.disk_free_bytes_min
        )
        if settings.forward:
            self.exporter.on_sealed(self.forwarding.keep)
        self.results = KeptResults(self.engine)
        self.snapshots = ResultSnapshots(self.registry, writer_id)
        self.alerting = Alerting(settings, self.registry, writer_id)
        self.result_keeper = ResultKeeper(
            self.engine,
            self.registry,
            self.results,
            self.snapshots,
            interval_s=settings.snapshot_interval_s,
            watcher=self.alerting.raiser,
            watch_interval_s=settings.alert_interval_s,
        )
        self.live = LiveFeed(self.engine)
        self.exporter.on_stored = self.live.offer
        self.upkeep = Upkeep(
            lake,
            retention_days=settings.retention_days,
            content_retention_days=settings.content_retention_days,
            also=dataset_retention(self.datasets, settings),
        )

    def _make_pipeline(self, settings: ServerSettings, data: DataDirectory) -> None:
        self.privacy = privacy_of(settings, data)
        self.pipeline = Pipeline(
            self.exporter,
            newest_receipt=lambda: newest_receipt(self.engine),
            privacy=self.privacy,
            decoders=decoders(keep_logs=settings.keep_logs, keep_metrics=settings.keep_metrics),
            recompute=Recompute(self.configs),
            overrides_of=ProjectOverrides(self.registry),
        )
        self.admission = Admission(settings.in_flight_bytes_max)
        self.replies = Replies(self.pipeline)
        self.record = ExposureRecorder(self.replies, self.admission)

    def _make_doors(self, settings: ServerSettings) -> None:
        self.tls = tls_of(settings)
        self.grpc = OtlpGrpcReceiver(
            self.replies,
            self.admission,
            settings.grpc,
            access=self.keys,
            body_bytes_max=settings.body_bytes_max,
            credentials=self.tls and self.tls.grpc_credentials(),
        )
        self.readiness = Readiness(self.exporter.obstacles, warnings=self._warnings)
        self.metrics = PipelineMetrics(
            self.exporter,
            self.pipeline.counts,
            self.admission,
            version=VERSION,
            keys=self.keys,
            not_ready=self.readiness.reasons,
            forwarding=self.forwarding.statuses,
        )
        self._make_http(settings)

    def _make_http(self, settings: ServerSettings) -> None:
        app = application(self, settings)
        count = partial(self.admission.count_refusal, "http")
        keyless = LocalGuard(app, settings.allowed_hosts, settings.cors_origins, on_refusal=count)
        self.app = KeyGuard(app, self.keys, keyless=keyless, on_refusal=count)
        # Before the guard: a preflight request bears no key.
        allowed: ASGIApp = Cors(self.app, settings.cors_origins) if settings.cors_origins else self.app
        self.front = Front(allowed, self.readiness)
        self.http_limits = HttpLimits(
            head_timeout_s=settings.http_head_timeout_s,
            body_timeout_s=settings.http_body_timeout_s,
            body_bytes_per_s_min=settings.http_body_bytes_per_s_min,
            body_bytes_max=settings.body_bytes_max,
            connections_max=settings.http_connections_max,
        )

    def start(self) -> None:
        """Load or make what is compiled, take over the log, begin to take requests."""
        if not is_compiled():
            logger.info("compiling the decoder: about %d s, the first time only", COMPILING_S)
        warm_up()
        # Ready before the first statement is asked.
        self.engine.users.start()
        self.keys.start()
        self.registry.follow()
        self.rollouts.start()
        self.forwarding.start()
        self.exporter.start()
        self.pipeline.start()
        self.upkeep.start()
        self.result_keeper.start()
        self.alerting.start()

    def forget(self, project: str, customer_id: str, progress: Callable[[str], None]) -> Mapping[str, int]:
        """Remove a customer's rows, also those that are not committed yet; return how many of each table."""
        # Where there are projects, a file that holds an id may be another one's: that is for the server's owner alone.
        tell_damaged = None if self.keys.is_open else logger.warning
        return forget(
            self.exporter,
            self.upkeep,
            self.datasets,
            self.engine,
            self._data,
            project,
            customer_id,
            progress,
            tell_damaged=tell_damaged,
            privacy=self.privacy,
        )

    def reprice(self, project: str, since: date, is_dry: bool, progress: Callable[[str, float], None]) -> Repriced:
        """Price a project's calls of a day and later anew, also those that are not committed yet."""
        return reprice_calls(self.exporter, self.upkeep, self.registry, project, since, progress, is_dry=is_dry)

    def backup(self) -> Path:
        """Return the folder of a new backup of the data directory."""
        return backup(self.exporter, self.upkeep, self.registry, self._data)

    def _warnings(self) -> tuple[str, ...]:
        return (*self.exporter.warnings(), *self.forwarding.warnings(), *self.keys.warnings())

    def status(self) -> dict[str, Any]:
        """Return where all rows are, and how many items were taken of kinds that are not kept."""
        return {**self.exporter.status(), "dropped": dict(+self.pipeline.dropped)}

    def stop(self) -> None:
        """Answer what was taken, commit it, close; each step is taken, whatever befalls the others."""
        steps = (
            self.readiness.stop,
            self.live.close,
            self.results.close,
            self.result_keeper.stop,
            self.alerting.stop,
            self.pipeline.stop,
            self.upkeep.stop,
            self.exporter.stop,
            self.forwarding.stop,
            self.engine.close,
            self.keys.stop,
            self.rollouts.stop,
            self.registry.close,
            self.datasets.close,
        )
        for step in steps:
            try:
                step()
            except Exception:
                logger.exception("a part could not be stopped as it should")


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
    app.include_router(rollouts.router(parts.registry))
    app.include_router(experiment_end.router(parts.registry))
    app.include_router(alerts.router(parts.alerting.outbox, parts.alerting.test))
    app.include_router(management.router(parts.registry))
    app.include_router(assign.router(parts.configs, parts.record))
    app.include_router(ofrep.router(parts.configs, parts.record))
    of_results = (parts.engine, parts.registry, parts.results, parts.snapshots)
    app.include_router(experiments.router(*of_results))
    app.include_router(timeseries.router(*of_results))
    app.include_router(experiment_sessions.router(parts.engine, parts.registry))
    app.include_router(compare.router(parts.engine, partial(identifier, parts.privacy)))
    # Before the paths of traces, of which one has a trace's id where this one has its name.
    app.include_router(live.router(parts.live, parts.registry, partial(identifier, parts.privacy)))
    app.include_router(export.router(parts.engine, parts.registry, partial(identifier, parts.privacy)))
    app.include_router(traces.router(parts.engine, parts.registry, partial(identifier, parts.privacy)))
    bodies = BodyReader(settings.body_bytes_max)
    upload = evaluation_receiver(parts, bodies)
    app.include_router(evaluations.router(parts.engine, upload))
    app.include_router(datasets.router(dataset_parts(parts, settings)))
    app.include_router(customers.router(parts.forget))
    app.include_router(reprice.router(parts.reprice))
    app.include_router(backups.router(parts.backup, left_out=left_out(parts.registry)))
    app.include_router(
        sql.router(
            parts.engine,
            Limits(
                settings.sql_timeout_s, settings.sql_rows_max, settings.sql_bytes_max, settings.sql_memory_bytes_max
            ),
        )
    )
    errors.install(app)
    describe_all(app)
    return with_receivers(app, parts, bodies, upload)


def with_receivers(app: FastAPI, parts: Parts, bodies: BodyReader, upload: Handler) -> ASGIApp:
    """Return the application with the receivers before it, and a limit of the bodies that reach it."""
    return HttpPaths(
        BodyLimits(
            app,
            parts.admission,
            {
                "/apply": DOCUMENT_BYTES_MAX,
                "/api/datasets/": datasets.BODY_BYTES_MAX,
                **{f"/api/{path}/": DOCUMENT_BYTES_MAX for path in PATHS.values()},
            },
        ),
        {
            **otlp_http.handlers(parts.replies, parts.admission, bodies),
            "/api/sdk-evals": upload,
            **fallom_http.handlers(parts.replies, parts.admission, bodies, parts.registry.knows_config),
        },
        otlp_http.PREFIX,
        otlp_http.wrong_path,
        otlp_http.wrong_method,
        shared={"/sessions": frozenset({"GET"})},
    )


def evaluation_receiver(parts: Parts, bodies: BodyReader) -> Handler:
    """Return what takes runs of evaluations."""
    return evaluations_http.handler(
        parts.replies,
        parts.admission,
        bodies,
        stored_in=lambda project, run_id: evaluation_runs.stored_in(parts.engine, project, run_id),
        keyed_hash=lambda project, text: text if parts.privacy is None else parts.privacy.hashed(project, text),
    )


def dataset_parts(parts: Parts, settings: ServerSettings) -> datasets.DatasetParts:
    """Return what the routes of datasets work with."""
    return datasets.DatasetParts(
        parts.datasets,
        parts.engine,
        DatasetPrivacy(parts.privacy),
        settings.sql_timeout_s,
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
