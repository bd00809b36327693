"""The registry's commands and API on a real server, and servers that share a registry on PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from postgresql_server import new_database
from server_command import done, rows, run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "experiments.yaml"
DOCUMENT = """
configs:
  - key: agent
    variants: [{model: a, weight: %s}, {model: b, weight: 1}]
"""


def written(path: Path, weight: float) -> Path:
    path.write_text(DOCUMENT % weight)
    return path


@pytest.fixture(params=["files", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str | Path]]:
    """The flags of a command on a data directory, or on a server."""
    if request.param == "files":
        yield ["--data-dir", tmp_path / "data"]
        return
    server = ServerProcess(tmp_path / "data").start()
    yield ["--url", server.url]
    server.stop()


def test_what_is_exported_changes_nothing_where_it_is_applied(place: list[str | Path], tmp_path: Path) -> None:
    exported = tmp_path / "exported.yaml"
    done("apply", EXAMPLE, *place)

    exported.write_text(done("export", *place))

    assert {row["action"] for row in rows("apply", exported, *place)} == {"unchanged"}
    assert rows("diff", exported, "--exit-code", *place) == []
    assert rows("diff", EXAMPLE, *place) == []


def test_a_difference_is_told_and_not_made(place: list[str | Path], tmp_path: Path) -> None:
    done("apply", written(tmp_path / "one.yaml", 1), *place)
    two = written(tmp_path / "two.yaml", 3)

    assert rows("diff", two, *place) == [
        {
            "kind": "config",
            "key": "agent",
            "field": "variants[0].weight",
            "change": "changed",
            "before": "1",
            "after": "3",
        }
    ]
    assert run("diff", two, "--exit-code", *place).returncode == 3
    assert [row["version"] for row in rows("history", "config", "agent", *place)] == [1]


def test_a_version_is_rolled_back_archived_and_restored(place: list[str | Path], tmp_path: Path) -> None:
    for weight in (1, 3):
        done("apply", written(tmp_path / "one.yaml", weight), "--note", f"weight {weight}", *place)

    done("rollback", "config", "agent", "1", "--note", "back", *place)
    done("archive", "config", "agent", *place)

    assert "agent" not in done("export", *place)
    assert "is archived: restore it first" in run("apply", tmp_path / "one.yaml", *place).stderr
    done("restore", "config", "agent", *place)
    history = rows("history", "config", "agent", *place)
    assert [(row["version"], row["author"], row["restored_from"], row["note"]) for row in history] == [
        (3, "local", 1, "back"),
        (2, "local", None, "weight 3"),
        (1, "local", None, "weight 1"),
    ]
    refused = run("rollback", "config", "agnet", "1", *place)
    assert (refused.returncode, refused.stderr) == (1, "fallom-server: unknown config 'agnet'\n")


def test_a_command_on_the_files_is_served_within_a_second(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    try:
        done("apply", written(tmp_path / "one.yaml", 1), "--data-dir", server.data_dir)
        applied = time.monotonic()
        wait_for_version(server, 1)
        assert time.monotonic() - applied < 1
    finally:
        server.stop()


def wait_for_version(server: ServerProcess, version: int) -> None:
    deadline = time.monotonic() + 5
    while True:
        configs = server.get("/configs")[1]["configs"]
        if ("agent", version) in [(config["key"], config["version"]) for config in configs]:
            return
        assert time.monotonic() < deadline, configs
        time.sleep(0.01)


@pytest.fixture
def database() -> str:
    return new_database()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two servers with data of their own, and one registry."""
    folder, database = tmp_path_factory.mktemp("pair"), new_database()
    servers = tuple(ServerProcess(folder / name, "--registry-url", database) for name in ("one", "two"))
    for server in servers:
        server.start()
    yield servers[0], servers[1]
    for server in servers:
        server.stop()


def test_servers_that_share_a_registry_serve_a_change_within_a_second(
    pair: tuple[ServerProcess, ServerProcess],
) -> None:
    one, two = pair
    for version in range(1, 4):
        one.define({"configs": [{"key": "agent", "variants": [{"model": f"m{version}", "weight": 1}]}]})
        applied = time.monotonic()
        wait_for_version(one, version)
        wait_for_version(two, version)
        assert time.monotonic() - applied < 1


def test_writers_on_two_servers_lose_no_update(pair: tuple[ServerProcess, ServerProcess]) -> None:
    one, _ = pair
    one.define({"configs": [{"key": "count", "variants": [{"model": "m", "weight": 1}], "description": "0"}]})

    def count(server: ServerProcess) -> None:
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            counted = 0
            while counted < 10:
                read = client.get("/api/configs/count")
                body = read.json()["body"]
                body["description"] = str(int(body["description"]) + 1)
                answer = client.put("/api/configs/count", json=body, headers={"If-Match": read.headers["etag"]})
                assert answer.status_code in (200, 412), answer.text
                counted += answer.status_code == 200

    with ThreadPoolExecutor(4) as pool:
        for counter in [pool.submit(count, server) for server in (*pair, *pair)]:
            counter.result()

    latest = one.get("/api/configs/count")[1]
    assert (latest["body"]["description"], latest["version"]) == ("40", 41)


def test_a_key_on_postgresql_opens_its_servers_and_is_the_author(tmp_path: Path, database: str) -> None:
    made = done("keys", "create", "--name", "Ann", "--scopes", "admin", FALLOM_REGISTRY_URL=database)
    reads = done("keys", "create", "--scopes", "read", FALLOM_REGISTRY_URL=database)
    admin, reader = ({"X-API-Key": key.strip(), "Content-Type": "application/json"} for key in (made, reads))
    body = json.dumps({"variants": [{"model": "m", "weight": 1}]}).encode()
    server = ServerProcess(tmp_path / "data", "--registry-url", database).start()
    try:
        assert server.request("PUT", "/api/configs/agent", body)[0] == 401
        assert server.request("PUT", "/api/configs/agent", body, reader)[0] == 403
        assert server.request("PUT", "/api/configs/agent", body, admin)[0] == 200
        status, _, got = server.request("GET", "/api/configs/agent", headers=reader)
        assert (status, json.loads(got)["author"]) == (200, "Ann")
    finally:
        server.stop()


def test_a_backup_leaves_a_registry_on_postgresql_to_its_own_tools(
    pair: tuple[ServerProcess, ServerProcess],
) -> None:
    made = run("backup", "--url", pair[0].url, "--json")

    assert made.returncode == 0
    assert made.stderr.endswith("and not in this backup: back them up by pg_dump\n")
    ((path,),) = json.loads(made.stdout)["rows"]
    assert sorted(entry.name for entry in Path(path).iterdir()) == ["lake", "log"]


def test_clients_get_their_configs_while_postgresql_is_away(tmp_path: Path, database: str) -> None:
    server = ServerProcess(tmp_path / "data", "--registry-url", database).start()
    try:
        server.define({"configs": [{"key": "agent", "variants": [{"model": "m", "weight": 1}]}]})
        name = database.split("/")[3].split("?")[0]
        with psycopg.connect(database.replace(name, "postgres"), autocommit=True) as other:
            other.execute(f"DROP DATABASE {name} WITH (FORCE)")
        time.sleep(1)
        began = time.monotonic()
        for _ in range(50):
            assert server.get("/configs")[0] == 200
        assert time.monotonic() - began < 5
        status, answer = server.post("/apply", {"configs": []})
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert "psycopg" not in json.dumps(answer)
    finally:
        server.stop()
