"""Keys that the management API's paths leave no room for: ``team/draft`` there is the draft of ``team``."""

from __future__ import annotations

ACTIONS = frozenset(
    {"archive", "conclude", "diff", "draft", "publish", "restore", "rollback", "rollout", "stop", "versions"}
)
"""The last part of those paths; behind ``versions`` stands a number."""
EXPERIMENT_ACTIONS = ACTIONS | {"end"}
ALERT_ACTIONS = ACTIONS | {"test"}


def reserved_part(key: str, actions: frozenset[str] = ACTIONS) -> str | None:
    """Return the end of a key which, behind another key, is a path of its own; None where there is none."""
    lead, _, last = key.rpartition("/")
    if lead and last in actions:
        return last
    before, _, versions = lead.rpartition("/")
    return f"versions/{last}" if before and versions == "versions" and last.isdecimal() else None
