"""OTLP's three signals: their paths, services and formats, one line each."""

from dataclasses import dataclass

from collector.request import Format

_PACKAGE = "opentelemetry.proto.collector"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: where it comes in, and what its bodies are."""

    path: str
    service: str
    request: str
    protobuf: Format
    json: Format


TRACES = Signal(
    "/v1/traces",
    f"{_PACKAGE}.trace.v1.TraceService",
    "ExportTraceServiceRequest",
    Format.OTLP_PROTOBUF,
    Format.JSON_TRACES,
)
LOGS = Signal(
    "/v1/logs",
    f"{_PACKAGE}.logs.v1.LogsService",
    "ExportLogsServiceRequest",
    Format.LOGS_PROTOBUF,
    Format.LOGS_JSON,
)
METRICS = Signal(
    "/v1/metrics",
    f"{_PACKAGE}.metrics.v1.MetricsService",
    "ExportMetricsServiceRequest",
    Format.DATA_POINTS_PROTOBUF,
    Format.DATA_POINTS_JSON,
)
SIGNALS = (TRACES, LOGS, METRICS)
