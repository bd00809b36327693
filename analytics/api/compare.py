"""``GET /compare`` and ``GET /compare/values``: any two groups of sessions of the traces, observational."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.places import Places
from analytics.api.project import project
from analytics.api.results_formats import DESCRIBED, formed
from analytics.api.results_options import chosen
from analytics.experiments.observational.comparison import UnknownValueError, comparison, values
from analytics.experiments.observational.dimension import dimension_of
from analytics.experiments.observational.measures import Scope
from analytics.reports.observed import as_results
from schemas.api.compare import CompareQuery, ValuesQuery
from storage.engines.duckdb import DuckDBEngine

COMPARISONS_MAX, COMPARISONS_WAITING_MAX = 2, 32
COMPARISON_S_MAX = 30.0
_SHOWN_MAX = 20


def router(engine: DuckDBEngine, identifier: Callable[[str, str], str]) -> APIRouter:
    """Return the router. ``identifier`` says what a project's customer is stored as."""
    routes = APIRouter(tags=["experiments"])
    places = Places(COMPARISONS_MAX, COMPARISONS_WAITING_MAX)

    def compared(wanted: CompareQuery, caller: str) -> dict[str, Any]:
        dimension, scope = dimension_of(wanted.by, lambda text: identifier(caller, text)), _scope(wanted)
        with engine.session(caller) as session, session.deadline(COMPARISON_S_MAX):
            try:
                found = comparison(session, dimension, scope, wanted.a, wanted.b, wanted.inference)
            except UnknownValueError as error:
                there = values(session, dimension, scope, _SHOWN_MAX)["values"]
                listed = ", ".join(repr(row["value"]) for row in there) or "none"
                message = f"no session has a call with {wanted.by} {error.value!r} at that time; there are: {listed}"
                raise ApiError(404, "not_found", message, error.field) from error
        return chosen(found, wanted.metrics)

    def listed(wanted: ValuesQuery, caller: str) -> dict[str, Any]:
        dimension = dimension_of(wanted.by)
        with engine.session(caller) as session, session.deadline(COMPARISON_S_MAX):
            return values(session, dimension, _scope(wanted))

    @routes.get(
        "/compare",
        responses=DESCRIBED,
        response_class=Response,
        summary="Two models, prompts, tags, customers or fields of metadata, side by side",
    )
    async def compare(
        request: Request, wanted: Annotated[CompareQuery, Query()], caller: Annotated[str, Depends(project)]
    ) -> Response:
        """Return the figures of the sessions with calls of either value, compared; chance did not choose them."""
        found = await places.run(compared, wanted, caller)
        return formed(request, as_results(found), found)

    @routes.get("/compare/values", summary="What there is to compare")
    async def compare_values(
        wanted: Annotated[ValuesQuery, Query()], caller: Annotated[str, Depends(project)]
    ) -> Response:
        """Return the values that calls have, with how many sessions and calls, the most frequent first."""
        return json_answer(await places.run(listed, wanted, caller))

    return routes


def _scope(wanted: CompareQuery | ValuesQuery) -> Scope:
    return Scope(*wanted.window(datetime.now(UTC)), wanted.config)
