"""Problems of an input, one line each: the path to the field, the rule it broke, and what was got."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticCustomError

from schemas.api.known_names import names_at, unknown_name

SHOWN_CHARS_MAX = 80
"""How much of a refused value is quoted back."""

LIST_FORM = "<list>"
OBJECT_FORM = "<object>"
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w-]*")

_RULES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "extra_forbidden": "unknown key",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "invalid_key": "every key must be a string",
    "list_type": "must be a list",
    "literal_error": "must be one of {expected}",
    "missing": "is required",
    "model_attributes_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "too_long": "must have at most {max_length} items",
    "too_short": "must not be empty",
    "union_tag_not_found": "must be a list or a mapping",
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}
_WITHOUT_VALUE = frozenset({"missing", "extra_forbidden", "json_invalid"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why an input is refused, at ``path`` (empty: the input as a whole)."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def refusal(*problems: Problem) -> PydanticCustomError:
    """Return the error that a pydantic validator raises for problems at paths below its own field or model."""
    text = "; ".join(str(problem) for problem in problems)
    return PydanticCustomError("problems", "{text}", {"text": text, "problems": problems})


def problems_of(
    errors: Iterable[ErrorDetails], *, prefix: int = 0, model: type[BaseModel] | None = None
) -> list[Problem]:
    """Rewrite pydantic's errors as problems; ``prefix`` leading parts of each location are left out of the path.

    An unknown key is told with the nearest one that ``model``, whose errors these are, has there.
    """
    found = []
    for error in errors:
        path = path_text(error["loc"][prefix:])
        if error["type"] == "problems":
            found += [Problem(_joined(path, inner.path), inner.message) for inner in error["ctx"]["problems"]]
        elif error["type"] == "extra_forbidden" and model is not None:
            *parents, name = error["loc"]
            found.append(Problem(path, unknown_name(str(name), names_at(model, parents))))
        else:
            found.append(Problem(path, _message(error)))
    return found


def path_text(location: Iterable[int | str]) -> str:
    """Write a location as ``configs[0].variants[1].weight``."""
    text = ""
    for part in location:
        if part in (LIST_FORM, OBJECT_FORM, "[key]"):
            continue
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_NAME.fullmatch(part):
            text = _joined(text, part)
        else:
            text += f"[{json.dumps(_shortened(part), ensure_ascii=False)}]"
    return text


def shown(value: object) -> str:
    """Describe a refused value in a few words, as a YAML or JSON author would write it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return _shown_string(value)
    if isinstance(value, Mapping):
        return _counted(len(value), "a mapping", "key")
    if isinstance(value, list | tuple | set):
        return _counted(len(value), "a list", "item")
    if isinstance(value, datetime.date):
        return f"{value} (a date: quote it to make it a string)"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    return _shortened(str(value))


def _message(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "json_invalid":
        return f"is not valid JSON: {context.get('error', '')}"
    if kind in _BOUNDS:
        sign, name = _BOUNDS[kind]
        rule = f"must be {sign} {_plain_number(context[name])}"
    elif kind == "string_pattern_mismatch":
        rule = _pattern_rule(str(context["pattern"]))
    elif kind in _RULES:
        rule = _RULES[kind].format(**context)
    elif kind == "value_error":
        # What a validator says of a value, or of several that don't go together, is all that there is to say.
        text, got = str(context["error"]), error["input"]
        return text if "got " in text or isinstance(got, Mapping) else f"{text}, got {shown(got)}"
    else:
        rule = error["msg"].replace("Input should be", "must be")
    return rule if kind in _WITHOUT_VALUE else f"{rule}, got {shown(error['input'])}"


def _pattern_rule(pattern: str) -> str:
    if pattern == NAME_PATTERN:
        return "must not hold control characters, nor begin or end with white space"
    if pattern == VARIABLE_PATTERN:
        return "must be made of letters, digits and underscores"
    return "must not hold a NUL character" if pattern == TEXT_PATTERN else f"must match {pattern}"


NAME_PATTERN = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
"""What a key, a name or a model may hold: one printable line."""

TEXT_PATTERN = r"^[^\x00]*$"
"""What a template may hold: PostgreSQL stores no NUL."""

VARIABLE_PATTERN = r"^\w+$"
"""What the name of a template's variable may hold: what the clients look for between the braces."""


def _joined(path: str, rest: str) -> str:
    if not path or not rest or rest.startswith("["):
        return path + rest
    return f"{path}.{rest}"


def _plain_number(bound: Any) -> str:
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _counted(count: int, collection: str, item: str) -> str:
    if count == 0:
        return f"an empty {collection.removeprefix('a ')}"
    return f"{collection} of {count} {item}{'' if count == 1 else 's'}"


def _shown_string(value: str) -> str:
    length = f" ({len(value)} characters)" if len(value) > SHOWN_CHARS_MAX else ""
    return f"{_shortened(value)!r}{length}"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"
