"""``GET /metrics``: what the parts count, read when it is asked for, by the Collector's names where it has one.

prometheus-client's own counters take locks and look labels up; the parts count in plain integers instead, and this
makes families of them. ``docs/operations.md`` says what to watch.
"""

import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter, to_thread
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from collector.accounting import RowCounts
from collector.admission import Admission
from collector.committer import CommitStatus
from collector.exporters.lake import LakeStatus, TableDurations
from collector.exporters.otlp_forward import ForwardStatus
from collector.log import LogStatus
from collector.telemetry import Distribution, ReceiverCounts, Source

EXPORTER = "lake"
SCRAPES_MAX = 2
KEY_REASONS = ("unauthenticated", "permission_denied", "rate")
SOURCE = ("receiver", "transport")
_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")


class Exporter(Protocol):
    """What is asked of the exporter."""

    def read_status(self) -> LakeStatus:
        """Return where all rows are, what the log holds, how committing goes."""

    def durations(self) -> dict[str, TableDurations]:
        """Return how long what took."""


class Keys(Protocol):
    """What is asked of what knows the API keys."""

    @property
    def refused(self) -> Counter[str]:
        """Return how many calls were refused, by reason."""

    def warnings(self) -> Sequence[str]:
        """Return why the keys can't be read, where it is so."""


class PipelineMetrics:
    """Makes metric families of what the parts have counted; prometheus-client calls such a thing a collector."""

    def __init__(
        self,
        exporter: Exporter,
        counts: ReceiverCounts,
        admission: Admission,
        *,
        version: str,
        keys: Keys,
        not_ready: Callable[[], Iterable[str]],
        forwarding: Callable[[], Sequence[ForwardStatus]] = tuple,
    ) -> None:
        self._exporter = exporter
        self._counts = counts
        self._admission = admission
        self._version = version
        self._keys = keys
        self._not_ready = not_ready
        self._forwarding = forwarding
        self._started_s = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        status = self._exporter.read_status()
        yield InfoMetricFamily("fallom_server", "The server's version.", {"version": self._version})
        yield _gauge("fallom_ready", "1 while /readyz says ready.", float(not list(self._not_ready())))
        yield from self._receivers()
        yield from self._of_keys()
        forwarded = self._forwarding()
        yield from _exporters([_lake(status), *map(_forward, forwarded)])
        yield from _forwarding(forwarded)
        yield from _rows({table: each.rows for table, each in status.tables.items()})
        yield from _log(status)
        yield from _commits({table: each.commits for table, each in status.tables.items()})
        yield from self._durations()
        yield from self._process()

    def _receivers(self) -> Iterator[Metric]:
        counts = self._counts
        for verb, what, counted in (
            ("accepted", "pushed into the pipeline, and on disk", counts.accepted),
            ("refused", "decoded, but refused since the log could not take them", counts.refused),
            ("failed", "decoded, but lost to an error of the server", counts.failed),
        ):
            yield from _by_kind(verb, what, counted, counts.accepted)
        dropped = CounterMetricFamily(
            "fallom_receiver_dropped_items", "Accepted, but of no kind that is kept.", labels=("kind", *SOURCE)
        )
        for source, count in sorted(counts.dropped.copy().items()):
            dropped.add_metric(source, count)
        yield dropped
        rejected = CounterMetricFamily(
            "fallom_receiver_rejected_spans",
            "Spans rejected alone, while the rest of their request was accepted.",
            labels=(*SOURCE, "reason"),
        )
        for ((_, receiver, transport), reason), count in sorted(counts.rejected.copy().items()):
            rejected.add_metric((receiver, transport, reason), count)
        yield rejected
        refused = CounterMetricFamily(
            "fallom_receiver_refused_requests", "Requests answered with an error.", labels=("transport", "reason")
        )
        for labels, count in sorted(self._admission.refused.copy().items()):
            refused.add_metric(labels, count)
        yield refused
        yield _gauge("fallom_receiver_in_flight_bytes", "Bytes of requests in flight.", self._admission.bytes_in_flight)
        yield _gauge(
            "fallom_receiver_in_flight_bytes_max", "Beyond it requests are refused.", self._admission.bytes_max
        )
        yield _histogram(
            "fallom_acknowledgement_seconds",
            "From a whole request's arrival until its rows are on disk.",
            {(): counts.acknowledgement.read()},
            (),
        )

    def _of_keys(self) -> Iterator[Metric]:
        refused = CounterMetricFamily(
            "fallom_keys_refused", "Calls refused for their API key, of both transports.", labels=("reason",)
        )
        for reason in KEY_REASONS:
            refused.add_metric((reason,), self._keys.refused.get(reason, 0))
        yield refused
        yield _gauge(
            "fallom_keys_unreadable",
            "1 while the API keys can't be read, so that those read before count.",
            float(bool(self._keys.warnings())),
        )

    def _durations(self) -> Iterator[Metric]:
        durations: dict[tuple[str, ...], TableDurations] = {
            (table,): each for table, each in self._exporter.durations().items()
        }
        for name, what, values in (
            ("fallom_log_sync_seconds", "A sync of the log.", {t: each.sync for t, each in durations.items()}),
            ("fallom_commit_seconds", "A commit to the lake.", {t: each.commit for t, each in durations.items()}),
            (
                "fallom_commit_lag_seconds",
                "From a segment's first row to its commit: until other engines see it.",
                {t: each.commit_lag for t, each in durations.items()},
            ),
        ):
            yield _histogram(name, what, values, ("table",))

    def _process(self) -> Iterator[Metric]:
        uptime_s = time.monotonic() - self._started_s
        yield CounterMetricFamily("otelcol_process_uptime", "Seconds since the start.", uptime_s)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = usage.ru_utime + usage.ru_stime
        yield CounterMetricFamily("otelcol_process_cpu_seconds", "CPU time, user and system.", cpu_s)
        yield _gauge("otelcol_process_memory_rss", "Resident memory, bytes.", _resident_bytes(usage))
        yield _gauge("fallom_process_memory_rss_max", "The most resident memory so far, bytes.", _peak_bytes(usage))


