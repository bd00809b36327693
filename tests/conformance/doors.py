"""The three ways into an OTLP server, with one answer: HTTP with protobuf or JSON, and gRPC."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
import httpx
from backports import zstd
from certificates import ClientTls
from client_messages import TIMEOUT_S, export_request, grpc_channel, http_client, span
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MIB = 1 << 20
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
# google.rpc.Code by what HTTP and gRPC call it.
INVALID_ARGUMENT = 3


@dataclass(frozen=True, slots=True)
class Signal:
    """One of OTLP's signals, and a request of it that any server takes."""

    name: str
    service: str
    response: type[Message]
    sample: Callable[[], Message]

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: ``code`` is HTTP's status, or gRPC's name; ``status`` tells of an error."""

    code: int | str
    response: Message | None = None
    status: Status | None = None
    media_type: str = ""
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def detail(self, kind: type[Message]) -> Any:
        """Return the status' detail of that kind, None if it has none."""
        for packed in self.status.details if self.status else ():
            found = kind()
            if packed.Unpack(found):
                return found
        return None

    @property
    def is_retryable(self) -> bool:
        """Whether a client would send the same again."""
        if isinstance(self.code, int):
            return self.code in (429, 502, 503, 504)
        retryable = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
        return self.code in retryable or (self.code == "RESOURCE_EXHAUSTED" and self.retry_info is not None)

    @property
    def retry_info(self) -> RetryInfo | None:
        found: RetryInfo | None = self.detail(RetryInfo)
        return found

    @property
    def violation(self) -> BadRequest | None:
        found: BadRequest | None = self.detail(BadRequest)
        return found


class Door(Protocol):
    """One way in."""

    name: str

    def encode(self, message: Message) -> bytes:
        """Return the message as this way sends it."""

    def send(self, target: "Target", body: bytes, signal: Signal, encoding: str = "") -> Answer:
        """Send the body, compressed where an encoding is named."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is held to OTLP: where its ports are; ``is_ours`` tells whether what it stored can be asked.

    ``key`` is the API key that requests are sent with, if any; with ``tls`` they are sent over TLS.
    """

    http: str
    grpc: str
    is_ours: bool
    sql: Callable[[str], list[dict[str, Any]]]
    pid: int = 0
    key: str = ""
    tls: ClientTls | None = None

    @property
    def credentials(self) -> dict[str, str]:
        """Return the headers, or metadata, that hold the key."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def peak_bytes(self) -> int:
        """Return the most memory that the server ever had; 0 where that can't be seen."""
        status = Path(f"/proc/{self.pid}/status")
        if not self.is_ours or not status.exists():
            return 0
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """HTTP with one of the encodings."""

    name: str
    media_type: str

    def encode(self, message: Message) -> bytes:
        if self.media_type == JSON:
            return json.dumps(with_hex_ids(MessageToDict(message, use_integers_for_enums=True))).encode()
        return bytes(message.SerializeToString())

    def send(self, target: Target, body: bytes, signal: Signal, encoding: str = "") -> Answer:
        headers = {"Content-Encoding": encoding} if encoding else {}
        content = COMPRESSORS[encoding](body) if encoding else body
        return self.post(target, signal.path, content, response=signal.response, **headers)

    def post(
        self,
        target: Target,
        path: str,
        content: Any = b"",
        *,
        method: str = "POST",
        response: type[Message] = ExportTraceServiceResponse,
        **headers: str,
    ) -> Answer:
        """Send anything; a header of the same name replaces the content type."""
        with http_client(target.http, tls=target.tls.context() if target.tls else False) as client:
            sent = {"Content-Type": self.media_type, **target.credentials, **headers}
            return http_answer(client.request(method, path, content=content, headers=sent), response)


@dataclass(frozen=True, slots=True)
class GrpcDoor:
    """gRPC."""

    name: str

    def encode(self, message: Message) -> bytes:
        return bytes(message.SerializeToString())

    def send(self, target: Target, body: bytes, signal: Signal, encoding: str = "") -> Answer:
        compression = grpc.Compression.Gzip if encoding == "gzip" else grpc.Compression.NoCompression
        with grpc_channel(target.grpc, target.tls.credentials() if target.tls else None) as channel:
            call = channel.unary_unary(f"/opentelemetry.proto.collector.{signal.service}/Export")
            try:
                content = call(
                    body, timeout=TIMEOUT_S, compression=compression, metadata=tuple(target.credentials.items())
                )
            except grpc.RpcError as error:
                details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
                status = Status.FromString(details) if details else None
                return Answer(error.code().name, status=status)
        return Answer("OK", response=signal.response.FromString(content), content=content)


def http_answer(answer: httpx.Response, response: type[Message]) -> Answer:
    """Return what an HTTP answer says, read as its content type tells."""
    kind = Status if answer.status_code >= 400 else response
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    message: Message | None = None
    if media_type == PROTOBUF:
        message = kind.FromString(answer.content)
    elif media_type == JSON:
        message = Parse(answer.content, kind())
    is_error = isinstance(message, Status)
    return Answer(
        answer.status_code,
        response=None if is_error else message,
        status=message if is_error else None,
        media_type=media_type,
        content=answer.content,
        headers={name.lower(): value for name, value in answer.headers.items()},
    )


def with_hex_ids(document: Any) -> Any:
    """Return protobuf's JSON as OTLP's: ids are hex digits there."""
    if isinstance(document, list):
        return [with_hex_ids(item) for item in document]
    if not isinstance(document, dict):
        return document
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64decode(value).hex() if key in ids and isinstance(value, str) else with_hex_ids(value)
        for key, value in document.items()
    }


def _logs() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO", time_unix_nano=1)
    record.body.string_value = "a line"
    return message


def _metrics() -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="requests", unit="1")
    metric.gauge.data_points.add(time_unix_nano=1, as_double=2.5)
    return message


TRACES = Signal(
    "traces", "trace.v1.TraceService", ExportTraceServiceResponse, lambda: export_request([span(attributes={"a": 1})])
)
LOGS = Signal("logs", "logs.v1.LogsService", ExportLogsServiceResponse, _logs)
METRICS = Signal("metrics", "metrics.v1.MetricsService", ExportMetricsServiceResponse, _metrics)
SIGNALS = (TRACES, LOGS, METRICS)

HTTP_PROTOBUF = HttpDoor("http-protobuf", PROTOBUF)
HTTP_JSON = HttpDoor("http-json", JSON)
GRPC = GrpcDoor("grpc")
HTTP_DOORS = (HTTP_PROTOBUF, HTTP_JSON)
DOORS = (*HTTP_DOORS, GRPC)
