"""Examples of what the management API answers, for its description; a test holds them to the shapes.

They hold no null: the framework leaves those out of a description.
"""

from __future__ import annotations

from typing import Any

from schemas.api import management as shapes

_DIFFERENCE = {
    "config": {"path": "variants.challenger.weight", "change": "changed", "before": 5, "after": 10},
    "prompt": {"path": "user_template", "change": "changed", "before": "Welcome {{user_name}}.", "after": "…"},
    "prompt_ab_test": {"path": "variants[0].weight", "change": "changed", "before": 90, "after": 50},
    "price": {"path": "usd_per_million.output", "change": "changed", "before": 0.8, "after": 0.6},
    "experiment": {"path": "metrics[1].margin", "change": "changed", "before": 0.1, "after": 0.05},
    "alert": {"path": "on[3]", "change": "removed", "before": "finished"},
}


def answer_example(shape: object, kind: str) -> dict[str, Any] | None:
    """Return an example of the shape about a resource of a kind; None where it has no content."""
    version = _version(kind)
    resource = {**version, "has_draft": True}
    differences = [_DIFFERENCE[kind]]
    examples: dict[object, dict[str, Any]] = {
        shapes.ResourceAnswer: resource,
        shapes.ResourceListAnswer: {"resources": [resource], "next": resource["key"]},
        shapes.VersionListAnswer: {"versions": [version]},
        shapes.VersionDetailAnswer: {**version, "differences": differences},
        shapes.DraftAnswer: {**_draft(kind), "differences": differences},
        shapes.DiffAnswer: {"from_version": 2, "to_version": 3, "differences": differences},
        shapes.PublishedAnswer: change_example(kind),
    }
    return examples.get(shape)


def change_example(kind: str) -> dict[str, Any]:
    """Return what was done with a resource."""
    return {"kind": kind, "key": shapes.EXAMPLES[kind]["key"], "version": 3, "action": "updated", "warnings": []}


def _version(kind: str) -> dict[str, Any]:
    body = shapes.EXAMPLES[kind]
    used = {"used_variables": ["company", "user_name"]} if kind == "prompt" else {}
    return {
        "key": body["key"],
        "version": 3,
        "author": "Ann",
        "note": "More traffic for the challenger",
        "created_at": "2026-11-21T09:00:00Z",
        "body": body,
        **used,
    }


def _draft(kind: str) -> dict[str, Any]:
    body = shapes.EXAMPLES[kind]
    return {
        "key": body["key"],
        "based_on": 3,
        "author": "Ann",
        "updated_at": "2026-11-21T09:00:00Z",
        "body": body,
    }
