"""A real server process on free ports, and the handles that the end-to-end tests need of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).parent / "fallom-server"


def environment() -> dict[str, str]:
    """Return this process's environment without settings of a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FALLOM_")}


class ServerProcess:
    """``fallom-server serve`` on free ports over a data directory that outlives it."""

    def __init__(self, data_dir: Path, *flags: str, command: Sequence[str | Path] = (COMMAND,)) -> None:
        self.data_dir = data_dir
        self._flags = flags
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self.ready_line = ""
        self.url = ""
        self.grpc = ""

    def start(self) -> "ServerProcess":
        """Start, on new ports unless the flags name some, and wait for the line that says ready."""
        ports = () if "--http" in self._flags else ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
        with self._log_path.open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, "serve", "--data-dir", self.data_dir, *ports, *self._flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
            )
        assert self._process.stdout is not None
        self.ready_line = line = self._process.stdout.readline()
        assert line.startswith("ready "), f"the server did not start: {line!r} {self.log()[-2000:]}"
        fields = dict(part.split("=", 1) for part in line.split()[1:])
        self.url, self.grpc = fields["http"], fields["grpc"]
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Pull the plug."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def terminate(self, timeout_s: float = 30) -> int:
        """Ask it to stop, as a service manager does; return its exit code."""
        self.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def stop(self) -> None:
        """End it if it runs: the quick way, since nobody looks at its data any more."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def _log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def rest_of_output(self) -> str:
        """Return what it printed after the line that says ready, once it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def log(self) -> str:
        return self._log_path.read_text()

    def segments(self) -> list[Path]:
        """Return the segments that lie in its log: rows that are not committed yet."""
        return sorted((self.data_dir / "log").glob("*/*.arrow"))

    def wait_for_commit(self, timeout_s: float = 5.0) -> None:
        """Wait until the log is empty: every acknowledged row is in the lake."""
        deadline = time.monotonic() + timeout_s
        while segments := self.segments():
            assert time.monotonic() < deadline, f"not committed after {timeout_s} s: {segments}"
            time.sleep(0.02)

    def define(self, document: dict[str, Any]) -> None:
        """Make the document's configs, prompts and prompt tests the latest ones."""
        status, answer = self.post("/apply", document)
        assert status == 200, answer

    def apply(self, yaml_text: str) -> list[dict[str, Any]]:
        """Apply a YAML document by the command, to the running server."""
        path = self.data_dir.parent / "apply.yaml"
        path.write_text(yaml_text)
        done = subprocess.run(
            [COMMAND, "apply", path, "--url", self.url, "--json"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers in lowercase, body."""
        request = urllib.request.Request(self.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def get(self, path: str) -> tuple[int, Any]:
        status, _, body = self.request("GET", path)
        return status, json.loads(body)

    def post(self, path: str, content: object) -> tuple[int, Any]:
        status, _, body = self.request("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json"})
        return status, json.loads(body)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Return the answer's rows by column name."""
        status, answer = self.post("/sql", {"query": query})
        assert status == 200, answer
        return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]

    def results(self, key: str) -> dict[str, Any]:
        status, answer = self.get(f"/experiments/{key}/results")
        assert status == 200, answer
        return answer

    def wait_for(self, query: str, expected: object, timeout_s: float = 2.0) -> None:
        """Wait until the first value of the query's answer is as expected."""
        deadline = time.monotonic() + timeout_s
        while True:
            value = next(iter(self.sql(query)[0].values()))
            if value == expected:
                return
            assert time.monotonic() < deadline, f"{query}: {value!r} after {timeout_s} s, expected {expected!r}"
            time.sleep(0.05)
