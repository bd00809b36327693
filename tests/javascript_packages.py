"""Packages for JavaScript, installed once under ``.client-environments/`` from a lock file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[1] / ".client-environments"
INSTALL_S_MAX = 300


class JavaScriptError(RuntimeError):
    """The packages can't be installed here; the message says why."""


def installed(sources: Path, name: str) -> Path:
    """Install what the lock file names, unless that is there, beside the scripts; return the folder of both."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise JavaScriptError("Node.js is not installed")
    folder = ENVIRONMENTS / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = (sources / "package-lock.json").read_bytes()
    marker = folder / "installed.lock"
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_bytes() != lock:
            for file_name in ("package.json", "package-lock.json"):
                shutil.copy(sources / file_name, folder / file_name)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S_MAX)
            if done.returncode != 0:
                raise JavaScriptError(f"npm can't install {name}: {done.stderr[-2000:]}")
            marker.write_bytes(lock)
        # Beside what they import.
        for script in sources.glob("*.mjs"):
            shutil.copy(script, folder / script.name)
    return folder
