"""``fallom-server keys``, and how the other commands use a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from client_messages import flat_trace
from keyed_server import Client, create_key, keys_command
from server_command import run
from server_process import ServerProcess

from storage.data_directory import DataDirectory
from storage.registry.api_keys import PREFIX_CHARS, ApiKeys

pytestmark = pytest.mark.e2e

CONFIGS = """
configs:
  - key: summarizer
    variants: [{model: a, weight: 50}, {model: b, weight: 50}]
"""


def test_a_key_is_made_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    folder = ("--data-dir", tmp_path / "data")
    flags = ("--project", "web", "--scopes", "read,ingest", "--name", "Ingress", "--expires-in-days", "30")

    made = keys_command("create", *folder, *flags, "--requests-per-s", "5")
    key = made.stdout.strip()
    listed = keys_command("list", *folder)
    revoked = keys_command("revoke", key, *folder, "--json")
    after = json.loads(keys_command("list", *folder, "--json").stdout)

    assert made.returncode == listed.returncode == revoked.returncode == 0
    assert key.isprintable()
    assert len(key.split()) == 1
    assert key not in made.stderr + listed.stdout + revoked.stdout
    assert key[PREFIX_CHARS + 1 :] not in listed.stdout + revoked.stdout
    header, row = (line.split("\t") for line in listed.stdout.splitlines())
    shown = dict(zip(header, row, strict=True))
    assert (shown["prefix"], shown["project"], shown["scopes"]) == (key[:PREFIX_CHARS], "web", "ingest,read")
    assert (shown["name"], shown["state"], shown["requests_per_s"]) == ("Ingress", "active", "5.0")
    assert shown["expires_at"] > shown["created_at"]
    assert dict(zip(after["columns"], after["rows"][0], strict=True))["state"] == "revoked"


def test_a_key_is_made_as_json(tmp_path: Path) -> None:
    made = json.loads(keys_command("create", "--data-dir", tmp_path / "data", "--json").stdout)

    keys = ApiKeys(DataDirectory(tmp_path / "data").registry_url)
    (kept,) = keys.all()
    keys.close()
    assert made["key"].startswith(made["prefix"])
    assert (kept.prefix, kept.project, list(kept.scopes)) == (made["prefix"], "default", ["ingest"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ("--scopes", "write"),
            "create.scopes: ingest, read, admin expected, several with commas between, got 'write'",
        ),
        (("--scopes", ""), "create.scopes: "),
        (("--project", ""), "create.project: "),
        (("--project", "a b"), "create.project: "),
        (("--name", "two\nlines"), "create.name: printable characters expected"),
        (("--expires-in-days", "0"), "create.expires_in_days: "),
        (("--requests-per-s", "-1"), "create.requests_per_s: "),
        (("--requests-per-s", "nan"), "create.requests_per_s: "),
        (("--bytes-per-s", "inf"), "create.bytes_per_s: "),
    ],
)
def test_a_wrong_flag_is_named_and_nothing_is_made(tmp_path: Path, flags: tuple[str, str], words: str) -> None:
    done = keys_command("create", "--data-dir", tmp_path / "data", *flags)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fallom-server: {words}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_keys_of_no_data_directory_are_not_made_up(tmp_path: Path) -> None:
    for arguments in (("list",), ("revoke", "fallom_0")):
        done = keys_command(*arguments, "--data-dir", tmp_path / "data")

        assert done.returncode == 1
        assert "holds no registry" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_other_commands_send_a_key_of_the_flag_or_the_environment(tmp_path: Path) -> None:
    key = create_key(tmp_path / "data", "web", "admin")
    server = ServerProcess(tmp_path / "data").start()
    (tmp_path / "configs.yaml").write_text(CONFIGS)
    apply = ("apply", tmp_path / "configs.yaml", "--url", server.url)

    try:
        without = run(*apply)
        by_environment = run(*apply, FALLOM_API_KEY=key)
        by_flag = run("sql", "SELECT 1 AS one", "--url", server.url, "--api-key", key)
    finally:
        server.stop()

    assert without.returncode == 1
    assert "an API key is needed" in without.stderr
    assert (by_environment.returncode, by_environment.stderr) == (0, "")
    assert by_flag.stdout == "one\n1\n"


def test_commands_over_files_take_a_project(tmp_path: Path) -> None:
    folder = ("--data-dir", tmp_path / "data")
    (tmp_path / "configs.yaml").write_text(CONFIGS)
    key = create_key(tmp_path / "data", "web", "admin")
    server = ServerProcess(tmp_path / "data").start()
    try:
        client = Client(server, key)
        client.post("/v1/traces", flat_trace("summarizer", "s"))
        applied = run("apply", tmp_path / "configs.yaml", *folder, "--project", "web")
        counts = [run("sql", "SELECT count(*) FROM spans", *folder, "--project", name).stdout for name in ("web", "b")]
        found = client.get("/configs/summarizer/version/1")
    finally:
        server.stop()

    assert applied.returncode == 0
    assert found["version"] == 1
    assert [count.splitlines()[1] for count in counts] == ["1", "0"]


def test_a_project_is_not_named_beside_a_url() -> None:
    for command in (("sql", "SELECT 1"), ("apply", "nothing.yaml")):
        done = run(*command, "--url", "http://127.0.0.1:1", "--project", "web")

        assert done.returncode == 1
        assert done.stderr.startswith("fallom-server: project: with --url the project is that of the key")
