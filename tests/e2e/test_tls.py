"""TLS on both ports: real certificates, real handshakes, renewed without a restart."""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from certificates import Authority
from collector_inputs import export, span
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca", "first")


class TlsServer:
    def __init__(self, tmp_path: Path, pair: tuple[Path, Path], *flags: str | Path) -> None:
        self.files = (tmp_path / "server.pem", tmp_path / "server.key")
        self.renew(pair)
        named = ("--tls-cert", str(self.files[0]), "--tls-key", str(self.files[1]))
        self.process = ServerProcess(tmp_path / "data", *named, *map(str, flags)).start()
        self.port = int(self.process.url.rpartition(":")[2])

    def renew(self, pair: tuple[Path, Path]) -> None:
        for source, target in zip(pair, self.files, strict=True):
            draft = target.with_suffix(".draft")
            draft.write_bytes(source.read_bytes())
            draft.replace(target)


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[TlsServer]:
    found = TlsServer(tmp_path, authority.sign("server"))
    yield found
    found.process.stop()


def context(authority: Authority, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(authority.path))
    if pair:
        made.load_cert_chain(*pair)
    return made


def over_http(server: TlsServer, client: ssl.SSLContext) -> int:
    body, headers = export(span()), {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{server.process.url}/v1/traces", body, headers)
    with urllib.request.urlopen(request, context=client, timeout=20) as answer:
        return int(answer.status)


def over_grpc(server: TlsServer, authority: Authority, pair: tuple[Path, Path] | None = None) -> bytes:
    chain = {"certificate_chain": pair[0].read_bytes(), "private_key": pair[1].read_bytes()} if pair else {}
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes(), **chain)
    with grpc.secure_channel(server.process.grpc, credentials) as channel:
        answer: bytes = channel.unary_unary(EXPORT)(export(span()), timeout=20)
        return answer


def common_name(server: TlsServer, client: ssl.SSLContext) -> str:
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with plain, client.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
        certificate: Any = wrapped.getpeercert()
        return str(certificate["subject"][0][0][1])


def test_both_ports_speak_tls_and_nothing_else(server: TlsServer, authority: Authority) -> None:
    assert server.process.url.startswith("https://")
    assert over_http(server, context(authority)) == 200
    assert over_grpc(server, authority) == b""
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(server.process.url.replace("https", "http"), timeout=10)
    with grpc.insecure_channel(server.process.grpc) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(EXPORT)(b"", timeout=5)


def speaking(authority: Authority, version: ssl.TLSVersion, protocol: str) -> ssl.SSLContext:
    made = context(authority)
    # Else the client itself would refuse what is old, and nothing would be seen of the server.
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols([protocol])
    return made


