"""Configs, prompts and prompt tests over HTTP: served to clients from memory, and changed by ``POST /apply``."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated, Any

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer, tagged_answer
from analytics.api.author import author
from analytics.api.descriptions import answers, json_request
from analytics.api.errors import ApiError
from analytics.api.managed import applied_content, planned_content
from analytics.api.project import project
from analytics.api.registry_requests import Note, json_body, registry_errors
from schemas.api.management import EXAMPLES
from schemas.api.management_examples import change_example
from schemas.api.registry import RegistryDocument
from schemas.api.registry_answers import (
    ApplyAnswer,
    ConfigsAnswer,
    ExportAnswer,
    PromptsAnswer,
    PromptTestsAnswer,
    ServedConfig,
)
from storage.registry import document
from storage.registry.bodies import LISTS
from storage.registry.management import export
from storage.registry.registry import Registry
from storage.registry.resources import Authorship, Kind

Project = Annotated[str, Depends(project)]
Author = Annotated[str, Depends(author)]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "As the client has it (`If-None-Match`)"}}
DOCUMENT_EXAMPLE = {LISTS[kind]: [EXAMPLES[kind]] for kind in LISTS}
SERVED_EXAMPLES: dict[Kind, dict[str, Any]] = {
    "config": {name: value for name, value in EXAMPLES["config"].items() if name != "description"} | {"version": 3},
    "prompt": EXAMPLES["prompt"] | {"version": 1},
    "prompt_ab_test": EXAMPLES["prompt_ab_test"] | {"version": 2},
}


def _listed(shape: type[BaseModel], kind: Kind) -> dict[int | str, dict[str, Any]]:
    return {**answers(shape, example={LISTS[kind]: [SERVED_EXAMPLES[kind]]}), **NOT_MODIFIED}


def router(registry: Registry) -> APIRouter:
    """Return the routes over ``registry``; what is read from memory is answered without waiting for a thread."""
    routes = APIRouter(tags=["registry"])
    # A document takes many times its size while it is read, and one writes at a time anyway.
    applying = CapacityLimiter(1)

    @routes.get("/configs", responses=_listed(ConfigsAnswer, "config"))
    async def configs(request: Request, project: Project) -> Response:
        """Return the latest version of every config."""
        answer = registry.served(project, "config")
        return tagged_answer(request, answer.body, answer.tag)

    @routes.get(
        "/configs/{key:path}/version/{version}",
        responses=answers(ServedConfig, 400, 404, 503, example=SERVED_EXAMPLES["config"]) | NOT_MODIFIED,
    )
    def config(request: Request, project: Project, key: str, version: int) -> Response:
        """Return one version of a config, also of one that is archived."""
        with registry_errors():
            found = registry.config(project, key, version)
        if found is None:
            raise ApiError(404, "not_found", _absent(registry, project, key, version))
        body = orjson.dumps(found)
        return tagged_answer(request, body, hashlib.sha256(body).hexdigest()[:32])

    @routes.get("/prompts", responses=_listed(PromptsAnswer, "prompt"))
    async def prompts(request: Request, project: Project) -> Response:
        """Return every prompt: its latest version, after any older one that a prompt test pins."""
        answer = registry.served(project, "prompt")
        return tagged_answer(request, answer.body, answer.tag)

    @routes.get("/prompt-ab-tests", responses=_listed(PromptTestsAnswer, "prompt_ab_test"))
    async def prompt_ab_tests(request: Request, project: Project) -> Response:
        """Return the latest version of every prompt test."""
        answer = registry.served(project, "prompt_ab_test")
        return tagged_answer(request, answer.body, answer.tag)

    @routes.post(
        "/apply",
        responses=answers(ApplyAnswer, 400, 413, 415, 503, example={"changes": [change_example("config")]}),
        openapi_extra=json_request(RegistryDocument, DOCUMENT_EXAMPLE),
    )
    async def apply(
        project: Project,
        author: Author,
        request: Request,
        note: Note = "",
        dry_run: Annotated[bool, Query(description="Only tell what would change, and how.")] = False,
    ) -> Response:
        """Make a document's resources the latest ones, all or none; a changed one gets a new version."""
        body = await json_body(request)
        work = partial(_apply, registry, project, Authorship(author, note), body, dry_run=dry_run)
        return await to_thread.run_sync(work, limiter=applying)

    @routes.get("/api/export", responses=answers(ExportAnswer, 503, example=DOCUMENT_EXAMPLE))
    def exported(project: Project) -> Response:
        """Return all that is not archived as one document, which applied again changes nothing."""
        with registry_errors():
            found = export(registry, project)
        return json_answer(found.model_dump(mode="json", by_alias=True, exclude_none=True))

    return routes


def _apply(registry: Registry, project: str, by: Authorship, body: bytes, *, dry_run: bool) -> Response:
    with registry_errors():
        wanted = document.from_json(body)
        if dry_run:
            return json_answer({"changes": [planned_content(change) for change in registry.plan(project, wanted)]})
        changes = registry.apply(project, wanted, by)
    return json_answer({"changes": [applied_content(change) for change in changes]})


def _absent(registry: Registry, project: str, key: str, version: int) -> str:
    if not registry.knows_config(project, key):
        return f"unknown config {key!r}"
    return f"config {key!r} has no version {version}"
