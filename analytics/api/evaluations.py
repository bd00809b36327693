"""``POST /api/sdk-evals``, which a receiver answers, and ``GET /api/evals``: runs of evaluations."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from analytics import evaluations
from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.api.request_body import described_body
from schemas.api.errors import ErrorAnswer
from schemas.api.evaluations import EvaluationUpload, ItemsAnswer, RunAnswer, RunsAnswer, UploadAnswer
from schemas.api.query_moment import Moment
from storage.engines.duckdb import DuckDBEngine

RUNS_MAX = 1_000
ITEMS_MAX = 1_000

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Project = Annotated[str, Depends(project)]


def router(engine: DuckDBEngine, upload: Handler) -> APIRouter:
    """Return the router. ``upload`` answers the requests that send runs."""
    routes = APIRouter(tags=["evaluations"])

    @routes.post(
        "/api/sdk-evals",
        summary="Send a run of an evaluation",
        responses=_answers(UploadAnswer, 400, 413, 415, 503),
        openapi_extra=described_body(EvaluationUpload),
    )
    async def send() -> Response:
        """Store a run and its scored items, all or none. A run that is sent again byte by byte is stored once."""
        return _HandedOn(upload)

    @routes.get("/api/evals", summary="Runs of evaluations, newest first", responses=_answers(RunsAnswer, 400))
    def runs(
        caller: Project,
        limit: Annotated[int, Query(ge=1, le=RUNS_MAX, description="So many at most.")] = 100,
        before: Annotated[
            Moment | None, Query(description="Only runs received before this moment: `next_before`.")
        ] = None,
    ) -> Response:
        """Return the project's runs, committed or just acknowledged."""
        found = evaluations.runs(engine, caller, limit=limit, before=before)
        more = found[-1]["received_at"] if len(found) == limit else None
        return json_answer({"runs": found, "next_before": more})

    @routes.get("/api/evals/{run_id}", summary="One run and its scores", responses=_answers(RunAnswer, 404))
    def run(run_id: str, caller: Project) -> Response:
        """Return, by model and metric, the mean of the scores with its interval over sessions, or items."""
        found = evaluations.run(engine, caller, run_id)
        if found is None:
            raise _unknown(run_id)
        return json_answer(found)

    @routes.get("/api/evals/{run_id}/items", summary="A run's items", responses=_answers(ItemsAnswer, 400, 404))
    def items(
        run_id: str,
        caller: Project,
        first: Annotated[int, Query(ge=0, le=2**31, description="From this place on: `next_first`.")] = 0,
        limit: Annotated[int, Query(ge=1, le=ITEMS_MAX, description="So many at most.")] = 100,
    ) -> Response:
        """Return what was judged, with each score and its reason."""
        found = evaluations.items(engine, caller, run_id, first=first, limit=limit)
        if not found and not evaluations.stored_in(engine, caller, run_id):
            raise _unknown(run_id)
        more = found[-1]["item"] + 1 if len(found) == limit else None
        return json_answer({"run_id": run_id, "items": found, "next_first": more})

    return routes


class _HandedOn(Response):
    """The answer of another ASGI application, which reads the request itself."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope, receive, send)


def _unknown(run_id: str) -> ApiError:
    return ApiError(404, "not_found", f"no run {run_id!r}: GET /api/evals lists those that there are", "run_id")


def _answers(model: type[Any], *errors: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **{status: {"model": ErrorAnswer} for status in errors}}
