"""A backup restores: what was acknowledged before it is there once, under load as at rest; and no later row is."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_messages import flat_trace
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

SPANS = "SELECT session_id FROM spans ORDER BY 1"
CALLS = "SELECT sum(calls)::BIGINT AS calls FROM session_rollup"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # So that commits and merges go on while it is backed up.
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "0.05").start()
    yield server
    server.stop()


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "restored")
    yield server
    server.stop()


def send(server: ServerProcess, session: str) -> None:
    status, answer = server.post("/v1/traces", flat_trace("config", session))
    assert status == 200, answer


def sessions(server: ServerProcess) -> list[str]:
    return [row["session_id"] for row in server.sql(SPANS)]


def backup(*arguments: str | Path) -> Path:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    ((path,),) = json.loads(done.stdout)["rows"]
    return Path(path)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "backup", "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )


def restore(path: Path, server: ServerProcess) -> ServerProcess:
    shutil.copytree(path, server.data_dir)
    return server.start()


def test_a_backup_under_load_holds_each_acknowledged_row_once(server: ServerProcess, restored: ServerProcess) -> None:
    server.define({"configs": [{"key": "config", "variants": [{"model": "m", "weight": 1}]}]})
    acknowledged: list[str] = []
    enough, stopping = threading.Event(), threading.Event()

    def load() -> None:
        while not stopping.is_set():
            name = f"s{len(acknowledged):05}"
            send(server, name)
            acknowledged.append(name)
            if len(acknowledged) == 300:
                enough.set()

    sending = threading.Thread(target=load)
    sending.start()
    try:
        for _ in range(3):
            enough.wait(30)
            before = len(acknowledged)
            path = backup("--url", server.url)
            after = len(acknowledged)
    finally:
        stopping.set()
        sending.join()

    restore(path, restored)

    found = sessions(restored)
    assert found == acknowledged[: len(found)]
    # One more may have been stored and not yet answered.
    assert before <= len(found) <= after + 1
    assert restored.sql(CALLS) == [{"calls": len(found)}]
    assert restored.get("/configs") == server.get("/configs")
    # Both go on by themselves: the copy shares no file that is written to.
    send(restored, "of the copy")
    assert sessions(server) == acknowledged
    assert (server.terminate(), restored.terminate()) == (0, 0)


def test_without_a_server_what_is_in_the_log_is_in_the_backup(
    server: ServerProcess, restored: ServerProcess, tmp_path: Path
) -> None:
    in_use = run("--data-dir", server.data_dir)
    assert (in_use.returncode, "is in use by another server" in in_use.stderr) == (1, True)
    send(server, "first")
    server.kill()

    path = backup("--data-dir", server.data_dir)
    send(server.start(), "second")

    assert path.parent == server.data_dir / "backups"
    assert sessions(restore(path, restored)) == ["first"]
    assert sessions(server) == ["first", "second"]
    nothing = run("--data-dir", tmp_path / "nothing")
    assert (nothing.returncode, "is no data directory" in nothing.stderr) == (1, True)


def test_forgetting_names_the_backups_that_are_left(server: ServerProcess) -> None:
    path = backup("--url", server.url)

    done = subprocess.run(
        [COMMAND, "forget", "--customer", "ann", "--url", server.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )

    assert f"left in backups, which are never changed: remove {path.name} from" in done.stderr


MAIL = "ann@example.com"
CUSTOMERS = "SELECT session_id, customer_id FROM spans ORDER BY session_id"


def forget_mail(server: ServerProcess) -> int:
    done = subprocess.run(
        [COMMAND, "forget", "--customer", MAIL, "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment(),
    )
    return int(dict(json.loads(done.stdout)["rows"])["spans"])


@pytest.mark.parametrize("is_key_kept", [True, False], ids=["with the key", "without it"])
def test_the_privacy_key_is_in_no_backup_and_pseudonyms_meet_only_with_it(tmp_path: Path, is_key_kept: bool) -> None:
    policy = ("--privacy", '{"*": {"redact": ["email"]}}')
    server, restored = ServerProcess(tmp_path / "data", *policy), ServerProcess(tmp_path / "restored", *policy)
    try:
        server.start()
        assert server.post("/v1/traces", flat_trace("config", "before", customer_id=MAIL))[0] == 200
        path = backup("--url", server.url)
        server.kill()
        assert list(path.rglob("privacy.key*")) == []
        shutil.copytree(path, restored.data_dir)
        if is_key_kept:
            shutil.copy(server.data_dir / "privacy.key", restored.data_dir)

        restored.start()
        assert restored.post("/v1/traces", flat_trace("config", "after", customer_id=MAIL))[0] == 200

        after, before = (row["customer_id"] for row in restored.sql(CUSTOMERS))
        assert (after == before) == is_key_kept
        assert ("privacy.key was not there and is new" in restored.log()) != is_key_kept
        assert forget_mail(restored) == (2 if is_key_kept else 1)
        assert len(restored.sql(CUSTOMERS)) == (0 if is_key_kept else 1)
    finally:
        server.stop()
        restored.stop()
