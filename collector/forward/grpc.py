"""OTLP over gRPC to a target."""

from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.forward.answer import Answer, Outcome, limited
from collector.forward.target import ForwardTarget

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_DETAILS = "grpc-status-details-bin"
_RETRYABLE = frozenset(
    (
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
_SETUP = frozenset((grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED))


class GrpcSender:
    """Calls Export, one request after the other, over one channel that is kept."""

    def __init__(self, target: ForwardTarget) -> None:
        """Make it. Raises OSError where the CAs can't be read."""
        self._target = target
        self._metadata = tuple(target.secret_headers().items())
        compression = grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression
        # Waits to connect anew are the exporter's own.
        options = [("grpc.max_reconnect_backoff_ms", 1000), ("grpc.enable_retries", 0)]
        if target.is_encrypted:
            authorities = Path(target.ca_file).read_bytes() if target.ca_file else None
            credentials = grpc.ssl_channel_credentials(authorities)
            self._channel = grpc.secure_channel(target.address, credentials, options, compression)
        else:
            self._channel = grpc.insecure_channel(target.address, options, compression)
        # Bytes as they are, both ways.
        self._export = self._channel.unary_unary(METHOD)

    def send(self, body: bytes) -> Answer:
        """Return what became of it."""
        try:
            answered = self._export(body, timeout=self._target.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return _failure(error)
        except ValueError:
            # The channel was closed.
            return Answer(Outcome.RETRY, "closed")
        return Answer(Outcome.TAKEN, "OK", _rejected(answered))

    def close(self) -> None:
        """Let go of the channel."""
        self._channel.close()


def _failure(error: grpc.RpcError) -> Answer:
    code = error.code()
    reason = f"gRPC {code.name}"
    retry_after_s = _retry_after(error)
    if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after_s is not None):
        return Answer(Outcome.RETRY, reason, retry_after_s=retry_after_s)
    if code in _SETUP:
        return Answer(Outcome.SETUP, reason)
    # Without a hint when to come again it says that the message is too large.
    return Answer(Outcome.TOO_LARGE if code is grpc.StatusCode.RESOURCE_EXHAUSTED else Outcome.REFUSED, reason)


def _retry_after(error: grpc.RpcError) -> float | None:
    details = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS), None)
    if not isinstance(details, bytes):
        return None
    info = RetryInfo()
    try:
        for detail in Status.FromString(details).details:
            if detail.Unpack(info):
                return limited(_seconds(info.retry_delay))
    except DecodeError:
        return None
    return None


def _seconds(duration: Duration) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9


def _rejected(answered: bytes) -> int:
    """Return how many spans the target says it left out."""
    try:
        return int(ExportTraceServiceResponse.FromString(answered).partial_success.rejected_spans)
    except DecodeError:
        return 0
