"""Attributes as the JSON columns hold them (docs/schema.md): an object, or ``{"$kvlist": [[key, value], …]}``."""

from collections.abc import Callable
from typing import Any, Final

REMOVED: Final = object()
"""What a change returns for an attribute that is not to stay."""

Change = Callable[[str, Any], Any]
"""Returns an attribute's value, given its key and value; or REMOVED."""


def change_attributes(attributes: Any, change: Change) -> Any:
    """Return the attributes, each as the change leaves it; what is no object is returned as it is."""
    if not isinstance(attributes, dict):
        return attributes
    pairs = attributes.get("$kvlist")
    if isinstance(pairs, list) and len(attributes) == 1:
        # A flat trace may bear an attribute of that name with anything in it: what has no key can't be judged.
        named = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
        changed = [[key, change(str(key), value)] for key, value in named]
        return {"$kvlist": [pair for pair in changed if pair[1] is not REMOVED]}
    return {key: new for key, value in attributes.items() if (new := change(key, value)) is not REMOVED}


def change_each(parts: Any, change: Callable[[dict[str, Any], Any], Any]) -> Any:
    """Return events or links with their attributes replaced by what the change makes of (the part, its attributes)."""
    if not isinstance(parts, list):
        return parts
    return [
        part | {"attributes": change(part, part["attributes"])}
        if isinstance(part, dict) and "attributes" in part
        else part
        for part in parts
    ]
