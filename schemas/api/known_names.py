"""The names that may stand where an unknown one was found: what an author may have meant by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel

SIMILARITY_MIN = 0.6
_CHOICES = ("anyOf", "oneOf", "allOf")

JsonSchema = Mapping[str, Any]


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Say that a name is not known, and which one is nearest, or else all there are."""
    nearest = get_close_matches(name, known, n=1, cutoff=SIMILARITY_MIN)
    if nearest:
        return f"unknown key, did you mean {nearest[0]!r}?"
    return f"unknown key; there are: {', '.join(known)}" if known else "unknown key"


def names_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Return the names that ``model`` has for the mapping at ``location``, in their order; of a union, all of them."""
    root = _schema(model)
    places = [root]
    for step in location:
        places = [below for place in places for below in _below(root, place, step)] or places
    names = (name for place in places for choice in _choices(root, place) for name in choice.get("properties", ()))
    return list(dict.fromkeys(names))


@cache
def _schema(model: type[BaseModel]) -> JsonSchema:
    return model.model_json_schema(by_alias=True)


def _choices(root: JsonSchema, schema: JsonSchema) -> Iterator[JsonSchema]:
    """Yield the schema itself, or what it refers to, or each of its choices."""
    if "$ref" in schema:
        yield from _choices(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
        return
    yield schema
    for name in _CHOICES:
        for choice in schema.get(name, ()):
            yield from _choices(root, choice)


def _below(root: JsonSchema, schema: JsonSchema, step: int | str) -> Iterator[JsonSchema]:
    # A step that leads nowhere, such as the tag of a union's choice, is left out by the caller.
    for choice in _choices(root, schema):
        if isinstance(step, int):
            if isinstance(choice.get("items"), Mapping):
                yield choice["items"]
        elif step in choice.get("properties", ()):
            yield choice["properties"][step]
        elif isinstance(choice.get("additionalProperties"), Mapping):
            yield choice["additionalProperties"]
