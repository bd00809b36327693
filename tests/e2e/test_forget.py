"""``fallom-server forget``: a customer's rows are gone, in the log as in the lake, with a server and without."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_messages import flat_trace
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

CUSTOMERS = "SELECT DISTINCT customer_id FROM spans ORDER BY 1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # Long enough that what is sent stays in the log until it is told to commit.
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600").start()
    yield server
    server.stop()


def send(server: ServerProcess, customer: str) -> None:
    trace = flat_trace("config", f"{customer}'s session") | {"customer_id": customer}
    status, answer = server.post("/v1/traces", trace)
    assert status == 200, answer


def forget(*arguments: str | Path) -> dict[str, int]:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["rows"])


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "forget", "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )


def customers(server: ServerProcess) -> list[str]:
    return [row["customer_id"] for row in server.sql(CUSTOMERS)]


def test_a_running_server_forgets_what_it_has_just_acknowledged(server: ServerProcess) -> None:
    for customer in ("ann", "bob", "ann"):
        send(server, customer)

    counts = forget("--customer", "ann", "--url", server.url)

    assert counts["spans"] == 2
    assert customers(server) == ["bob"]
    assert server.sql("SELECT DISTINCT session_id FROM session_rollup") == [{"session_id": "bob's session"}]
    assert set(forget("--customer", "ann", "--url", server.url).values()) == {0}


def test_without_a_server_rows_in_the_log_are_forgotten_too(server: ServerProcess) -> None:
    for customer in ("ann", "bob"):
        send(server, customer)
    in_use = run("--customer", "ann", "--data-dir", server.data_dir)
    assert in_use.returncode == 1
    assert "is in use by another server" in in_use.stderr
    server.kill()

    assert forget("--customer", "ann", "--data-dir", server.data_dir)["spans"] == 1

    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert [path for path in files if b"ann's session" in path.read_bytes()] == []
    assert customers(server.start()) == ["bob"]


def test_files_in_quarantine_that_hold_the_customer_s_id_are_named(server: ServerProcess) -> None:
    send(server, "ann")
    quarantine = server.data_dir / "log" / "quarantine"
    quarantine.mkdir()
    (quarantine / "spans-000000000001-0.bytes").write_bytes(b"damaged rows of ann")
    (quarantine / "spans-000000000002-0.bytes").write_bytes(b"damaged rows of bob")

    done = run("--customer", "ann", "--url", server.url)
    server.kill()
    without_server = run("--customer", "ann", "--data-dir", server.data_dir)

    for told in (done.stderr, without_server.stderr):
        assert "left in quarantine" in told
        assert "spans-000000000001-0.bytes" in told
        assert "spans-000000000002-0.bytes" not in told


def test_an_unknown_removal_is_not_found(server: ServerProcess) -> None:
    status, answer = server.get("/customers/forget/nothing")

    assert (status, answer["error"]["code"]) == (404, "not_found")
