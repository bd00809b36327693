"""Parts of the API's description that FastAPI can't derive: bodies that are read by hand, answers that are bytes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from schemas.api.errors import ErrorAnswer


def answers(model: type[BaseModel] | None, *errors: int, success: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the description of an answer, and of the errors beside it."""
    answered: dict[int | str, dict[str, Any]] = {success: {"model": model}} if model is not None else {}
    return {**answered, **{status: {"model": ErrorAnswer} for status in errors}}


def json_request(model: type[BaseModel], example: object = None, *, required: bool = True) -> dict[str, Any]:
    """Return the description of a JSON body."""
    schema = model.model_json_schema()
    described: dict[str, Any] = {"schema": _inlined(schema, schema.pop("$defs", {}))}
    if example is not None:
        described["example"] = example
    return {"requestBody": {"required": required, "content": {"application/json": described}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put each definition where it is referred to: the OpenAPI document has no other place for them."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
