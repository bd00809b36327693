"""``GET /experiments/{key}/sessions``: the sessions behind the figures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.places import Places
from analytics.api.project import project
from analytics.api.results_options import asked
from analytics.experiments.session_list import UnknownMetricError, session_page
from schemas.api.experiment_sessions import ExperimentSessionsQuery
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry

LISTS_MAX, LISTS_WAITING_MAX = 2, 32


def router(engine: DuckDBEngine, registry: Registry) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["experiments"])
    places = Places(LISTS_MAX, LISTS_WAITING_MAX)

    def listed(key: str, wanted: ExperimentSessionsQuery, caller: str) -> dict[str, Any]:
        subject, experiment = asked(
            registry, caller, key, version=wanted.version, epoch=wanted.epoch, as_of=wanted.as_of
        )
        variants = [arm.key for arm in experiment.arms]
        if wanted.variant is not None and wanted.variant not in variants:
            message = f"no variant {wanted.variant!r}: there are {', '.join(variants)}"
            raise ApiError(400, "invalid_argument", message, "variant")
        try:
            return session_page(engine, caller, experiment, subject.settings, wanted, before=subject.before)
        except UnknownMetricError as error:
            raise ApiError(400, "invalid_argument", str(error), "metric") from error

    @routes.get("/experiments/{key:path}/sessions", summary="The sessions behind the figures")
    async def sessions(
        key: str, wanted: Annotated[ExperimentSessionsQuery, Query()], caller: Annotated[str, Depends(project)]
    ) -> Response:
        """Return sessions with their label, variant, epoch, exposure and value of a metric, the worst first."""
        return json_answer(await places.run(listed, key, wanted, caller))

    return routes
