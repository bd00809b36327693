"""Weights by the usual shapes: ``POST /api/configs/{key}/rollout``, ``/conclude`` and ``/stop``."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from analytics.api.changing import Asked, Body, Managed, add_action, published
from schemas.api.rollout_requests import ConcludeBody, RolloutBody, StopBody
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.rollouts import Shape, concluded, shape_of, stopped

_PATH = "/api/configs/{key:path}"


def router(registry: Registry) -> APIRouter:
    """Return the routes over ``registry``."""
    routes = APIRouter(tags=["management"])
    managed = Managed(Management(registry, "config"))

    def add(action: str, body: type[Body], shape: Callable[[Body], Shape], *, does: str, example: object) -> None:
        def reshape(asked: Asked[Body]) -> Response:
            wanted = shape(asked.body)
            by = asked.by(wanted.note)
            return published(managed.resources.reshape(asked.project, asked.key, wanted.change, by, asked.expected))

        add_action(routes, managed, f"{_PATH}/{action}", body, reshape, does=does, example=example)

    add(
        "rollout",
        RolloutBody,
        shape_of,
        does="Give the variants the weights of a shape, at once or, of a canary, step by step.",
        example={"shape": "canary", "variant": "gpt-4o-mini", "steps": [5, 25, 100]},
    )
    add(
        "conclude",
        ConcludeBody,
        concluded,
        does="End a test: the winner gets all sessions, the losers are off, and kept.",
        example={"winner": "gpt-4o-mini", "note": "cheaper, and as good"},
    )
    add(
        "stop",
        StopBody,
        stopped,
        does="Stop a test at once: one variant, the first if none is named, gets all; no step is left to come.",
        example={"note": "errors"},
    )
    return routes