def handshake(address: str, client: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Return the version and the protocol that were agreed on."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    plain = socket.create_connection((host, int(port)), 10)
    with plain, client.wrap_socket(plain, server_hostname=host) as wrapped:
        return wrapped.version(), wrapped.selected_alpn_protocol()


each_port = pytest.mark.parametrize(("port", "protocol"), [("http", "http/1.1"), ("grpc", "h2")])


def address(server: TlsServer, port: str) -> str:
    return server.process.url if port == "http" else server.process.grpc


@each_port
def test_tls_1_2_and_1_3_are_spoken(server: TlsServer, authority: Authority, port: str, protocol: str) -> None:
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        assert handshake(address(server, port), speaking(authority, version, protocol)) == (name, protocol)


@each_port
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_what_is_older_than_tls_1_2_is_refused(
    server: TlsServer, authority: Authority, port: str, protocol: str
) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        # By the server, which closes or says so: a client that can't speak it would say NO_PROTOCOLS_AVAILABLE.
        with pytest.raises((ssl.SSLError, ConnectionError), match=r"UNEXPECTED_EOF|ALERT_PROTOCOL_VERSION|reset"):
            handshake(address(server, port), speaking(authority, version, protocol))


@each_port
def test_a_handshake_that_does_not_come_is_not_waited_for(
    tmp_path: Path, authority: Authority, port: str, protocol: str
) -> None:
    server = TlsServer(tmp_path, authority.sign("server"), "--http-head-timeout-s", "1")
    began_s = time.monotonic()
    try:
        host, _, number = address(server, port).rpartition("/")[2].rpartition(":")
        with socket.create_connection((host, int(number)), 30) as silent:
            silent.sendall(b"\x16\x03\x01")

            assert silent.recv(100) == b""
    finally:
        server.process.stop()
    # gRPC's is fixed, ten seconds.
    assert time.monotonic() - began_s < (8 if port == "http" else 20)


def connect(server: TlsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def test_connections_in_handshake_are_under_the_limit(tmp_path: Path, authority: Authority) -> None:
    server = TlsServer(tmp_path, authority.sign("server"), "--http-connections-max", "20", "--http-head-timeout-s", "2")
    try:
        with ExitStack() as open_ones:
            silent = [open_ones.enter_context(connect(server)) for _ in range(25)]
            time.sleep(0.5)
            ended = select.select(silent, [], [], 0)[0]

            assert len(ended) == 5
            with pytest.raises((urllib.error.URLError, ConnectionError)):
                over_http(server, context(authority))
        time.sleep(0.5)
        assert [over_http(server, context(authority)) for _ in range(30)] == [200] * 30
    finally:
        server.process.stop()


@each_port
def test_with_a_client_ca_a_handshake_needs_a_certificate(
    tmp_path: Path, authority: Authority, port: str, protocol: str
) -> None:
    clients = Authority(tmp_path / "clients", "clients")
    pair = clients.sign("client")
    server = TlsServer(tmp_path, authority.sign("server"), "--tls-client-ca", clients.path)
    # In TLS 1.2 the client learns it in the handshake itself.
    version = ssl.TLSVersion.TLSv1_2
    try:
        known = speaking(authority, version, protocol)
        known.load_cert_chain(*pair)
        assert handshake(address(server, port), known) == ("TLSv1.2", protocol)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(address(server, port), speaking(authority, version, protocol))
    finally:
        server.process.stop()


def test_a_certificate_is_renewed_without_a_restart(server: TlsServer, authority: Authority) -> None:
    assert common_name(server, context(authority)) == "server"

    server.renew(authority.sign("renewed"))

    assert common_name(server, context(authority)) == "renewed"
    assert over_http(server, context(authority)) == 200
    assert over_grpc(server, authority) == b""


def test_a_certificate_that_can_t_be_used_leaves_the_last_good_one(server: TlsServer, authority: Authority) -> None:
    server.files[0].write_text("no certificate")

    assert common_name(server, context(authority)) == "server"
    assert over_grpc(server, authority) == b""
    assert "the last good ones stay" in server.process.log()

    server.renew(authority.sign("mended"))
    assert common_name(server, context(authority)) == "mended"


def test_with_a_client_ca_only_clients_with_its_certificates_are_let_in(tmp_path: Path, authority: Authority) -> None:
    clients, strangers = Authority(tmp_path / "clients", "clients"), Authority(tmp_path / "strangers", "strangers")
    client, stranger = clients.sign("client"), strangers.sign("stranger")
    server = TlsServer(tmp_path, authority.sign("server"), "--tls-client-ca", clients.path)
    try:
        assert over_http(server, context(authority, client)) == 200
        assert over_grpc(server, authority, client) == b""
        for pair in (None, stranger):
            with pytest.raises((urllib.error.URLError, OSError)):
                over_http(server, context(authority, pair))
            with pytest.raises(grpc.RpcError):
                over_grpc(server, authority, pair)
    finally:
        server.process.stop()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--tls-cert", "x.pem"), "tls_key: needed too"),
        (("--tls-client-ca", "x.pem"), "tls_cert: needed too"),
        (("--tls-cert", os.devnull, "--tls-key", os.devnull), "can't be used"),
        (("--tls-cert", "/none.pem", "--tls-key", "/none.key"), "can't be used"),
    ],
    ids=["no key", "no certificate", "empty", "no file"],
)
def test_files_that_can_t_be_used_end_the_start(tmp_path: Path, flags: tuple[str, ...], told: str) -> None:
    done = subprocess.run(
        [COMMAND, "serve", "--data-dir", tmp_path / "data", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )

    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
