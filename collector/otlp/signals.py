"""OTLP's three signals: their paths, services and formats, one line each."""

from dataclasses import dataclass

from collector.request import Format

_PACKAGE = "opentelemetry.proto.collector"
# What protobuf's own parser reads takes up to sixty times its bytes; traces have a decoder of their own.
PARSED_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: where it comes in, and what its bodies are; ``body_bytes_max`` is a limit of its own, 0 for none."""

    path: str
    service: str
    request: str
    protobuf: Format
    json: Format
    body_bytes_max: int = 0


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
    PARSED_BYTES_MAX,
)
METRICS = Signal(
    "/v1/metrics",
    f"{_PACKAGE}.metrics.v1.MetricsService",
    "ExportMetricsServiceRequest",
    Format.DATA_POINTS_PROTOBUF,
    Format.DATA_POINTS_JSON,
    PARSED_BYTES_MAX,
)
SIGNALS = (TRACES, LOGS, METRICS)
