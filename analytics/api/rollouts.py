"""Weights by the usual shapes: ``POST /api/configs/{key}/rollout``, ``/conclude`` and ``/stop``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.author import author
from analytics.api.descriptions import answers, json_request
from analytics.api.errors import ApiError
from analytics.api.managed import applied_content
from analytics.api.management import IfMatch, Key, parsed
from analytics.api.project import project
from analytics.api.registry_requests import precondition, registry_errors
from schemas.api.management import PublishedAnswer
from schemas.api.registry import Config
from schemas.api.rollout_requests import ConcludeBody, RolloutBody, StopBody
from storage.registry.errors import StaleError
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import Authorship
from storage.registry.rollouts import canary, champion_challenger, conclude, even, variant_names

Project = Annotated[str, Depends(project)]
Author = Annotated[str, Depends(author)]
Shape = Callable[[Any], Any]

_ERRORS = (400, 404, 409, 412, 413, 415, 503)
_PATH = "/api/configs/{key:path}"


def router(registry: Registry) -> APIRouter:
    """Return the routes over ``registry``."""
    routes = APIRouter(tags=["management"])
    configs = Management(registry, "config")

    async def changed(project: str, key: str, shape: Shape, by: Authorship, if_match: str | None) -> Response:
        expected = precondition(if_match, None)

        def work() -> Response:
            with registry_errors():
                try:
                    done = configs.reshape(project, key, shape, by, expected)
                except StaleError as err:
                    raise ApiError(412, "precondition_failed", str(err)) from err
            return json_answer(applied_content(done.change), headers={"ETag": f'"{done.tag}"'})

        return await run_in_threadpool(work)

    @routes.post(
        f"{_PATH}/rollout",
        responses=answers(PublishedAnswer, *_ERRORS),
        openapi_extra=json_request(RolloutBody, {"shape": "canary", "variant": "gpt-4o-mini", "steps": [5, 25, 100]}),
    )
    async def rollout(
        request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None
    ) -> Response:
        """Give the variants the weights of a shape, at once or, of a canary, step by step."""
        body = await parsed(request, RolloutBody)
        by = Authorship(author, body.note or body.shape)
        return await changed(project, key, _shape(body), by, if_match)

    @routes.post(
        f"{_PATH}/conclude",
        responses=answers(PublishedAnswer, *_ERRORS),
        openapi_extra=json_request(ConcludeBody, {"winner": "gpt-4o-mini", "note": "cheaper, and as good"}),
    )
    async def end(request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None) -> Response:
        """End a test: the winner gets all sessions, the losers are off, and kept."""
        body = await parsed(request, ConcludeBody)
        by = Authorship(author, body.note or f"concluded: {body.winner}")
        return await changed(project, key, lambda config: conclude(config, body.winner), by, if_match)

    @routes.post(
        f"{_PATH}/stop",
        responses=answers(PublishedAnswer, *_ERRORS),
        openapi_extra=json_request(StopBody, {"note": "errors"}),
    )
    async def stop(request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None) -> Response:
        """Stop a test at once: one variant, the first if none is named, gets all sessions; no step is left to come."""
        body = await parsed(request, StopBody)
        by = Authorship(author, body.note or "stopped")
        return await changed(
            project, key, lambda config: conclude(config, body.variant or variant_names(config)[0]), by, if_match
        )

    return routes


def _shape(body: RolloutBody) -> Shape:
    if body.shape == "even":
        return even
    variant = body.variant
    if variant is None:
        raise ApiError(400, "invalid_argument", f"variant: is required by the shape {body.shape}", "variant")
    if body.shape == "champion_challenger":
        return lambda config: champion_challenger(config, variant, share=body.share)
    start = body.start or datetime.now(UTC)

    def stepwise(config: Config) -> Config:
        return canary(config, variant, steps=body.steps, every=timedelta(seconds=body.every_s), start=start)

    return stepwise
