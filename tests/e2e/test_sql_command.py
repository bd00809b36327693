"""``fallom-server sql``: formats, watching, the shell, from a server and from a data directory."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from client_messages import metrics
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

QUERY = "SELECT session_id, value_double AS score, NULL AS nothing FROM metrics ORDER BY session_id"
ROWS = [{"session_id": f"session-{n}", "score": n + 0.5, "nothing": None} for n in range(3)]


@pytest.fixture(scope="module")
def filled(shared_server: ServerProcess) -> ServerProcess:
    for row in ROWS:
        shared_server.post("/spans", metrics("config", row["session_id"], score=row["score"]))
    return shared_server


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, "sql", *arguments], capture_output=True, check=False, timeout=60, env=environment(), input=b""
    )


@pytest.mark.parametrize("place", ["--url", "--data-dir"])
def test_rows_are_printed_in_each_format(filled: ServerProcess, place: str) -> None:
    target = {"--url": filled.url, "--data-dir": str(filled.data_dir)}[place]

    found = {form: run(QUERY, place, target, "--format", form) for form in ("json", "jsonl", "csv", "arrow", "parquet")}

    assert {form: (done.returncode, done.stderr) for form, done in found.items()} == dict.fromkeys(found, (0, b""))
    table = json.loads(found["json"].stdout)
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] == ROWS
    assert [json.loads(line) for line in found["jsonl"].stdout.splitlines()] == ROWS
    assert found["csv"].stdout.decode().splitlines()[:2] == ["session_id,score,nothing", "session-0,0.5,"]
    assert pa.ipc.open_stream(found["arrow"].stdout).read_all().to_pylist() == ROWS
    assert pq.read_table(io.BytesIO(found["parquet"].stdout)).to_pylist() == ROWS


def test_watching_asks_until_it_is_interrupted(filled: ServerProcess) -> None:
    arguments = [COMMAND, "sql", "SELECT 'again' AS word", "--url", filled.url, "--watch", "0.2"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        code = process.wait(20)

    assert lines == [b"word\n", b"again\n"] * 3
    assert code == 130


def test_without_a_statement_and_a_terminal_there_is_an_error(filled: ServerProcess) -> None:
    done = run("--url", filled.url)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"a statement expected" in done.stderr


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process, self._descriptor = pty.fork()
        if self.process == 0:
            # Not a colour and no escape of readline's.
            os.execve(COMMAND, [str(COMMAND), "sql", *arguments], environment() | {"HOME": str(home), "TERM": "dumb"})
        self.text = ""

    def expect(self, pattern: str, timeout_s: float = 30) -> str:
        """Read until the pattern has come; return what came before it."""
        deadline_s = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline_s, f"no {pattern!r} in {self.text!r}"
            try:
                self.text += os.read(self._descriptor, 65536).decode(errors="replace").replace("\r", "")
            except OSError:
                time.sleep(0.05)
        before, self.text = self.text[: found.end()], self.text[found.end() :]
        return before

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.mark.parametrize("place", ["--url", "--data-dir"])
def test_the_shell_answers_statements_and_commands(filled: ServerProcess, tmp_path: Path, place: str) -> None:
    terminal = Terminal(tmp_path, place, {"--url": filled.url, "--data-dir": str(filled.data_dir)}[place])
    terminal.expect("sql> ")

    terminal.type("SELECT count(*)\n")
    terminal.expect(r"\.\.\.> ")
    terminal.type("AS sessions FROM metrics;\n")
    assert "sessions" in terminal.expect(r"1 row in \d+\.\d+ s")
    terminal.expect("sql> ")
    terminal.type("SELEC 1;\n")
    terminal.expect("syntax error")
    terminal.expect("sql> ")
    terminal.type(".tables\n")
    assert "llm_calls" in terminal.expect("sql> ")
    terminal.type(".schema exposures\n")
    assert "assigned_model" in terminal.expect("sql> ")
    terminal.type(".schema sessions\n")
    assert "unpriced_calls" in terminal.expect("sql> ")
    terminal.type(".nothing\n")
    terminal.expect("no such command")
    terminal.type(".quit\n")

    assert terminal.end() == 0
    assert "SELECT count" in (tmp_path / ".local" / "state" / "fallom" / "sql_history").read_text()


def test_an_interrupt_stops_the_statement_and_not_the_shell(filled: ServerProcess, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--data-dir", str(filled.data_dir))
    terminal.expect("sql> ")

    terminal.type("SELECT sleep_ms(60000);\n")
    terminal.expect(r"\d+ s")
    terminal.type("\x03")
    terminal.expect("stopped")
    terminal.expect("sql> ")
    terminal.type("SELECT 6 * 7;\n")
    assert "42" in terminal.expect("1 row in")
    terminal.expect("sql> ")
    terminal.type("\x04")

    assert terminal.end() == 0
