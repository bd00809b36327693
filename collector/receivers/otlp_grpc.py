"""OTLP over gRPC. The bytes are parsed by our decoder: grpcio's own would answer INTERNAL to a malformed message.

grpcio reads a message as soon as it is asked for it, whole, and says its size only then. So a call is asked for its
message only when it has one of ``reads_max`` places; until then the client's bytes stop at the window of its stream.
Calls without a key that may ingest, those beyond CALLS_MAX, and all calls while the budget is spent, are refused before
anything of them is read. What is received and not yet counted by admission is thus at most reads_max messages and
CALLS_MAX windows.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from collector.access import Access, Caller, presented_key
from collector.admission import Admission
from collector.component import AdmissionError, CollectorError, DecodeError
from collector.otlp import answers
from collector.otlp.signals import SIGNALS, Signal
from collector.receivers.grpc_places import Places
from collector.receivers.grpc_services import GrpcHealth, GrpcReflection
from collector.replies import Replies
from collector.request import Outcome, Request
from schemas.scopes import INGEST

# What health and reflection tell of.
SERVICES = tuple(signal.service for signal in SIGNALS)
TRANSPORT = "grpc"
CALLS_MAX = 256
CONNECTIONS_MAX = 1024
WINDOW_BYTES = 512 * 1024
METADATA_BYTES_MAX = 64 * 1024
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
PING_INTERVAL_MS_MIN = 10_000
HANDSHAKE_TIMEOUT_MS = 10_000
# A client that stops in the middle of its message must not keep its place.
READ_S_MAX = 30.0
DRAIN_S_MAX = 10.0

_Refusal = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes]]]


class OtlpGrpcReceiver:
    """The gRPC port, served by the event loop that starts it. ``address`` is where it listens once started."""

    def __init__(
        self,
        replies: Replies,
        admission: Admission,
        address: str,
        *,
        access: Access,
        body_bytes_max: int,
        reads_max: int = 16,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Make a receiver; with ``credentials`` it speaks TLS."""
        self._credentials = credentials
        self._replies = replies
        self._access = access
        self._admission = admission
        self._requested_address = address
        self._body_bytes_max = body_bytes_max
        self._places = Places(CALLS_MAX, reads_max)
        self._server: grpc.aio.Server | None = None
        self.health = GrpcHealth(SERVICES)
        self._reflection = GrpcReflection(SERVICES)
        self.address = address

    async def start(self) -> None:
        """Begin to listen. Raises OSError where the port can't be had."""
        _refuse_taken_port(self._requested_address)
        server = grpc.aio.server(options=_options(self._body_bytes_max))
        server.add_generic_rpc_handlers(
            (*map(self._service, SIGNALS), self.health.handler(), self._reflection.handler())
        )
        host = self._requested_address.rpartition(":")[0]
        try:
            port = (
                server.add_insecure_port(self._requested_address)
                if self._credentials is None
                else server.add_secure_port(self._requested_address, self._credentials)
            )
        except RuntimeError as error:
            raise OSError(f"can't listen on {self._requested_address} for gRPC: is the port in use?") from error
        await server.start()
        self._server = server
        self.address = f"{host}:{port}"

    async def stop(self) -> None:
        """Take no more calls; those under way are answered first."""
        server, self._server = self._server, None
        if server is not None:
            self.health.stop()
            self._reflection.stop()
            await server.stop(grace=DRAIN_S_MAX)

    def _service(self, signal: Signal) -> grpc.GenericRpcHandler:
        async def export(_: object, call: Any) -> bytes:
            return await self._export(signal, call)

        # As a stream, although one message comes: of a unary call grpcio reads the message before it asks us.
        handler = grpc.stream_unary_rpc_method_handler(export)
        return grpc.method_handlers_generic_handler(signal.service, {"Export": handler})

    async def _export(self, signal: Signal, call: Any) -> bytes:
        if self._places.are_spent or self._admission.is_nearly_spent:
            error = self._admission.refusal() if self._admission.is_nearly_spent else _TOO_MANY
            self._admission.count_refusal(TRANSPORT, error)
            answer: bytes | _Refusal = _refusal(error)
        else:
            with self._places.of_call():
                answer = await self._answer(signal, call)
        if isinstance(answer, bytes):
            return answer
        # Not where the error was caught: grpcio keeps what abort raises, and with it would keep the body.
        await call.abort(*answer)
        return b""

    async def _answer(self, signal: Signal, call: Any) -> bytes | _Refusal:
        share = self._admission.share(TRANSPORT)
        try:
            metadata = call.invocation_metadata() or ()
            caller = self._access.admit(presented_key(metadata), INGEST)
            with self._places.of_caller(caller):
                body = await self._read(signal, call, caller)
                share.grow(len(body))
                caller.charge(len(body))
                request = Request(signal.protobuf, body, caller.project, _headers(metadata), TRANSPORT)
                outcome = await self._replies.to(request, share)
        except CollectorError as error:
            share.count_refusal(error)
            return _refusal(error)
        finally:
            share.release()
        return _ALL_TAKEN if not outcome.rejected else _encoded(outcome)

    async def _read(self, signal: Signal, call: Any, caller: Caller) -> bytes:
        async with self._places.of_read(caller):
            try:
                async with asyncio.timeout(READ_S_MAX):
                    message = await call.read()
            except TimeoutError as error:
                raise AdmissionError(f"the message did not arrive within {READ_S_MAX:.0f} s: try again") from error
        if not isinstance(message, bytes):
            raise DecodeError(f"an {signal.request} expected, got no message")
        return message


def _options(body_bytes_max: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", body_bytes_max),
        # Without this two servers could share a port, and each would see a part of the traffic.
        ("grpc.so_reuseport", 0),
        # A window of a fixed size: the default one grows with the speed of the connection, without a bound of ours.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        ("grpc.max_concurrent_streams", CALLS_MAX),
        ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        # A client that has gone without a word is found by a ping; one that pings too often is sent away.
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
    ]


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


def _headers(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    # What ends in -bin is bytes, and none of ours.
    return {name: value for name, value in metadata if name.startswith("x-fallom-") and isinstance(value, str)}


def _refusal(error: CollectorError) -> _Refusal:
    details = answers.status(error).SerializeToString()
    return _STATUS_CODES[answers.code(error)], str(error), (("grpc-status-details-bin", details),)


def _encoded(outcome: Outcome) -> bytes:
    return answers.encode(answers.response(outcome), answers.PROTOBUF)


_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_ALL_TAKEN = _encoded(Outcome(0))
_TOO_MANY = AdmissionError(f"{CALLS_MAX} calls are under way, the limit: try again")
