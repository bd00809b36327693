"""The description of a body that a route reads by itself."""

from typing import Any

from pydantic import BaseModel


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return what FastAPI adds to a route's description: its JSON body, each definition where it is referred to."""
    schema = model.model_json_schema(by_alias=True)
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
