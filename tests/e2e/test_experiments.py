"""An experiment from its declaration to its decision, by the commands: on files, and at a server with traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_messages import exposure
from server_command import answer, rows, run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

DOCUMENT = """
configs:
  - key: agent
    variants: {champion: {model: a, weight: 50}, challenger: {model: b, weight: 50}}
experiments:
  - key: cheaper
    config: agent
    hypothesis: As good, and cheaper.
    control: challenger
    metrics:
      - {name: cost_usd, role: primary}
      - {name: resolved, type: proportion, role: guardrail, margin: 0.05}
"""

Flags = list[str | Path]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data").start()
    yield server
    server.stop()


@pytest.fixture(params=["files", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Flags:
    """The flags of a command on a data directory, or on a server."""
    if request.param == "files":
        return ["--data-dir", tmp_path / "data"]
    return ["--url", request.getfixturevalue("server").url]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "experiments.yaml"
    path.write_text(DOCUMENT)
    return path


def exported(place: Flags, kind: str) -> dict[str, Any]:
    (found,) = answer("export", *place)[kind]
    return dict(found)


def test_an_experiment_is_declared_ended_and_opened_again(place: Flags, document: Path) -> None:
    made = rows("apply", document, "--note", "costs", *place)
    assert [(row["kind"], row["action"]) for row in made] == [("config", "created"), ("experiment", "created")]

    wrong = run("end", "cheaper", "ship", "--variant", "other", *place)
    assert "no variant 'other' in the config 'agent': there are 'champion', 'challenger'" in wrong.stderr
    (ended,) = rows("end", "cheaper", "ship", "--variant", "challenger", "--learnt", "enough", "--conclude", *place)

    assert (ended["version"], ended["action"]) == (2, "updated")
    assert [row["note"] for row in rows("history", "experiment", "cheaper", *place)] == ["ended: ship", "costs"]
    found = exported(place, "experiments")
    assert (found["status"], found["decision"]["variant"], found["decision"]["learnt"]) == (
        "ended",
        "challenger",
        "enough",
    )
    assert [variant["weight"] for variant in exported(place, "configs")["variants"].values()] == [0, 100]
    again = run("end", "cheaper", "invalid", *place)
    assert (again.returncode, "already" in again.stderr) == (1, True)

    rows("rollback", "experiment", "cheaper", "1", *place)
    assert "decision" not in exported(place, "experiments")


def test_what_is_declared_stands_in_the_list_and_the_results(tmp_path: Path, document: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    place: Flags = ["--url", server.url]
    rows("apply", document, *place)
    status, _ = server.post("/sessions", exposure("agent", "session-1", "a", 1))
    assert status == 200

    (listed,) = server.get("/experiments")[1]["experiments"]
    status, results = server.get("/experiments/cheaper/results")

    assert {name: listed[name] for name in ("key", "config", "status", "control", "hypothesis", "sessions")} == {
        "key": "cheaper",
        "config": "agent",
        "status": "running",
        "control": "challenger",
        "hypothesis": "As good, and cheaper.",
        "sessions": 1,
    }
    assert status == 200
    told = results["experiment"]
    assert (told["key"], told["config"], told["status"], told["settings_version"]) == ("cheaper", "agent", "running", 1)

    rows("end", "cheaper", "no_difference", "--reason", "too close", *place)

    (listed,) = server.get("/experiments")[1]["experiments"]
    ended = server.get("/experiments/cheaper/results")[1]["experiment"]
    assert (listed["status"], ended["status"], ended["settings_version"]) == ("ended", "ended", 2)
    assert ended["decision"]["reason"] == listed["decision"]["reason"] == "too close"
    # The config has results of its own, by the defaults.
    assert server.get("/experiments/agent/results")[1]["experiment"]["decision"] is None
    server.stop()
