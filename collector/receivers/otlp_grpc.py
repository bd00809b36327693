"""OTLP over gRPC. The bytes are parsed by our decoder: grpcio's own would answer INTERNAL to a malformed message."""

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc

from collector.admission import Admission
from collector.component import CollectorError, RetryableError, TooLargeError
from collector.otlp import answers
from collector.pipeline import Pipeline
from collector.request import Format, Request

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
WORKERS = 32


class OtlpGrpcReceiver:
    """The gRPC port. ``address`` is where it listens once started."""

    def __init__(self, pipeline: Pipeline, admission: Admission, address: str, *, body_bytes_max: int) -> None:
        self._pipeline = pipeline
        self._admission = admission
        self._requested_address = address
        self._body_bytes_max = body_bytes_max
        self._server: grpc.Server | None = None
        self.address = address

    def start(self) -> None:
        """Begin to listen. Raises OSError where the port can't be had."""
        options = [
            ("grpc.max_receive_message_length", self._body_bytes_max),
            # Without this two servers could share a port, and each would see a part of the traffic.
            ("grpc.so_reuseport", 0),
        ]
        _refuse_taken_port(self._requested_address)
        server = grpc.server(ThreadPoolExecutor(WORKERS, "otlp-grpc"), options=options)
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
        host = self._requested_address.rpartition(":")[0]
        try:
            port = server.add_insecure_port(self._requested_address)
        except RuntimeError as error:
            raise OSError(f"can't listen on {self._requested_address} for gRPC: is the port in use?") from error
        server.start()
        self._server = server
        self.address = f"{host}:{port}"

    def stop(self) -> None:
        """Take no more calls; those under way are answered first."""
        if self._server is not None:
            self._server.stop(grace=10).wait()
            self._server = None

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            self._admission.acquire(len(body))
            try:
                headers = {name: value for name, value in context.invocation_metadata() if name.startswith("x-fallom-")}
                request = Request(Format.OTLP_PROTOBUF, body, "default", headers)
                outcome = self._pipeline.submit(request).result()
            finally:
                self._admission.release(len(body))
        except CollectorError as error:
            details = answers.status(error).SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(_code(error), str(error))
        return answers.encode(answers.response(outcome), answers.PROTOBUF)


def _refuse_taken_port(address: str) -> None:
    """Raise OSError where the port can't be had: grpcio would also write to stderr, in words of its own."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
            probe.listen(1)
        except OSError as error:
            raise OSError(f"can't listen on {address} for gRPC: {error.strerror or error}") from error


def _code(error: CollectorError) -> grpc.StatusCode:
    if isinstance(error, RetryableError):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.RESOURCE_EXHAUSTED if isinstance(error, TooLargeError) else grpc.StatusCode.INVALID_ARGUMENT
