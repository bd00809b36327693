"""Datasets over HTTP and by the commands: by hand, from files, from traces; bounded, and under policies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from client_messages import flat_trace
from keyed_server import Client, create_key
from postgresql_server import new_database
from server_command import run
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

CHAT = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "where is it?"}]
FROM_SPANS = "SELECT input, output, trace_id, session_id, customer_id, start_time FROM spans"


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("datasets", *arguments)


def send(server: ServerProcess, session: str, **fields: Any) -> None:
    attributes = {
        "fallom.raw.request": json.dumps({"model": "m", "messages": CHAT}),
        "fallom.raw.response": json.dumps({"text": f"in {session}'s box"}),
    }
    status, answer = server.post("/v1/traces", flat_trace("agent", session) | {"attributes": attributes} | fields)
    assert status == 200, answer


def make(server: ServerProcess, key: str, query: str = FROM_SPANS) -> dict[str, Any]:
    status, answer = server.post(f"/api/datasets/{key}/from-sql", {"query": query})
    assert status == 200, answer
    return answer


def entries(server: ServerProcess, key: str) -> list[dict[str, Any]]:
    status, answer = server.get(f"/api/datasets/{key}")
    assert status == 200, answer
    return answer["entries"]


def error(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["message"]


def test_a_dataset_is_made_from_traces_that_were_just_acknowledged(server: ServerProcess) -> None:
    send(server, "s1", customer_id="ann")

    query = f"{FROM_SPANS} WHERE customer_id = 'ann'"
    made = make(server, "support", query)

    assert made == {"key": "support", "version": 1, "action": "created", "entries": 1, "skipped": 0}
    (entry,) = entries(server, "support")
    assert (entry["input"], entry["output"], entry["systemMessage"]) == ("where is it?", "in s1's box", "be brief")
    assert entry["metadata"].keys() == {"trace_id", "session_id", "customer_id", "start_time"}
    (listed,) = server.get("/api/datasets")[1]["datasets"]
    assert (listed["source"], listed["entries"], listed["query"]) == ("sql", 1, query)


def test_a_dataset_is_there_after_a_crash(server: ServerProcess) -> None:
    server.post("/api/datasets/golden", {"entries": [{"input": "i", "output": "o"}]})

    server.kill()
    server.start()

    assert entries(server, "golden") == [{"input": "i", "output": "o"}]


def test_a_customer_is_forgotten_in_datasets_and_evaluations(server: ServerProcess) -> None:
    send(server, "s1", customer_id="ann", trace_id=f"{1:032x}")
    send(server, "s1", trace_id=f"{2:032x}", span_id=f"{2:016x}")
    send(server, "s2", customer_id="bob", trace_id=f"{3:032x}")
    make(server, "whole")
    make(server, "by-trace", "SELECT input, output, trace_id FROM spans")
    items = [
        {"input": text, "faithfulness": 1, "metadata": metadata}
        for text, metadata in (
            ("named", {"customer_id": "ann"}),
            ("session", {"session_id": "s1"}),
            ("trace", {"trace_id": f"{1:032x}"}),
            ("bob", {"customer_id": "bob", "session_id": "s1"}),
            ("nobody", None),
        )
    ]
    run_id = server.post("/api/sdk-evals", {"name": "run", "results": items})[1]["run_id"]

    done = subprocess.run(
        [COMMAND, "forget", "--customer", "ann", "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )

    counts = dict(json.loads(done.stdout)["rows"])
    assert (counts["dataset_entries"], counts["evaluation_items"], counts["evaluation_scores"]) == (4, 3, 3)
    assert [entry["metadata"]["customer_id"] for entry in entries(server, "whole")] == ["bob"]
    assert [entry["output"] for entry in entries(server, "by-trace")] == ["in s2's box"]
    left = server.get(f"/api/evals/{run_id}/items")[1]["items"]
    assert [item["input"] for item in left] == ["bob", "nobody"]


def test_a_customer_is_forgotten_in_datasets_without_a_server(server: ServerProcess) -> None:
    send(server, "s1", customer_id="ann")
    make(server, "by-session", "SELECT input, output, session_id FROM spans")
    server.terminate()

    done = subprocess.run(
        [COMMAND, "forget", "--customer", "ann", "--data-dir", server.data_dir, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )

    assert dict(json.loads(done.stdout)["rows"])["dataset_entries"] == 1
    server.start()
    assert entries(server, "by-session") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1", "query: a column input expected, got 1"),
        ("DELETE FROM spans", "only SELECT is allowed, got DELETE"),
        (
            "SELECT 'i' AS input FROM range(10001)",
            "at most 10000 rows and 16777216 bytes allowed, got more",
        ),
        ("SELECT repeat('x', 1000001) AS input", "input: String should have at most 1000000 characters"),
        ("SELECT input, output FROM spans", "query: no row has an input and an output, of 0"),
        ("SELECT * FROM read_csv('/etc/passwd')", ""),
        ("", "query: must not be empty, got ''"),
    ],
)
def test_a_statement_that_makes_no_entries_is_refused(shared_server: ServerProcess, query: str, said: str) -> None:
    status, message = error(shared_server.post("/api/datasets/none/from-sql", {"query": query}))

    assert status == 400
    assert said in message
    assert shared_server.get("/api/datasets/none")[0] == 404


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"entries": []}, "entries: must not be empty, got an empty list"),
        ({"entries": [{"output": "o"}]}, "entries[0].input: is required"),
        ({"entries": [{"input": ""}]}, "entries[0].input: must not be empty"),
        ({"entries": [{"input": "i", "ouput": "o"}]}, "entries[0].ouput: unknown key"),
        ({"entries": [{"input": "i\0"}]}, "entries[0].input: must not hold a NUL character"),
        ({"entries": [{"input": "i", "metadata": {"n": 2**70}}]}, "entries[0].metadata: can't be stored"),
        ({"entries": [{"input": "i"}] * 10_001}, "entries: must have at most 10000 items"),
    ],
)
def test_entries_that_are_none_are_refused(shared_server: ServerProcess, content: Any, said: str) -> None:
    status, message = error(shared_server.post("/api/datasets/none", content))

    assert status == 400
    assert message.startswith(said)


def test_a_body_beyond_the_limit_is_refused(shared_server: ServerProcess) -> None:
    size_bytes = 16 * 1024 * 1024 + 1
    head = {"Content-Type": "application/json"}

    status, _, body = shared_server.request("POST", "/api/datasets/none", b" " * size_bytes, head)

    assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")


def test_a_body_that_a_web_page_could_send_is_refused(shared_server: ServerProcess) -> None:
    body = json.dumps({"entries": [{"input": "i"}]}).encode()

    status, _, _ = shared_server.request("POST", "/api/datasets/none", body, {"Content-Type": "text/plain"})

    assert status == 415


@pytest.mark.parametrize("key", ["-a", "a%2Fb", "a%20b", "%C3%A9", "x" * 129])
def test_a_key_is_one_that_stands_in_a_url(shared_server: ServerProcess, key: str) -> None:
    status, _ = shared_server.post(f"/api/datasets/{key}", {"entries": [{"input": "i"}]})

    assert status in (400, 404, 405)


def test_commands_make_list_export_and_archive(shared_server: ServerProcess, tmp_path: Path) -> None:
    url = ("--url", shared_server.url)
    csv = tmp_path / "entries.csv"
    csv.write_text('\ufeffinput,output,system_message,topic\n"line one\nline two",o,be brief,t\nplain,o,,\n')
    lines = tmp_path / "entries.jsonl"
    wanted = [
        {"input": "line one\nline two", "output": "o", "systemMessage": "be brief", "metadata": {"topic": "t"}},
        {"input": "plain", "output": "o"},
    ]

    made = command("create", "by-command", "--file", csv, "--name", "Mine", *url)
    exported = command("export", "by-command", *url)
    lines.write_text(exported.stdout)
    again = command("create", "by-command", "--file", lines, "--name", "Mine", *url)
    listed = command("list", *url, "--json")
    archived = command("archive", "by-command", *url)
    gone = command("export", "by-command", *url)

    assert made.returncode == 0, made.stderr
    assert [json.loads(line) for line in exported.stdout.splitlines()] == wanted
    assert "unchanged" in again.stdout
    answer = json.loads(listed.stdout)
    assert ["by-command", 1, 2, 0, "entries", "Mine"] in [row[:6] for row in answer["rows"]]
    assert archived.returncode == 0, archived.stderr
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "'by-command' is archived" in gone.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "x", "file: .json, .jsonl, .csv expected, got a.txt"),
        ("a.json", "{}", "a list of entries expected"),
        ("a.json", "[", "a.json: unexpected end of data"),
        ("a.jsonl", '{"input": "i"}\n{\n', "line 2: "),
        ("a.csv", "output\no\n", "a column input expected, got output"),
        ("a.csv", "input,output\ni\n", "line 2: as many values expected"),
        ("a.json", '[{"inpt": "i"}]', "entries[0].inpt: unknown key"),
    ],
)
def test_a_file_that_holds_no_entries_is_told_why(
    shared_server: ServerProcess, tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)

    done = command("create", "from-file", "--file", path, "--url", shared_server.url)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_projects_and_scopes_are_kept_apart(server: ServerProcess) -> None:
    keys = {
        name: create_key(server.data_dir, project, scopes)
        for name, project, scopes in (
            ("admin", "p", "admin"),
            ("read", "p", "read"),
            ("ingest", "p", "ingest"),
            ("other", "q", "admin"),
        )
    }
    server.terminate()
    server.start()
    admin, read, ingest, other = (Client(server, key) for key in keys.values())
    new = {"entries": [{"input": "i"}]}

    admin.post("/api/datasets/golden", new)

    assert read.get("/api/datasets/golden")["entries"] == [{"input": "i", "output": ""}]
    assert {read.ask(method, "/api/datasets/golden", json=new).status_code for method in ("POST", "DELETE")} == {403}
    assert read.ask("POST", "/api/datasets/golden/from-sql", json={"query": "SELECT 1"}).status_code == 403
    assert ingest.ask("GET", "/api/datasets/golden").status_code == 403
    assert other.get("/api/datasets")["datasets"] == []
    assert other.ask("GET", "/api/datasets/golden").status_code == 404
    assert other.ask("DELETE", "/api/datasets/golden").status_code == 404
    run = {"name": "run", "results": [{"input": "i", "faithfulness": 1}]}
    run_id = ingest.post("/api/sdk-evals", run)["run_id"]
    assert read.get(f"/api/evals/{run_id}")["name"] == "run"
    assert other.ask("GET", f"/api/evals/{run_id}").status_code == 404
    assert other.get("/api/evals")["runs"] == []
    assert ingest.ask("GET", "/api/evals").status_code == 403
    # The same run of another project is another run.
    assert other.post("/api/sdk-evals", run)["run_id"] == run_id
    assert len(other.get("/api/evals")["runs"]) == 1
    for client in (admin, read, ingest, other):
        client.close()


def test_a_policy_that_stores_no_content_allows_no_dataset(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--privacy", '{"default": {"content": "mask"}}').start()
    send(server, "s1")

    by_hand = error(server.post("/api/datasets/golden", {"entries": [{"input": "i"}]}))
    from_sql = error(server.post("/api/datasets/golden/from-sql", {"query": FROM_SPANS}))

    server.stop()
    assert by_hand == from_sql
    assert by_hand[0] == 409
    assert "the project's privacy policy stores no content" in by_hand[1]


def test_entries_are_redacted_and_still_found_by_the_customer(tmp_path: Path) -> None:
    policy = {"*": {"redact": ["email"], "deny": ["secret"]}}
    server = ServerProcess(tmp_path / "data", "--privacy", json.dumps(policy)).start()
    metadata = {"customer_id": "ann@example.com", "secret": "word", "topic": "mail"}
    entry = {"input": "I am ann@example.com", "output": "Hello", "metadata": metadata}
    server.post("/api/datasets/golden", {"entries": [entry, {"input": "other"}]})
    run = {"name": "run", "results": [{"input": "I am ann@example.com", "bias": 1, "metadata": metadata}]}
    server.post("/api/sdk-evals", run)
    server.post("/api/sdk-evals", run)

    (first, _) = entries(server, "golden")
    items = server.sql("SELECT input, metadata FROM evaluation_items")
    forgotten = subprocess.run(
        [COMMAND, "forget", "--customer", "ann@example.com", "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    left = entries(server, "golden")
    server.terminate()

    assert first == {
        "input": "I am [email]",
        "output": "Hello",
        "metadata": {"customer_id": "[email]", "topic": "mail"},
    }
    assert items == [{"input": "I am [email]", "metadata": '{"customer_id":"[email]","topic":"mail"}'}]
    assert dict(json.loads(forgotten.stdout)["rows"])["dataset_entries"] == 1
    assert [entry["input"] for entry in left] == ["other"]
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or b"ann@example.com" not in path.read_bytes(), path


@pytest.mark.parametrize("kind", ["data directory", "postgresql"])
def test_datasets_are_listed_exported_and_archived_without_a_server(tmp_path: Path, kind: str) -> None:
    database = new_database() if kind == "postgresql" else None
    flags = ["--registry-url", database] if database else []
    place = flags or ["--data-dir", tmp_path / "data"]
    server = ServerProcess(tmp_path / "data", *flags).start()
    entry = {"input": "question", "output": "answer", "metadata": {"n": 1}}
    assert server.post("/api/datasets/golden", {"entries": [entry]})[0] == 200
    at_server = command("list", "--url", server.url).stdout
    server.kill()

    listed = command("list", *place)
    exported = command("export", "golden", *place)
    archived = command("archive", "golden", *place)

    assert (listed.returncode, listed.stdout) == (0, at_server)
    assert json.loads(exported.stdout) == entry
    assert archived.returncode == 0, archived.stderr
    assert "no dataset 'golden' in project default" in command("export", "golden", *place).stderr
    assert "already" in command("archive", "golden", *place).stderr
    assert "url: either a server or" in command("list", *place, "--url", server.url).stderr
    other = command("list", *place, "--project", "other", "--archived").stdout
    assert "golden" not in other
    assert "golden" in command("list", *place, "--archived").stdout
