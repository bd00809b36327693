"""Point 15: web pages of configured origins, and TLS on both ports."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from certificates import Authority, ClientTls
from conformance.doors import DOORS, HTTP_DOORS, TRACES, Answer, Door, HttpDoor, Target
from conformance.points import point
from keyed_server import create_key
from server_process import ServerProcess

pytestmark = [pytest.mark.e2e, point(15)]
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
each_http_door = pytest.mark.parametrize("door", HTTP_DOORS, ids=lambda door: door.name)
PAGE, STRANGE_PAGE = "https://app.example.com", "https://evil.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}


def cors_headers(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.fixture(scope="module")
def browsed(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server of ours with keys that a web page may call."""
    if not target.is_ours:
        pytest.skip("another server's origins are not known")
    data_dir = tmp_path_factory.mktemp("browsed") / "data"
    key = create_key(data_dir)
    server = ServerProcess(data_dir, "--cors-origins", f'["{PAGE}"]').start()
    yield replace(target, http=server.url, grpc=server.grpc, key=key)
    server.stop()


@each_http_door
def test_without_configured_origins_no_answer_has_a_header_of_cors(target: Target, door: HttpDoor) -> None:
    body = door.encode(TRACES.sample())

    answers = [
        door.post(target, TRACES.path, body, Origin=PAGE),
        door.post(target, TRACES.path, method="OPTIONS", Origin=PAGE, **PREFLIGHT),
        door.post(target, TRACES.path, b"\xff", Origin=PAGE),
    ]

    assert [cors_headers(answer) for answer in answers] == [{}, {}, {}]


@each_http_door
def test_a_preflight_of_a_configured_origin_is_204_without_a_key(browsed: Target, door: HttpDoor) -> None:
    answer = door.post(replace(browsed, key=""), TRACES.path, method="OPTIONS", Origin=PAGE, **PREFLIGHT)

    assert (answer.code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]


@each_http_door
def test_a_page_of_a_configured_origin_may_read_answers_and_errors(browsed: Target, door: HttpDoor) -> None:
    body = door.encode(TRACES.sample())

    answers = [
        door.post(browsed, TRACES.path, body, Origin=PAGE),
        door.post(browsed, TRACES.path, b"\xff", Origin=PAGE),
        door.post(replace(browsed, key=""), TRACES.path, body, Origin=PAGE),
    ]

    assert [answer.code for answer in answers] == [200, 400, 401]
    assert [answer.headers["access-control-allow-origin"] for answer in answers] == [PAGE] * 3


@each_http_door
def test_a_page_of_another_origin_may_read_nothing(browsed: Target, door: HttpDoor) -> None:
    body = door.encode(TRACES.sample())

    answers = [
        door.post(browsed, TRACES.path, body, Origin=STRANGE_PAGE),
        door.post(browsed, TRACES.path, method="OPTIONS", Origin=STRANGE_PAGE, **PREFLIGHT),
    ]

    assert [cors_headers(answer) for answer in answers] == [{}, {}]


@dataclass
class Certified:
    """A server of ours that speaks TLS, and asks its clients for a certificate."""

    target: Target
    authority: Authority
    files: tuple[Path, Path]

    def renew(self, name: str) -> None:
        """Put a new certificate where the server's is."""
        for source, file in zip(self.authority.sign(name), self.files, strict=True):
            draft = file.with_suffix(".draft")
            draft.write_bytes(source.read_bytes())
            draft.replace(file)

    def port(self, door: Door) -> tuple[str, int]:
        address = self.target.http if isinstance(door, HttpDoor) else self.target.grpc
        host, _, port = address.rpartition("/")[2].rpartition(":")
        return host, int(port)

    def common_name(self, door: Door) -> str:
        """Return the name in the certificate that the door's port shows."""
        assert self.target.tls is not None
        with (
            socket.create_connection(self.port(door), 10) as plain,
            self.speaking(door, ssl.TLSVersion.TLSv1_2).wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            found: str = wrapped.getpeercert()["subject"][0][0][1]
            return found

    def speaking(self, door: Door, version: ssl.TLSVersion) -> ssl.SSLContext:
        """Return a client's side that speaks this version alone, though it be old."""
        assert self.target.tls is not None
        made = self.target.tls.context()
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.set_alpn_protocols(["http/1.1" if isinstance(door, HttpDoor) else "h2"])
        made.minimum_version = made.maximum_version = version
        return made


@pytest.fixture(scope="module")
def certified(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    if not target.is_ours:
        pytest.skip("another server's certificates are not known")
    folder = tmp_path_factory.mktemp("certified")
    authority, clients = Authority(folder / "ca", "servers"), Authority(folder / "clients", "clients")
    files = (folder / "server.pem", folder / "server.key")
    made = Certified(replace(target, tls=ClientTls(authority.path, clients.sign("client"))), authority, files)
    made.renew("first")
    flags = ("--tls-cert", files[0], "--tls-key", files[1], "--tls-client-ca", clients.path)
    server = ServerProcess(folder / "data", *map(str, flags)).start()
    made.target = replace(made.target, http=server.url, grpc=server.grpc)
    yield made
    server.stop()


def is_let_in(door: Door, target: Target) -> bool:
    try:
        return door.send(target, door.encode(TRACES.sample()), TRACES).code != "UNAVAILABLE"
    except httpx.TransportError:
        return False


@each_door
def test_tls_with_a_certificate_of_the_client_is_taken(certified: Certified, door: Door) -> None:
    assert door.send(certified.target, door.encode(TRACES.sample()), TRACES).code in (200, "OK")


@each_door
def test_a_client_without_a_certificate_or_with_a_stranger_s_is_not_let_in(
    certified: Certified, door: Door, tmp_path: Path
) -> None:
    for pair in (None, Authority(tmp_path / "strangers", "strangers").sign("stranger")):
        stranger = replace(certified.target, tls=ClientTls(certified.authority.path, pair))
        assert not is_let_in(door, stranger)


@each_door
def test_without_tls_nothing_is_answered(certified: Certified, door: Door) -> None:
    plain = replace(certified.target, http=certified.target.http.replace("https:", "http:"), tls=None)
    assert not is_let_in(door, plain)


@each_door
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(certified: Certified, door: Door) -> None:
    spoken, refusals = set(), []
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = certified.speaking(door, version)
        with socket.create_connection(certified.port(door), 10) as plain:
            try:
                with client.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
                    spoken.add(wrapped.version())
            except (ssl.SSLError, ConnectionError) as error:
                refusals.append(str(error))

    assert spoken == {"TLSv1.2", "TLSv1.3"}
    # What the client itself could not speak would tell nothing of the server.
    assert not [text for text in refusals if "NO_PROTOCOLS_AVAILABLE" in text]


@each_door
def test_a_renewed_certificate_needs_no_restart(certified: Certified, door: Door) -> None:
    certified.renew(f"renewed-for-{door.name}")

    assert certified.common_name(door) == f"renewed-for-{door.name}"
    assert door.send(certified.target, door.encode(TRACES.sample()), TRACES).code in (200, "OK")
