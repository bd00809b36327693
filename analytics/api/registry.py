"""Configs, prompts and prompt tests over HTTP: served to clients from memory, and changed by ``POST /apply``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from schemas.api.errors import ErrorAnswer
from schemas.api.registry import RegistryDocument
from schemas.api.registry_answers import ApplyAnswer, ConfigsAnswer, PromptsAnswer, PromptTestsAnswer, ServedConfig
from storage.registry import document
from storage.registry.errors import DocumentError, RegistryBusyError, RegistryError
from storage.registry.registry import Registry

Project = Annotated[str, Depends(project)]


def router(registry: Registry) -> APIRouter:
    """Return the routes over ``registry``; what is read from memory is answered without waiting for a thread."""
    routes = APIRouter(tags=["registry"])
    # A document takes many times its size while it is read, and one writes at a time anyway.
    applying = CapacityLimiter(1)

    @routes.get("/configs", responses=_answers(ConfigsAnswer))
    async def configs(project: Project) -> Response:
        """Return the latest version of every config."""
        return json_answer({"configs": registry.configs(project)})

    @routes.get("/configs/{key:path}/version/{version}", responses=_answers(ServedConfig, 400, 404, 503))
    def config(project: Project, key: str, version: int) -> Response:
        """Return one version of a config."""
        with _errors():
            found = registry.config(project, key, version)
        if found is None:
            raise ApiError(404, "not_found", _absent(registry, project, key, version))
        return json_answer(found)

    @routes.get("/prompts", responses=_answers(PromptsAnswer))
    async def prompts(project: Project) -> Response:
        """Return every prompt: its latest version, after any older one that a prompt test pins."""
        return json_answer({"prompts": registry.prompts(project)})

    @routes.get("/prompt-ab-tests", responses=_answers(PromptTestsAnswer))
    async def prompt_ab_tests(project: Project) -> Response:
        """Return the latest version of every prompt test."""
        return json_answer({"prompt_ab_tests": registry.prompt_ab_tests(project)})

    @routes.post("/apply", responses=_answers(ApplyAnswer, 400, 413, 415, 503), openapi_extra=_apply_body())
    async def apply(project: Project, request: Request) -> Response:
        """Make a document's resources the latest ones, all or none; a changed one gets a new version."""
        _check_content_type(request)
        body = await _body(request)
        return await to_thread.run_sync(_apply, registry, project, body, limiter=applying)

    return routes


def _apply(registry: Registry, project: str, body: bytes) -> Response:
    with _errors():
        changes = registry.apply(project, document.from_json(body))
    return json_answer({"changes": [asdict(change) for change in changes]})


def _check_content_type(request: Request) -> None:
    # A web page may send text/plain to another host unasked, but not JSON: so no page can change a local registry.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415,
            "unsupported_media_type",
            f"Content-Type must be application/json, got {kind or 'none'}",
            "Content-Type",
        )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > document.DOCUMENT_BYTES_MAX:
            raise ApiError(413, "too_large", f"body must be at most {document.DOCUMENT_BYTES_MAX} bytes long")
    return bytes(body)


def _absent(registry: Registry, project: str, key: str, version: int) -> str:
    if not registry.knows_config(project, key):
        return f"unknown config {key!r}"
    return f"config {key!r} has no version {version}"


@contextmanager
def _errors() -> Iterator[None]:
    """Answer the registry's errors; the texts of database errors hold paths, which are not the caller's business."""
    try:
        yield
    except DocumentError as err:
        raise ApiError(400, "invalid_argument", str(err), err.problems[0].path) from err
    except RegistryBusyError as err:
        raise ApiError(503, "unavailable", "the registry is being written by another process; try again") from err
    except RegistryError as err:
        raise ApiError(503, "unavailable", "the registry's database cannot be used; see the server's log") from err


def _answers(model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **{status: {"model": ErrorAnswer} for status in errors}}


def _apply_body() -> dict[str, Any]:
    schema = RegistryDocument.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs"))}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put each definition where it is referred to: the OpenAPI document has no other place for them."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
