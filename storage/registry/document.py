"""A registry document from a file or a request: read, checked, and refused with one line a problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.api.problems import Problem, problems_of, shown
from schemas.api.registry import RegistryDocument
from storage.registry import plain_yaml
from storage.registry.errors import DocumentError

DOCUMENT_BYTES_MAX = 64 * 1024 * 1024

LISTS = ", ".join(RegistryDocument.model_fields)


def load(path: str | Path) -> RegistryDocument:
    """Return the document in the YAML file at ``path``; raise DocumentError, its lines led by the path."""
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            text = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as err:
        raise DocumentError([Problem("", f"cannot be read: {err.strerror}")], source) from err
    return from_yaml(text, source=source)


def from_yaml(text: bytes, *, source: str = "") -> RegistryDocument:
    """Return the document in ``text``; raise DocumentError with every problem found."""
    _check_size(text, source)
    data, problems = plain_yaml.parse(text)
    if problems:
        raise DocumentError(problems, source)
    if data is None:
        raise DocumentError([Problem("", f"is empty: a mapping with {LISTS} expected")], source)
    return parse(data, source=source)


def from_json(text: bytes) -> RegistryDocument:
    """Return the document in a request's body; raise DocumentError with every problem found."""
    return parse(json_value(text, f"a JSON object with {LISTS}"))


def json_value(text: bytes, expected: str) -> Any:
    """Return the JSON in a request's body, in which no key stands twice in one object; raise DocumentError."""
    _check_size(text, "")
    if not text.strip():
        raise DocumentError([Problem("", f"body is empty: {expected} expected")])
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as err:
        message = f"body is not valid JSON: {err.msg} at line {err.lineno}, column {err.colno}"
        raise DocumentError([Problem("", message)]) from err
    except (ValueError, RecursionError) as err:
        # Not UTF-8, a number of thousands of digits, nested too deeply.
        raise DocumentError([Problem("", f"body is not valid JSON: {err}")]) from err


def to_yaml(document: RegistryDocument) -> str:
    """Return the document as a YAML file, from which ``from_yaml`` gets the same again."""
    data = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    data = {name: resources for name, resources in data.items() if resources}
    text = plain_yaml.dump(data)
    # PyYAML folds lines in ways that it does not always read back; what is in no doubt is quoted.
    return text if plain_yaml.parse(text.encode()) == (data, []) else plain_yaml.dump(data, is_plain=False)


def parse(data: Any, *, source: str = "") -> RegistryDocument:
    """Return the document that plain data (mappings, lists, scalars) describes; raise DocumentError."""
    if not isinstance(data, dict):
        raise DocumentError([Problem("", f"must be a mapping with {LISTS}, got {shown(data)}")], source)
    try:
        return RegistryDocument.model_validate(data)
    except ValidationError as err:
        raise DocumentError(problems_of(err.errors(include_url=False), model=RegistryDocument), source) from err


def _check_size(text: bytes, source: str) -> None:
    if len(text) > DOCUMENT_BYTES_MAX:
        raise DocumentError([Problem("", f"must be at most {DOCUMENT_BYTES_MAX} bytes long")], source)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentError([Problem("", f"duplicate key {shown(key)} in one object")])
        found[key] = value
    return found
