"""The commands: how they start, refuse, stop, and what they print."""

import json
import re
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from client_messages import (
    JSON,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    http_client,
    metrics,
    span,
)
from deltalake import DeltaTable
from server_command import run
from server_process import ServerProcess

from server.commands import main

pytestmark = pytest.mark.e2e

COMMAND_SECONDS_MAX = 20
FREE_PORTS = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
CONFIGS = """
configs:
  - key: summarizer
    variants: [{model: a, weight: 50}, {model: b, weight: 50}]
"""


def problem_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a failed command says: one line on stderr, and nothing on stdout."""
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("fallom-server: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("fallom-server: ").rstrip("\n")


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_port_of_another_server_is_named(tmp_path: Path, shared_server: ServerProcess, transport: str) -> None:
    address = {"http": shared_server.url.removeprefix("http://"), "grpc": shared_server.grpc}[transport]

    done = run("serve", "--data-dir", tmp_path / "data", *FREE_PORTS, f"--{transport}", address)

    protocol = {"http": "HTTP", "grpc": "gRPC"}[transport]
    assert problem_of(done) == f"can't listen on {address} for {protocol}: Address already in use"


def test_a_data_directory_in_use_is_refused_and_its_server_goes_on(shared_server: ServerProcess) -> None:
    done = run("serve", "--data-dir", shared_server.data_dir, *FREE_PORTS)

    assert problem_of(done) == (
        f"data directory {shared_server.data_dir} is in use by another server (process {shared_server.pid})"
    )
    assert shared_server.post("/spans", metrics("config", "session", score=1))[0] == 200


def test_answers_on_a_kept_connection_are_not_held_back(shared_server: ServerProcess) -> None:
    seconds = []
    with http_client(shared_server.url) as client:
        for _ in range(20):
            began = time.monotonic()
            client.get("/configs")
            seconds.append(time.monotonic() - began)

    assert statistics.median(seconds) < 0.03, "an answer waits for the acknowledgement of its first packet"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_every_request_that_is_in(tmp_path: Path, number: signal.Signals) -> None:
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600").start()
    assert_both_ports_accept(server.ready_line)
    server.define({"configs": [{"key": "summarizer", "variants": [{"model": "a", "weight": 100}]}]})
    stop = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        sending = (send_traces, send_otlp, send_metrics, send_exposures)
        senders = [pool.submit(sender, server, stop) for sender in sending]
        time.sleep(0.4)
        with begun_request(server, flat_trace("summarizer", "in flight")) as finish:
            slow = pool.submit(slow_question, server.url)
            time.sleep(0.2)
            server.send_signal(number)
            time.sleep(0.2)
            answer = finish()
        code = server.wait()
        stop.set()
        acknowledged = [sender.result() for sender in senders]

    traces, spans, scores, sessions = acknowledged
    assert (code, server.rest_of_output()) == (0, "")
    assert answer.startswith(b"HTTP/1.1 200")
    assert slow.result() == 503, "a question is not waited for"
    assert server.segments() == []
    assert "Traceback" not in server.log()
    assert min(map(len, acknowledged)) > 0
    assert stored(server, "spans", "session_id") >= {*traces, *spans, "in flight"}
    assert stored(server, "metrics", "session_id") >= scores
    assert stored(server, "exposures", "session_id") >= sessions
    assert len(stored(server, "session_rollup", "session_id")) == stored_count(server, "spans")
    frame = pl.scan_delta(str(server.data_dir / "lake" / "spans")).filter(pl.col("config_key") == "summarizer")
    assert set(frame.select("session_id").collect()["session_id"]) == stored(server, "spans", "session_id")


def test_a_file_applied_to_the_data_directory_is_served_within_a_second(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "configs.yaml"
    path.write_text(CONFIGS)
    assert shared_server.get("/configs") == (200, {"configs": []})

    first = run("apply", path, "--data-dir", shared_server.data_dir, "--json")
    deadline = time.monotonic() + 1
    while not (configs := shared_server.get("/configs")[1]["configs"]) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert json.loads(first.stdout) == {
        "columns": ["kind", "key", "version", "action"],
        "rows": [["config", "summarizer", 1, "created"]],
    }
    assert [(config["key"], config["version"]) for config in configs] == [("summarizer", 1)]


@pytest.mark.parametrize("place", ["--url", "--data-dir"])
def test_a_file_applied_again_changes_nothing_and_a_changed_one_makes_a_version(
    shared_server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    key = f"versions{place}"
    target = {"--url": shared_server.url, "--data-dir": str(shared_server.data_dir)}[place]
    path = tmp_path / "configs.yaml"
    path.write_text(CONFIGS.replace("summarizer", key))
    changed = tmp_path / "changed.yaml"
    changed.write_text(path.read_text().replace("50", "40"))

    outputs = []
    for file in (path, path, changed):
        main(["apply", str(file), place, target])
        outputs.append(capsys.readouterr())

    head = "kind\tkey\tversion\taction\nconfig"
    assert [output.out for output in outputs] == [
        f"{head}\t{key}\t1\tcreated\n",
        f"{head}\t{key}\t1\tunchanged\n",
        f"{head}\t{key}\t2\tupdated\n",
    ]
    # The server's other tests share the unsalted hash, of which it warns too.
    warned = [[line for line in output.err.splitlines() if "hash_version: 1" not in line] for output in outputs]
    # Weights of 40 and 40 are halves, as those of 50 and 50.
    assert warned == [[], [], []]


def test_sql_answers_alike_from_the_server_and_from_the_data_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "tab\there\nand\\line"
    server = ServerProcess(tmp_path / "data").start()
    for number in range(3):
        server.post("/spans", metrics("config", f"session-{number}", score=number + 0.5, note=note))
    query = (
        "SELECT session_id, max(value_double) AS score, max(value_string) AS note, NULL AS nothing, count(*) AS n"
        " FROM metrics GROUP BY session_id ORDER BY session_id"
    )

    def answer(*arguments: str) -> str:
        main(["sql", query, *arguments])
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    answers = [answer("--url", server.url, "--json"), answer("--data-dir", str(server.data_dir), "--json")]
    plain = run("sql", query, "--url", server.url)
    assert server.terminate() == 0
    answers += [answer("--data-dir", str(server.data_dir), "--json")]

    wanted = {
        "columns": ["session_id", "score", "note", "nothing", "n"],
        "rows": [[f"session-{number}", number + 0.5, note, None, 2] for number in range(3)],
    }
    assert [json.loads(found) for found in answers] == [wanted] * 3
    assert plain.stderr == ""
    assert plain.stdout.splitlines() == [
        "session_id\tscore\tnote\tnothing\tn",
        *(f"session-{number}\t{number + 0.5}\ttab\\there\\nand\\line\t\t2" for number in range(3)),
    ]


@pytest.mark.parametrize("place", ["--url", "--data-dir"])
def test_a_statement_that_cannot_be_answered_fails(
    shared_server: ServerProcess, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    target = {"--url": shared_server.url, "--data-dir": str(shared_server.data_dir)}[place]

    for query, words in (
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() is not allowed"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(["sql", query, place, target])
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("fallom-server: ")
        assert words in output.err


def test_a_cut_answer_says_so(shared_server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sql", "SELECT * FROM range(10)", "--data-dir", str(shared_server.data_dir), "--rows-max", "2"])

    output = capsys.readouterr()
    assert output.out == "range\n0\n1\n"
    assert output.err == "the answer was cut at 2 rows\n"


def assert_both_ports_accept(line: str) -> None:
    """The line has the form that others script against, and at its time both ports accept."""
    ready = re.fullmatch(r"ready http=http://(127\.0\.0\.1):(\d+) grpc=(127\.0\.0\.1):(\d+)\n", line)
    assert ready, line
    for host, port in (ready.group(1, 2), ready.group(3, 4)):
        socket.create_connection((host, int(port)), timeout=1).close()


@contextmanager
def begun_request(server: ServerProcess, document: dict[str, Any]) -> Iterator[Any]:
    """Send a request but for its last byte; give the function that sends that and returns the answer."""
    body = json.dumps(document).encode()
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=COMMAND_SECONDS_MAX) as connection:
        connection.sendall(head.encode() + body[:-1])

        def finish() -> bytes:
            connection.sendall(body[-1:])
            return connection.recv(65536)

        yield finish


def slow_question(url: str) -> int:
    """Ask a question that takes longer than the signal to come; return the answer's status."""
    query = "SELECT sum(a.i * b.i) FROM range(100000) a(i), range(100000) b(i)"
    with http_client(url) as client:
        return client.post("/sql", json={"query": query}).status_code


