"""OpenTelemetry's exporters for JavaScript, installed once under ``.client-environments/`` from their lock file."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parent / "javascript"
INSTALLED = Path(__file__).parents[1] / ".client-environments" / "javascript"
INSTALL_S_MAX = 300
EXPORT_S_MAX = 60


def install() -> None:
    """Install what the lock file names, unless that is there; skip where there is no Node.js."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js is not installed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock = (SOURCES / "package-lock.json").read_bytes()
    marker = INSTALLED / "installed.lock"
    with INSTALLED.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_bytes() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, INSTALLED / name)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=INSTALL_S_MAX)
            assert done.returncode == 0, done.stderr
            marker.write_bytes(lock)
        # Beside what it imports.
        shutil.copy(SOURCES / "export.mjs", INSTALLED / "export.mjs")


def export(kind: str, url: str, *, compression: str = "none", count: int = 1, key: str = "") -> subprocess.Popen[str]:
    """Begin to export ``count`` pairs of spans by the exporter called ``kind``: ``grpc``, ``http`` or ``proto``."""
    return subprocess.Popen(
        ["node", INSTALLED / "export.mjs", kind, url, compression, str(count), key],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(exporting: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for its end; return ``{code, error, attempts, spans}``: code 0 where all was acknowledged."""
    output, errors = exporting.communicate(timeout=EXPORT_S_MAX)
    assert exporting.returncode == 0, errors
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result
