"""The fixtures of the dialects: a cell each, what a library sends and all columns of the dialects that it fills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collector_inputs import START_UNIX_NANO, export, span

Cell = dict[str, Any]

CELLS: list[Cell] = [
    cell
    for path in sorted((Path(__file__).parent / "schemas" / "dialects" / "cells").glob("*.json"))
    for cell in json.loads(path.read_text())
]


def name(cell: Cell) -> str:
    """Return what a test of the cell is called."""
    return f"{cell['column']}-{cell['key']}"


def body_of(cell: Cell) -> bytes:
    """Return the export of the span that the cell is."""
    sent = span(cell.get("attributes"))
    for event in cell.get("events", ()):
        sent.events.add(
            name=event["name"],
            time_unix_nano=START_UNIX_NANO + event["after_ns"],
            attributes=span(event["attributes"]).attributes,
        )
    return export(sent, scope_name=cell.get("scope", "any"))


def merged(*cells: Cell) -> Cell:
    """Return one cell that sends what all of them do."""
    return {
        "scope": next((cell["scope"] for cell in cells if "scope" in cell), "any"),
        "attributes": {key: value for cell in cells for key, value in cell.get("attributes", {}).items()},
        "events": [event for cell in cells for event in cell.get("events", ())],
    }


def headers(*cells: Cell) -> dict[str, str]:
    """Return the headers that the cells are sent with."""
    return {key: value for cell in cells for key, value in cell.get("headers", {}).items()}
