"""OpenTelemetry's exporters for JavaScript, installed once under ``.client-environments/`` from their lock file."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from javascript_packages import ENVIRONMENTS, installed

SOURCES = Path(__file__).parent / "javascript"
INSTALLED = ENVIRONMENTS / "javascript"
EXPORT_S_MAX = 60


def install() -> None:
    """Install them; skip where there is no Node.js."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js is not installed")
    installed(SOURCES, INSTALLED.name)


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
