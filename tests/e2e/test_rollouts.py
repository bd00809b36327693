"""Rollouts of a real server: steps are served within a second, a stop at once, and a restart misses none."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

CONFIG = {"configs": [{"key": "c/d", "variants": [{"model": "old", "weight": 100}, {"model": "new", "weight": 0}]}]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data").start()
    server.define(CONFIG)
    yield server
    server.stop()


def weights(server: ServerProcess) -> list[float]:
    return [variant["weight"] for variant in server.get("/configs")[1]["configs"][0]["variants"]]


def wait_for(server: ServerProcess, expected: list[float], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (found := weights(server)) != expected:
        assert time.monotonic() < deadline, f"{found} after {timeout_s} s, expected {expected}"
        time.sleep(0.02)


def act(server: ServerProcess, action: str, **body: Any) -> dict[str, Any]:
    status, answer = server.post(f"/api/configs/c/d/{action}", body)
    assert status == 200, answer
    return dict(answer)


def test_a_canary_goes_on_by_itself_and_ends_with_all(server: ServerProcess) -> None:
    act(server, "rollout", shape="canary", variant="new", steps=[5, 25, 100], every_s=1.5)

    for share in (5, 25, 100):
        wait_for(server, [100 - share, share], 4)

    _, history = server.get("/api/configs/c/d/versions")
    assert [version["author"] for version in history["versions"]] == ["rollout"] * 3 + ["local"] * 2


def test_a_stop_is_served_at_once_and_nothing_comes_after_it(server: ServerProcess) -> None:
    act(server, "rollout", shape="canary", variant="new", steps=[5, 50], every_s=2)
    wait_for(server, [95, 5], 3)

    act(server, "stop")

    assert weights(server) == [100, 0]
    time.sleep(2.5)
    assert weights(server) == [100, 0]


def test_a_step_that_fell_due_while_the_server_was_away_is_taken_at_its_start(server: ServerProcess) -> None:
    start = datetime.now(UTC) + timedelta(seconds=2)
    act(server, "rollout", shape="canary", variant="new", steps=[5, 50], every_s=0.2, start=start.isoformat())
    server.kill()
    time.sleep(2.5)

    server.start()

    wait_for(server, [50, 50], 2)


def test_shapes_are_given_at_once_and_wrong_ones_are_named(server: ServerProcess) -> None:
    act(server, "rollout", shape="champion_challenger", variant="new", share=80)
    assert weights(server) == [20, 80]
    act(server, "rollout", shape="even")
    assert weights(server) == [50, 50]
    act(server, "conclude", winner="new", note="it is better")
    assert weights(server) == [0, 100]

    for body, words in (
        ({"shape": "canary"}, "variant: is required by the shape canary"),
        ({"shape": "canary", "variant": "newer"}, "no variant 'newer': there are 'old', 'new'"),
        ({"shape": "canary", "variant": "new", "steps": [50, 5]}, "that rise"),
        ({"shape": "oval"}, "shape: must be one of"),
    ):
        status, answer = server.post("/api/configs/c/d/rollout", body)
        assert (status, words in answer["error"]["message"]) == (400, True), answer
    assert server.post("/api/configs/nowhere/stop", {})[0] == 404


def test_a_shape_for_what_somebody_else_changed_is_412_with_what_is_there(server: ServerProcess) -> None:
    act(server, "rollout", shape="champion_challenger", variant="new", share=50)
    body, headers = b'{"winner": "new"}', {"Content-Type": "application/json", "If-Match": '"1"'}

    status, answered, content = server.request("POST", "/api/configs/c/d/conclude", body, headers)

    answer = json.loads(content)
    assert (status, answer["error"]["code"], answered["etag"]) == (412, "precondition_failed", '"2"')
    assert [variant["weight"] for variant in answer["current"]["body"]["variants"]] == [50, 50]
    headers["If-Match"] = answered["etag"]
    assert server.request("POST", "/api/configs/c/d/conclude", body, headers)[0] == 200
    assert weights(server) == [0, 100]


def test_a_key_of_a_body_that_is_not_known_is_refused_with_the_nearest(server: ServerProcess) -> None:
    for action, body, words in (
        ("conclude", {"winner": "new", "nota": "x"}, "nota: unknown key, did you mean 'note'?"),
        ("archive", {"not": "x"}, "not: unknown key, did you mean 'note'?"),
        ("rollout", {"shape": "even", "note": "\0"}, "note: must not hold a NUL character"),
    ):
        status, answer = server.post(f"/api/configs/c/d/{action}", body)
        assert (status, words in answer["error"]["message"]) == (400, True), answer
