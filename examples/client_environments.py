"""Virtual environments for published clients, made once under ``.client-environments/`` and kept.

Each client version needs an interpreter of its own: the distribution ``fallom`` on PyPI and this repository's SDK share
the import name. ``environment(name)`` returns the path of such an interpreter and makes the environment first if it is
not there, is from other pins, or was left unfinished. Run as a script, it makes the named ones, two at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import platform
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / ".client-environments"
BUILDS_AT_ONCE = 2
INSTALL_SECONDS_MAX = 300
ERROR_LINES_SHOWN = 8

# Tested together. The OTLP exporter's version fixes the OpenTelemetry SDK's, and that the semantic conventions' which
# the instrumentation is built on: with one of them free, a new release of another can make pip pick an old mix.
# The instrumentation wraps openai >= 1.0 and is not limited upwards; with 3.x it records plain, streamed and failed
# calls and the Responses API.
TRANSPORT_PINS = ("opentelemetry-exporter-otlp-proto-http==1.45.2", "requests==2.34.2", "openai==3.52.0")
INSTRUMENTED_PINS = (*TRANSPORT_PINS, "opentelemetry-instrumentation-openai==0.62.4")
PINS: dict[str, tuple[str, ...]] = {
    # 0.1.x traces by OpenTelemetry's instrumentation of the provider's client.
    "fallom-0.1.0": ("fallom==0.1.0", *INSTRUMENTED_PINS),
    "fallom-0.1.3": ("fallom==0.1.3", *INSTRUMENTED_PINS),
    # 0.2.x wraps the provider's client itself; it installs the exporter without using it.
    "fallom-0.2.2": ("fallom==0.2.2", *TRANSPORT_PINS),
    "fallom-0.2.7": ("fallom==0.2.7", *TRANSPORT_PINS),
    # OpenFeature, whose provider asks the server at each evaluation.
    "openfeature": ("openfeature-provider-ofrep==0.3.0", "openfeature-sdk==0.10.0", "requests==2.34.2"),
    # OpenTelemetry's exporter of OTLP/JSON pins parts that the other exporters need in other versions.
    "otlp-json": ("opentelemetry-exporter-otlp-json-http==0.66b1", "opentelemetry-sdk==1.45.1"),
}


class ClientEnvironmentError(RuntimeError):
    """An environment could not be made; the message says why and what to do."""


def environment(name: str) -> Path:
    """Return the path of the environment's interpreter; make the environment first where needed.

    Safe to call from several threads and processes at once: one makes it, the others wait.
    """
    if name not in PINS:
        raise ClientEnvironmentError(f"No client environment is called {name!r}: use one of {', '.join(PINS)}.")
    return environment_of(name, PINS[name])


def environment_of(name: str, pins: Sequence[str]) -> Path:
    """Do the same for an environment of exactly these pins."""
    directory = ROOT / name
    ROOT.mkdir(exist_ok=True)
    with _locked(ROOT / f"{name}.lock"):
        if not _is_complete(directory, pins):
            _make(directory, pins)
    return _interpreter(directory)


def main() -> None:
    """Make the environments named on the command line."""
    parser = argparse.ArgumentParser(description="Make virtual environments for published Fallom clients.")
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"any of {', '.join(PINS)}")
    names = parser.parse_args().names
    started = time.monotonic()
    failed = False
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        builds = {pool.submit(environment, name): name for name in names}
        for build in as_completed(builds):
            try:
                build.result()
            except ClientEnvironmentError as error:
                failed = True
                print(error, file=sys.stderr, flush=True)
            else:
                print(f"{builds[build]} is there after {time.monotonic() - started:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed by the kernel however the holder ends
        yield


def _make(directory: Path, pins: Sequence[str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, symlinks=True)  # without pip: this interpreter's pip installs into it
    _install(directory, pins)
    # Written last and at once, so that a marker means a complete environment.
    unfinished = directory / "pins.json.unfinished"
    unfinished.write_text(_marker(pins))
    unfinished.rename(_marker_path(directory))


def _install(directory: Path, pins: Sequence[str]) -> None:
    # Bytecode is left to the first import: compiling all that is installed takes longer than a demo needs.
    options = ("--no-compile", "--disable-pip-version-check", "--no-input", "--quiet")
    command = [sys.executable, "-m", "pip", "--python", str(_interpreter(directory)), "install", *options, *pins]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise ClientEnvironmentError(_failure(directory.name, pins, f"no end after {error.timeout:.0f} s")) from error
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()[-ERROR_LINES_SHOWN:]
        raise ClientEnvironmentError(_failure(directory.name, pins, "\n  ".join(lines)))


def _failure(name: str, pins: Sequence[str], reason: str) -> str:
    return (
        f"{name}: pip could not install {' '.join(pins)}:\n  {reason}\n"
        "Check that the package index that pip is configured for can be reached, then run this again."
    )


def _is_complete(directory: Path, pins: Sequence[str]) -> bool:
    marker = _marker_path(directory)
    # The interpreter is a link to the base installation's, which may have been removed since.
    return _interpreter(directory).exists() and marker.exists() and marker.read_text() == _marker(pins)


def _marker(pins: Sequence[str]) -> str:
    return json.dumps({"python": platform.python_version(), "pins": list(pins)}, indent=2) + "\n"


def _marker_path(directory: Path) -> Path:
    return directory / "pins.json"


def _interpreter(directory: Path) -> Path:
    return directory / "bin" / "python"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("client_environments: interrupted; what is unfinished is made anew next time.")