def routes(metrics: PipelineMetrics) -> list[BaseRoute]:
    """Return the route, answered in threads of its own: the counts may wait for a disk that does not answer."""
    registry = CollectorRegistry()
    registry.register(metrics)
    threads = CapacityLimiter(SCRAPES_MAX)

    async def scrape(request: Request) -> Response:
        # prometheus-client's own choice fails on versions that are none.
        encode: Callable[[CollectorRegistry], bytes] = generate_latest
        media_type = CONTENT_TYPE_PLAIN_0_0_4
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            encode, media_type = openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
        return Response(await to_thread.run_sync(encode, registry, limiter=threads), media_type=media_type)

    return [Route("/metrics", scrape, methods=["GET"])]


def _by_kind(verb: str, what: str, counted: Counter[Source], known: Counter[Source]) -> Iterator[Metric]:
    # Each has a line in all families from the start, so that a rate of refusals begins at 0.
    sources = sorted({*_SOURCES, *known.copy(), *counted.copy()})
    families = {
        kind: CounterMetricFamily(name.format(verb), f"{nouns} {what}.", labels=SOURCE)
        for kind, (name, nouns) in _KINDS.items()
    }
    for source in sources:
        families[source[0]].add_metric(source[1:], counted.get(source, 0))
    yield from families.values()


_SOURCES: tuple[Source, ...] = (
    ("spans", "otlp", "grpc"),
    ("spans", "otlp", "http"),
    ("log_records", "otlp", "grpc"),
    ("log_records", "otlp", "http"),
    ("metric_points", "otlp", "grpc"),
    ("metric_points", "otlp", "http"),
    ("metric_points", "fallom", "http"),
    ("exposures", "fallom", "http"),
    ("evaluation_items", "fallom", "http"),
)
_KINDS = {
    "spans": ("otelcol_receiver_{}_spans", "Spans"),
    "log_records": ("otelcol_receiver_{}_log_records", "Log records"),
    "metric_points": ("otelcol_receiver_{}_metric_points", "Metric points, and values of custom metrics,"),
    "exposures": ("fallom_receiver_{}_exposures", "Exposures"),
    "evaluation_items": ("fallom_receiver_{}_evaluation_items", "Items of evaluations"),
}


@dataclass(frozen=True, slots=True)
class _Exported:
    """What every exporter counts."""

    exporter: str
    sent: int
    failed: int
    queue_bytes: int
    queue_bytes_max: int


def _lake(status: LakeStatus) -> _Exported:
    spans = status.tables["spans"].rows
    return _Exported(EXPORTER, spans.committed, spans.quarantined, status.log_bytes, status.log_bytes_max)


def _forward(status: ForwardStatus) -> _Exported:
    dropped = sum(status.dropped.values())
    return _Exported(status.exporter, status.sent, dropped, status.queue_bytes, status.queue_bytes_max)