def send_traces(server: ServerProcess, stop: threading.Event) -> set[str]:
    return _send(server, stop, "/v1/traces", lambda session_id: flat_trace("summarizer", session_id), "flat")


def send_metrics(server: ServerProcess, stop: threading.Event) -> set[str]:
    return _send(server, stop, "/spans", lambda session_id: metrics("summarizer", session_id, score=1), "metric")


def send_exposures(server: ServerProcess, stop: threading.Event) -> set[str]:
    return _send(server, stop, "/sessions", lambda session_id: exposure("summarizer", session_id, "a"), "exposure")


def send_otlp(server: ServerProcess, stop: threading.Event) -> set[str]:
    """Send spans over gRPC until the server refuses; return the sessions acknowledged."""
    acknowledged: set[str] = set()
    with grpc_channel(server.grpc) as channel:
        while not stop.is_set():
            session_id = f"otlp-{len(acknowledged)}"
            attributes = {
                "fallom.config_key": "summarizer",
                "fallom.session_id": session_id,
                "gen_ai.request.model": "gpt-4o",
            }
            try:
                export_bytes(channel, export_request([span(attributes=attributes)]).SerializeToString())
            except Exception:
                break
            acknowledged.add(session_id)
    return acknowledged


def _send(server: ServerProcess, stop: threading.Event, path: str, body: Any, prefix: str) -> set[str]:
    acknowledged: set[str] = set()
    with http_client(server.url) as client:
        while not stop.is_set():
            session_id = f"{prefix}-{len(acknowledged)}"
            try:
                answer = client.post(path, content=json.dumps(body(session_id)), headers=JSON)
            except httpx.TransportError:
                break
            if answer.status_code != 200:
                assert answer.status_code == 503, answer.text
                break
            acknowledged.add(session_id)
    return acknowledged


def stored(server: ServerProcess, table: str, column: str) -> set[str]:
    """Return the values of a column of a Delta table, read without the server."""
    found = DeltaTable(server.data_dir / "lake" / table).to_pyarrow_dataset().to_table(columns=[column])
    return set(found[column].to_pylist())


def stored_count(server: ServerProcess, table: str) -> int:
    return int(DeltaTable(server.data_dir / "lake" / table).to_pyarrow_dataset().count_rows())
