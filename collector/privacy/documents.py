"""JSON of the lake's columns, read and written so that what is not changed stays as it was."""

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from schemas.json_attributes import Change, change_attributes, change_each

# A double would be made of an integer beyond 64 bits.
_LONG_INTEGER = re.compile(r"\d{19}")


def load(text: str) -> Any:
    """Return the value of a JSON text, integers of any size. Raises ValueError, RecursionError."""
    value = orjson.loads(text)
    return json.loads(text) if _LONG_INTEGER.search(text) else value


def dump(value: Any) -> str:
    """Return a value as JSON. Raises ValueError, RecursionError."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def changed(text: str, change: Callable[[Any], Any]) -> str | None:
    """Return the JSON text of what a change makes of a text's value; None for what can't be read, nor judged."""
    try:
        value = load(text)
        new = change(value)
        return text if new == value else dump(new)
    except (ValueError, RecursionError):
        return None


def changed_attributes(text: str, change: Change) -> str | None:
    """Return attributes, each as the change leaves it."""
    return changed(text, lambda attributes: change_attributes(attributes, change))


def changed_parts(text: str, change: Callable[[dict[str, Any]], Change]) -> str | None:
    """Return events or links, each of their attributes as the change that is made for the part leaves it."""
    return changed(
        text, lambda parts: change_each(parts, lambda part, attributes: change_attributes(attributes, change(part)))
    )
