"""Drafts and rollouts by the commands, on files and at a server; keys that no path has room for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_command import answer, rows, run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

DOCUMENT = """
configs:
  - key: team/agent
    variants: {champion: {model: a, weight: %s}, challenger: {model: b, weight: 0}}
"""
PROMPT = """
prompts:
  - {key: welcome, system_prompt: You are brief., user_template: "%s"}
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


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def config(place: Flags) -> dict[str, Any]:
    (found,) = [one for one in answer("export", *place)["configs"] if one["key"] == "team/agent"]
    return dict(found)


def weights(place: Flags) -> list[float]:
    return [variant["weight"] for variant in config(place)["variants"].values()]


def test_a_config_is_rolled_out_concluded_and_stopped(place: Flags, tmp_path: Path) -> None:
    rows("apply", written(tmp_path / "one.yaml", DOCUMENT % 100), *place)

    rows("rollout", "team/agent", "champion_challenger", "--variant", "champion", "--share", "80", *place)
    assert weights(place) == [80, 20]
    rows("rollout", "team/agent", "even", *place)
    assert weights(place) == [50, 50]
    plan = ("--steps", "5,25,100", "--every-s", "60", "--start", "2126-11-21T09:00:00Z")
    rows("rollout", "team/agent", "canary", "--variant", "challenger", *plan, "--note", "slowly", *place)
    steps = config(place)["rollout"]["steps"]
    assert [(step["at"][11:16], step["weights"]) for step in steps] == [
        ("09:00", [95, 5]),
        ("09:01", [75, 25]),
        ("09:02", [0, 100]),
    ]
    rows("stop", "team/agent", *place)
    assert (weights(place), "rollout" in config(place)) == ([100, 0], False)
    (change,) = rows("conclude", "team/agent", "challenger", *place)
    assert weights(place) == [0, 100]

    history = rows("history", "config", "team/agent", *place)
    assert change["version"] == history[0]["version"]
    notes = ["concluded: challenger", "stopped", "slowly", "even", "champion_challenger"]
    assert [row["note"] for row in history[:5]] == notes


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("conclude", "team/agent", "third"), "variant: no variant 'third': there are 'champion', 'challenger'"),
        (("rollout", "team/agent", "canary"), "variant: is required by the shape canary"),
        (
            ("rollout", "team/agent", "canary", "--variant", "champion", "--steps", "50,500"),
            "steps[1]: must be <= 100, got 500",
        ),
        (("rollout", "team/agent", "even", "--start", "soon"), "start: must be a time such as"),
        (("stop", "team/agnet"), "unknown config 'team/agnet'"),
    ],
)
def test_a_command_that_makes_no_sense_is_told_what_is_wrong(
    server: ServerProcess, tmp_path: Path, command: tuple[str, ...], told: str
) -> None:
    for flags in (["--data-dir", str(tmp_path / "data")], ["--url", server.url]):
        rows("apply", written(tmp_path / "one.yaml", DOCUMENT % 100), *flags)

        finished = run(*command, *flags)

        assert (finished.returncode, told in finished.stderr) == (1, True), finished.stderr


def test_a_draft_is_set_shown_published_and_given_up(place: Flags, tmp_path: Path) -> None:
    rows("apply", written(tmp_path / "one.yaml", DOCUMENT % 100 + PROMPT % "Hello"), *place)
    before = weights(place)

    told = rows("draft", "set", written(tmp_path / "two.yaml", DOCUMENT % 30 + PROMPT % "Hi"), *place)

    assert [(row["kind"], row["key"], row["field"], row["before"], row["after"]) for row in told] == [
        ("config", "team/agent", "variants.champion.weight", "100", "30"),
        ("prompt", "welcome", "user_template", '"Hello"', '"Hi"'),
    ]
    assert weights(place) == before
    shown = answer("draft", "show", "config", "team/agent", *place)
    assert shown["body"]["variants"]["champion"]["weight"] == 30
    assert shown["differences"][0]["after"] == 30
    rows("draft", "delete", "prompt", "welcome", *place)
    rows("publish", "config", "team/agent", "--note", "now", *place)
    assert weights(place) == [30, 0]
    for kind, key in (("prompt", "welcome"), ("config", "team/agent")):
        assert "has no draft" in run("draft", "show", kind, key, *place).stderr


@pytest.mark.parametrize("key", ["team/draft", "team/versions/3", "a/b/stop"])
def test_a_new_key_that_no_path_has_room_for_is_refused(place: Flags, tmp_path: Path, key: str) -> None:
    file = written(tmp_path / "one.yaml", DOCUMENT.replace("team/agent", key) % 100)

    finished = run("apply", file, *place)

    assert finished.returncode == 1
    assert "configs[0].key: must not end in /" in finished.stderr
    assert f"got '{key}'" in finished.stderr


@pytest.mark.parametrize("key", ["draft", "versions/3", "team/drafts", "team/version/3", "stop/team"])
def test_a_key_that_only_looks_so_is_taken(place: Flags, tmp_path: Path, key: str) -> None:
    file = written(tmp_path / "one.yaml", DOCUMENT.replace("team/agent", key) % 100)

    rows("apply", file, *place)

    assert rows("history", "config", key, *place)[-1]["version"] == 1
