"""The description of the whole HTTP port: what the framework knows, and openapi.yaml for what stands beside it."""

from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI

_BESIDE = Path(__file__).with_suffix(".yaml")


def describe_all(app: FastAPI) -> None:
    """Make ``app`` describe keys and the paths that it does not answer itself, too."""
    of_framework = app.openapi
    found: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        nonlocal found
        # The framework keeps its own in ``openapi_schema``.
        found = found or _with_beside(of_framework())
        return found

    # A subclass would be as long, and FastAPI's own documentation has it so.
    app.openapi = openapi  # type: ignore[method-assign]


def _with_beside(described: dict[str, Any]) -> dict[str, Any]:
    beside = yaml.safe_load(_BESIDE.read_text(encoding="utf-8"))
    components = {
        kind: {**described["components"].get(kind, {}), **beside["components"].get(kind, {})}
        for kind in {**described["components"], **beside["components"]}
    }
    return {
        **described,
        "security": beside["security"],
        "components": components,
        "paths": {
            path: {**beside["paths"].get(path, {}), **described["paths"].get(path, {})}
            for path in {**beside["paths"], **described["paths"]}
        },
    }
