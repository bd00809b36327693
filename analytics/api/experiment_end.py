"""``POST /api/experiments/{key}/end``: an experiment's decision."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from analytics.api.changing import Asked, Managed, add_action, published
from schemas.api.experiment_requests import EndBody
from storage.registry.endings import end
from storage.registry.management import Management
from storage.registry.registry import Registry

_EXAMPLE = {
    "action": "ship",
    "variant": "challenger",
    "reason": "A tenth of the cost, and as many tickets resolved.",
    "learnt": "The small model is enough for tickets of one question.",
    "conclude": True,
}


def router(registry: Registry) -> APIRouter:
    """Return the route over ``registry``."""
    routes = APIRouter(tags=["management"])
    managed = Managed(Management(registry, "experiment"))

    def ended(asked: Asked[EndBody]) -> Response:
        return published(end(managed.resources, asked.project, asked.key, asked.body, asked.by(), asked.expected))

    add_action(
        routes,
        managed,
        "/api/experiments/{key:path}/end",
        EndBody,
        ended,
        does="End an experiment with a decision; with `conclude`, its config gives the variant all sessions, too.",
        example=_EXAMPLE,
    )
    return routes
