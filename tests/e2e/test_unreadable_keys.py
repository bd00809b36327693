"""A registry whose API keys can't be read any more: it is told within seconds, and those read before count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from keyed_server import Client, create_key
from prometheus_client.parser import text_string_to_metric_families
from server_process import ServerProcess

pytestmark = pytest.mark.e2e
WITHIN_S = 15.0


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[ServerProcess, Client]]:
    key = create_key(tmp_path / "data", scopes="admin")
    server = ServerProcess(tmp_path / "data").start()
    client = Client(server, key)
    yield server, client
    client.close()
    server.stop()


def wait_for_warnings(server: ServerProcess, expected: int) -> list[str]:
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        status, answer = server.get("/readyz")
        assert status == 200
        if len(answer["warnings"]) == expected:
            warnings: list[str] = answer["warnings"]
            return warnings
        assert time.monotonic() < deadline_s, answer
        time.sleep(0.1)


def metric(client: Client, name: str, **labels: str) -> float:
    text = client.ask("GET", "/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    (value,) = (sample.value for sample in samples if sample.name == name and sample.labels == labels)
    return value


def test_a_damaged_registry_is_told(keyed: tuple[ServerProcess, Client]) -> None:
    server, client = keyed
    assert metric(client, "fallom_keys_unreadable") == 0
    for path in server.data_dir.glob("registry.sqlite3*"):
        path.write_bytes(b"damaged " * (path.stat().st_size // 8))

    (warning,) = wait_for_warnings(server, 1)

    assert warning.startswith("the API keys can't be read")
    assert str(server.data_dir) not in warning
    assert "the API keys can't be read, those read before count: " in server.log()
    assert metric(client, "fallom_keys_unreadable") == 1


def test_a_registry_that_is_gone_is_told_until_it_is_back(keyed: tuple[ServerProcess, Client]) -> None:
    server, client = keyed
    registry = server.data_dir / "registry.sqlite3"
    aside = registry.rename(registry.with_name("aside"))

    (warning,) = wait_for_warnings(server, 1)

    assert warning.startswith("the API keys can't be read")
    assert f"registry {registry} is gone" in server.log()
    assert not registry.exists()
    aside.rename(registry)
    assert wait_for_warnings(server, 0) == []
    assert "the API keys can be read again" in server.log()
    assert metric(client, "fallom_keys_unreadable") == 0


def test_refusals_of_keys_are_counted_by_reason(keyed: tuple[ServerProcess, Client]) -> None:
    server, client = keyed
    assert server.request("GET", "/configs")[0] == 401

    assert metric(client, "fallom_keys_refused_total", reason="unauthenticated") == 1
    assert metric(client, "fallom_keys_refused_total", reason="permission_denied") == 0
