"""Power cuts and full disks under a real server: what was acknowledged is there, once, and it mends by itself."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_messages import PROTOBUF, export_request, span
from crash_load import KEY, SPANS_A_REQUEST, Load
from deltalake import DeltaTable
from journalled_server import cut_back
from server_process import ServerProcess
from tmpfs import Disk, mounted

pytestmark = pytest.mark.e2e

POWER_CUTS = 3
POWER_CUTS_MAX = 20
CONFIG = {"key": KEY, "variants": [{"model": "gpt-4o", "weight": 100}]}
MIB = 1 << 20
LAUNCHER = Path(__file__).parents[1] / "journalled_server.py"


@pytest.fixture
def journalled(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose syncs are written down, and that commits all the time."""
    command = (sys.executable, LAUNCHER, tmp_path / "journal")
    flags = ("--flush-interval-s", "0.1", "--segment-bytes-max", "65536")
    server = ServerProcess(tmp_path / "data", *flags, command=command)
    server.start().define({"configs": [CONFIG]})
    yield server
    server.stop()


@pytest.mark.timeout(300)
def test_what_was_never_synced_was_never_acknowledged(journalled: ServerProcess, tmp_path: Path) -> None:
    chance = random.Random()
    load = Load()
    lost = {"bytes": 0, "files": 0, "resurrected": 0}
    for number in range(POWER_CUTS_MAX):
        # Until one has hit a write: without, the test would show nothing.
        if number >= POWER_CUTS and lost["files"]:
            break
        load.run(journalled, chance.uniform(0.1, 0.8), journalled.kill)
        for what, count in cut_back(journalled.data_dir, tmp_path / "journal").items():
            lost[what] += count
        journalled.start()
        names = [row["name"] for row in journalled.sql("SELECT name FROM spans")]
        assert len(names) == len(set(names))
        assert load.acknowledged("grpc", "protobuf", "flat") - set(names) == set()
        for table in ("metrics", "exposures"):
            sessions = {row["session_id"] for row in journalled.sql(f"SELECT DISTINCT session_id FROM {table}")}
            assert load.acknowledged(table) - sessions == set()
    load.run(journalled, 0.2, lambda: None)
    assert journalled.terminate() == 0

    assert [problem for sender in load.senders.values() for problem in sender.problems] == []
    names = (
        DeltaTable(journalled.data_dir / "lake" / "spans").to_pyarrow_dataset().to_table(["name"])["name"].to_pylist()
    )
    assert len(names) == len(set(names))
    assert set(names) == load.acknowledged("grpc", "protobuf", "flat")
    assert lost["files"] > 0, "no cut hit a write: the test shows nothing"


def test_the_books_balance_under_load_and_end_with_what_clients_know(server: ServerProcess) -> None:
    server.define({"configs": [CONFIG]})
    load = Load()
    stopping = threading.Event()
    polled: list[dict[str, Any]] = []

    def poll() -> None:
        while not stopping.is_set():
            polled.append(server.get("/debug/pipeline")[1])
            time.sleep(0.01)

    poller = threading.Thread(target=poll)
    poller.start()
    load.run(server, 2.0, lambda: None)
    stopping.set()
    poller.join()
    status = server.get("/debug/pipeline")[1]

    assert len(polled) > 20
    tables = [table["rows"] for answer in [*polled, status] for table in answer["tables"].values()]
    assert [rows for rows in tables if not is_balanced(rows)] == []
    assert all(sender.answers and not sender.failures and not sender.problems for sender in load.senders.values())
    answers = {kind: sender.answers for kind, sender in load.senders.items()}
    rows = {table: answer["rows"] for table, answer in status["tables"].items()}
    assert rows["spans"]["accepted"] == (answers["grpc"] + answers["protobuf"]) * SPANS_A_REQUEST + answers["flat"]
    assert rows["exposures"]["accepted"] == answers["exposures"]
    for table, counts in rows.items():
        assert server.sql(f"SELECT count(*) AS n FROM {table}") == [{"n": counts["accepted"] - counts["deduplicated"]}]
    assert status["log_bytes"] == sum(table["log"]["log_bytes"] for table in status["tables"].values())


