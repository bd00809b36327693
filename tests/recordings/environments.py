"""The environments that drivers run in, made once under ``.client-environments/`` and kept.

Run as a script, it makes them, or says why it can't and exits with 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from javascript_packages import JavaScriptError, installed

from examples.client_environments import ClientEnvironmentError, environment_of

HERE = Path(__file__).resolve().parent


class EnvironmentMissingError(RuntimeError):
    """An environment is not there and can't be made here; the message says why."""


def command(driver: str) -> list[str]:
    """Return the command that runs a driver; make its environment first where needed."""
    try:
        if driver.endswith(".mjs"):
            return ["node", str(installed(HERE / "javascript", "recordings-javascript") / driver)]
        return [str(environment_of("recordings", pins())), str(HERE / "drivers" / driver)]
    except (ClientEnvironmentError, JavaScriptError) as error:
        raise EnvironmentMissingError(str(error)) from error


def pins() -> tuple[str, ...]:
    """Return the Python packages, each of one version: all instrumentors live in one environment."""
    return tuple((HERE / "requirements.txt").read_text().splitlines())


def main() -> None:
    """Make all environments."""
    for driver in ("openai_client.py", "vercel.mjs"):
        command(driver)


if __name__ == "__main__":
    try:
        main()
    except EnvironmentMissingError as error:
        sys.exit(str(error))
