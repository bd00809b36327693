"""What a server has of recorded calls."""

from __future__ import annotations

from typing import Any

from recordings.runs import Recorded
from server_process import ServerProcess


def spans(server: ServerProcess, recorded: Recorded) -> list[dict[str, Any]]:
    """Return the spans of a call's trace, in the order of their start."""
    return server.sql(f"SELECT * FROM spans WHERE trace_id = '{recorded.trace_id}' ORDER BY start_time_unix_nano")


def inferences(server: ServerProcess, recorded: Recorded) -> list[dict[str, Any]]:
    """Return those that count as calls of a model."""
    return [row for row in spans(server, recorded) if row["is_inference"]]