def is_balanced(rows: dict[str, int]) -> bool:
    places = ("committed", "in_log", "deduplicated", "quarantined")
    return rows["accepted"] + rows["recovered"] == sum(rows[place] for place in places) and min(rows.values()) >= 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 64 * MIB) as disk:
        yield disk


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers, and ends them after the test."""
    servers: list[ServerProcess] = []

    def start(data_dir: Path, *flags: str) -> ServerProcess:
        servers.append(ServerProcess(data_dir, *flags))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


def send(server: ServerProcess, *names: str) -> tuple[int, dict[str, str], bytes]:
    spans = [span(name, {"fallom.config_key": KEY, "fallom.session_id": "s", "text": "x" * 5000}) for name in names]
    return server.request("POST", "/v1/traces", export_request(spans).SerializeToString(), PROTOBUF)


def stored(server: ServerProcess) -> list[str]:
    return sorted(row["name"] for row in server.sql("SELECT name FROM spans"))


def test_a_full_disk_is_told_to_clients_and_mends_without_a_restart(
    disk: Disk, started: Callable[..., ServerProcess]
) -> None:
    server = started(disk.path / "data", "--flush-interval-s", "0.2", "--disk-free-bytes-min", "0")
    assert send(server, "before")[0] == 200
    server.wait_for_commit()
    disk.fill()

    acknowledged, refusals = ["before"], []
    for number in range(30):
        status, headers, body = send(server, *(f"{number}-{part}" for part in range(10)))
        if status == 200:
            acknowledged += [f"{number}-{part}" for part in range(10)]
        else:
            refusals.append((status, headers.get("retry-after"), b"No space left on device" in body))
        assert stored(server) == sorted(acknowledged)
    assert refusals
    assert set(refusals) == {(503, "5", True)}

    disk.empty()
    assert send(server, "after")[0] == 200
    server.wait_for_commit(timeout_s=40)
    assert stored(server) == sorted([*acknowledged, "after"])
    assert server.terminate() == 0


def test_a_server_keeps_room_for_commits_on_its_disk_and_starts_on_a_full_one(
    disk: Disk, started: Callable[..., ServerProcess]
) -> None:
    flags = ("--disk-free-bytes-min", str(20 * MIB), "--flush-interval-s", "3600")
    server = started(disk.path / "data", *flags)
    assert send(server, "before")[0] == 200
    disk.fill(left_bytes=10 * MIB)

    status, _, body = send(server, "refused")
    assert (status, b"kept free for commits" in body) == (503, True)
    server.kill()
    disk.empty()
    disk.fill()
    server.start()
    assert stored(server) == ["before"]
    assert send(server, "refused")[0] == 503
    disk.empty()
    assert send(server, "after")[0] == 200
    assert stored(server) == ["after", "before"]
    assert server.terminate() == 0


def test_a_log_that_reaches_its_budget_refuses_and_goes_on_when_it_is_committed(
    tmp_path: Path, started: Callable[..., ServerProcess]
) -> None:
    server = started(tmp_path / "data", "--flush-interval-s", "3600", "--log-bytes-max", str(MIB))
    acknowledged, status = 0, 200
    while status == 200:
        status, headers, body = send(server, *(f"{acknowledged}-{number}" for number in range(20)))
        acknowledged += 20 if status == 200 else 0

    assert (status, headers["retry-after"]) == (503, "5")
    assert b"its limit is 1048576" in body
    assert len(stored(server)) == acknowledged
    assert server.get("/debug/pipeline")[1]["log_bytes_max"] == MIB
    assert server.terminate() == 0
    server.start()
    assert send(server, "after")[0] == 200
    assert len(stored(server)) == acknowledged + 1
