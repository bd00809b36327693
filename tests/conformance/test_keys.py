"""Points 14 and 18: who may send, how the others are refused, and whose the rows are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conformance.doors import DOORS, HTTP_DOORS, SIGNALS, TRACES, Door, HttpDoor, Signal, Target
from conformance.points import point
from keyed_server import Client, create_key
from server_process import ServerProcess

pytestmark = pytest.mark.e2e
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
each_http_door = pytest.mark.parametrize("door", HTTP_DOORS, ids=lambda door: door.name)
each_signal = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
UNAUTHENTICATED, PERMISSION_DENIED = 16, 7
WRONG = "fallom_000000000000_" + "0" * 64


@dataclass
class Keyed:
    """A server of ours with keys, by what they may do."""

    server: ServerProcess
    keys: dict[str, str]

    def target(self, key: str) -> Target:
        """Return the server, asked with one of its keys, or with another text."""
        nothing: list[dict[str, object]] = []
        return Target(
            self.server.url, self.server.grpc, is_ours=True, sql=lambda _: nothing, key=self.keys.get(key, key)
        )


@pytest.fixture(scope="module")
def keyed(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    if not target.is_ours:
        pytest.skip("another server's keys are not known")
    data_dir = tmp_path_factory.mktemp("keys") / "data"
    keys = {scope: create_key(data_dir, "web", scope) for scope in ("ingest", "read", "admin")}
    server = ServerProcess(data_dir, "--flush-interval-s", "3600").start()
    yield Keyed(server, keys)
    server.stop()


@point(14)
@each_door
@each_signal
def test_a_key_of_the_scope_is_taken(keyed: Keyed, door: Door, signal: Signal) -> None:
    assert door.send(keyed.target("ingest"), door.encode(signal.sample()), signal).code in (200, "OK")


@point(14)
@each_door
@each_signal
@pytest.mark.parametrize("key", ["", WRONG])
def test_no_key_or_a_wrong_one_is_unauthenticated(keyed: Keyed, door: Door, signal: Signal, key: str) -> None:
    answer = door.send(keyed.target(key), door.encode(signal.sample()), signal)

    assert answer.code in (401, "UNAUTHENTICATED")
    assert answer.status is not None
    assert answer.status.code == UNAUTHENTICATED
    assert not answer.is_retryable


@point(14)
@each_http_door
def test_a_401_names_the_scheme(keyed: Keyed, door: HttpDoor) -> None:
    answer = door.send(keyed.target(""), door.encode(TRACES.sample()), TRACES)

    assert answer.headers["www-authenticate"].startswith("Bearer")


@point(14)
@each_door
@each_signal
def test_a_key_of_another_scope_is_denied(keyed: Keyed, door: Door, signal: Signal) -> None:
    answer = door.send(keyed.target("read"), door.encode(signal.sample()), signal)

    assert answer.code in (403, "PERMISSION_DENIED")
    assert answer.status is not None
    assert answer.status.code == PERMISSION_DENIED


@point(14)
@each_door
def test_the_key_is_checked_before_the_body(keyed: Keyed, door: Door) -> None:
    answer = door.send(keyed.target(WRONG), b"\xff malformed", TRACES, encoding="gzip")

    assert answer.code in (401, "UNAUTHENTICATED")


@point(18)
@each_door
def test_the_tenant_of_a_request_survives_a_crash_with_its_bytes(keyed: Keyed, door: Door) -> None:
    message = TRACES.sample()
    message.resource_spans[0].scope_spans[0].spans[0].name = door.name
    assert door.send(keyed.target("ingest"), door.encode(message), TRACES).code in (200, "OK")

    keyed.server.kill()
    keyed.server.start()

    client = Client(keyed.server, keyed.keys["admin"])
    rows = client.sql(f"SELECT project FROM spans WHERE name = '{door.name}'")
    client.close()
    assert rows == [["web"]]