def _exporters(exported: Sequence[_Exported]) -> Iterator[Metric]:
    sent = CounterMetricFamily(
        "otelcol_exporter_sent_spans", "Spans committed to the lake, or taken by a target.", labels=("exporter",)
    )
    failed = CounterMetricFamily(
        "otelcol_exporter_send_failed_spans",
        "Spans damaged on disk before their commit, or dropped on the way to a target.",
        labels=("exporter",),
    )
    size = GaugeMetricFamily(
        "otelcol_exporter_queue_size",
        "Bytes of the log, rows not yet committed; or that wait for a target.",
        labels=("exporter",),
    )
    capacity = GaugeMetricFamily(
        "otelcol_exporter_queue_capacity", "Bytes that the log or the queue may have.", labels=("exporter",)
    )
    for each in exported:
        for family, value in (
            (sent, each.sent),
            (failed, each.failed),
            (size, each.queue_bytes),
            (capacity, each.queue_bytes_max),
        ):
            family.add_metric((each.exporter,), value)
    yield from (sent, failed, size, capacity)


def _forwarding(forwarded: Sequence[ForwardStatus]) -> Iterator[Metric]:
    if not forwarded:
        return
    dropped = CounterMetricFamily(
        "fallom_forward_dropped_spans", "Spans that a target will never get.", labels=("exporter", "reason")
    )
    retries = CounterMetricFamily("fallom_forward_retries", "Requests to be sent again.", labels=("exporter",))
    failing = GaugeMetricFamily(
        "fallom_forward_failing_seconds",
        "For how long a target has taken nothing; 0 where it took the last request.",
        labels=("exporter",),
    )
    for each in forwarded:
        for reason, count in each.dropped.items():
            dropped.add_metric((each.exporter, reason), count)
        retries.add_metric((each.exporter,), each.retries)
        failing.add_metric((each.exporter,), each.failing_for_s)
    yield from (dropped, retries, failing)


def _rows(rows: Mapping[str, RowCounts]) -> Iterator[Metric]:
    """Yield the books: accepted + recovered = committed + in_log + deduplicated + quarantined, of each table."""
    for place, what in (
        ("accepted", "Rows taken from clients, and on disk."),
        ("recovered", "Rows found in the log at the start."),
        ("committed", "Rows committed to the lake."),
        ("deduplicated", "Rows that a client sent again."),
        ("quarantined", "Rows damaged on disk, and set aside."),
    ):
        counter = CounterMetricFamily(f"fallom_rows_{place}", what, labels=("table",))
        for table, counts in rows.items():
            counter.add_metric((table,), getattr(counts, place))
        yield counter
    in_log = GaugeMetricFamily("fallom_rows_in_log", "Rows acknowledged and not yet committed.", labels=("table",))
    for table, counts in rows.items():
        in_log.add_metric((table,), counts.in_log)
    yield in_log


def _log(status: LakeStatus) -> Iterator[Metric]:
    logs: dict[str, LogStatus] = {table: each.log for table, each in status.tables.items()}
    for name, what, field in (
        ("fallom_log_bytes", "Bytes of the log.", "log_bytes"),
        ("fallom_log_segments", "Segments of the log.", "segments"),
        ("fallom_log_oldest_age_seconds", "Age of the oldest segment that is not committed.", "oldest_age_s"),
        ("fallom_log_quarantined_bytes", "Bytes set aside since the start.", "quarantined_bytes"),
    ):
        gauge = GaugeMetricFamily(name, what, labels=("table",))
        for table, log in logs.items():
            gauge.add_metric((table,), getattr(log, field))
        yield gauge


def _commits(commits: Mapping[str, CommitStatus]) -> Iterator[Metric]:
    failures = CounterMetricFamily("fallom_commit_failures", "Commits that failed, and are retried.", labels=("table",))
    failing = GaugeMetricFamily(
        "fallom_commit_failing_seconds",
        "For how long commits have failed; 0 where the last succeeded.",
        labels=("table",),
    )
    for table, status in commits.items():
        failures.add_metric((table,), status.failures)
        failing.add_metric((table,), status.failing_for_s)
    yield failures
    yield failing


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value)


def _histogram(name: str, what: str, values: Mapping[tuple[str, ...], Distribution], labels: tuple[str, ...]) -> Metric:
    family = HistogramMetricFamily(name, what, labels=labels)
    for label, found in values.items():
        bounds = [*(str(bound) for bound in found.bounds_s), "+Inf"]
        family.add_metric(label, list(zip(bounds, found.cumulative, strict=True)), found.sum_s)
    return family


def _resident_bytes(usage: resource.struct_rusage) -> int:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        # Elsewhere than on Linux the system tells only the most that there has been.
        return _peak_bytes(usage)


def _peak_bytes(usage: resource.struct_rusage) -> int:
    try:
        # What rusage tells began, on Linux, with the process that started this one.
        return int(re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
