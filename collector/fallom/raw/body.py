"""A raw body: JSON as text, or as an object already; and what stands in it."""

from collections.abc import Iterable, Mapping

import orjson

Object = Mapping[str, object]


def load(value: object) -> object:
    """Return the value of a JSON text; an object or list as it is; None for what is neither."""
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict | list) else None


def as_object(value: object) -> Object:
    """Return the object of a raw body; an empty one for anything else."""
    loaded = load(value)
    return loaded if isinstance(loaded, dict) else {}


def member(value: object, *names: str) -> object:
    """Return the first of an object's members of these names that says something; None of what is no object."""
    if isinstance(value, dict):
        for name in names:
            found = value.get(name)
            if found or (found is not None and found not in ("", [], {})):
                return found
    return None


def objects(value: object) -> list[Object]:
    """Return the objects of a list; an empty list for what is none."""
    return [item for item in value if isinstance(item, dict)] if value and isinstance(value, list) else []


def text_member(value: object, *names: str) -> str | None:
    """Return the first of an object's members of these names that is a text."""
    if isinstance(value, dict):
        for name in names:
            found = value.get(name)
            if found and isinstance(found, str):
                return found
    return None


def first_text(values: Iterable[object]) -> str | None:
    """Return the first text that is not empty."""
    return next((value for value in values if isinstance(value, str) and value), None)
