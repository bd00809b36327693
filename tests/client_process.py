"""A client in an environment of its own, that is asked line by line."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from examples.client_environments import environment

DRIVERS = Path(__file__).resolve().parent / "e2e" / "clients"


def settings() -> dict[str, str]:
    """Return the environment of a client: nothing that points it anywhere else."""
    return {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}


class ClientProcess:
    """A driver that reads a line of JSON and answers with one."""

    def __init__(self, name: str, driver: str, setup: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [str(environment(name)), str(DRIVERS / driver)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=settings(),
        )
        self._send(setup)

    def __enter__(self) -> "ClientProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, question: object) -> dict[str, Any]:
        """Return the answer to one line."""
        self._send(question)
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _send(self, content: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()
