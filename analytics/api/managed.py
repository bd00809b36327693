"""Resources, versions, drafts and changes as the management API writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from schemas.api.prompt import Prompt
from storage.registry.bodies import resource_of
from storage.registry.differences import Difference
from storage.registry.resources import Change, Draft, Kind, Resource, Version

PATHS: Mapping[Kind, str] = {
    "config": "configs",
    "prompt": "prompts",
    "prompt_ab_test": "prompt-tests",
    "price": "prices",
    "experiment": "experiments",
    "alert": "alerts",
}
"""Under which path a kind is."""


def resource_content(kind: Kind, resource: Resource) -> dict[str, Any]:
    """Return a resource as JSON."""
    return {
        **version_content(kind, resource.latest),
        "archived_at": resource.archived_at,
        "has_draft": resource.has_draft,
    }


def version_content(kind: Kind, version: Version) -> dict[str, Any]:
    """Return a version as JSON; of a prompt with the variables that its texts use."""
    content = asdict(version)
    content["body"] = {"key": version.key, **version.body}
    if kind == "prompt":
        prompt = resource_of(kind, version.key, version.body)
        content["used_variables"] = prompt.used_variables() if isinstance(prompt, Prompt) else []
    return content


def draft_content(draft: Draft, changed: Sequence[Difference]) -> dict[str, Any]:
    """Return a draft as JSON, with what it would change of the latest version."""
    content = asdict(draft)
    del content["tag"]
    content["body"] = {"key": draft.key, **draft.body}
    return {**content, "differences": [difference.document() for difference in changed]}


def applied_content(change: Change) -> dict[str, Any]:
    """Return a change that was made as JSON."""
    content = asdict(change)
    del content["differences"]
    return content


def planned_content(change: Change) -> dict[str, Any]:
    """Return a change that was not made as JSON, with its differences."""
    return {**asdict(change), "differences": [difference.document() for difference in change.differences]}
