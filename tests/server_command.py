"""The command ``fallom-server`` as a process that ends by itself, and what it prints."""

import json
import subprocess
from pathlib import Path
from typing import Any

from server_process import COMMAND, environment

SECONDS_MAX = 60


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command, with environment variables; return how it ended and what it printed."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
        env=environment() | variables,
    )


def done(*arguments: str | Path, **variables: str) -> str:
    """Run a command that must succeed; return what it printed."""
    finished = run(*arguments, **variables)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def answer(*arguments: str | Path, **variables: str) -> Any:
    """Run a command that must succeed; return what it printed as JSON."""
    return json.loads(done(*arguments, "--json", **variables))


def rows(*arguments: str | Path, **variables: str) -> list[dict[str, Any]]:
    """Run a command that must succeed; return its rows by column name."""
    found = answer(*arguments, **variables)
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
