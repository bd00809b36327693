"""``GET /traces/{trace_id}``."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.traces import trace_spans
from storage.engines.duckdb import DuckDBEngine


def router(engine: DuckDBEngine) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["traces"])

    @routes.get("/traces/{trace_id}", summary="One trace with all its spans")
    def trace(trace_id: str, caller: Annotated[str, Depends(project)]) -> Response:
        """Return the spans of a trace by start time, as they were stored."""
        spans = trace_spans(engine, caller, trace_id)
        if not spans:
            raise ApiError(404, "not_found", f"no trace {trace_id!r}: 32 hex digits, as a client logs them", "trace_id")
        return json_answer({"trace_id": trace_id.lower(), "spans": spans})

    return routes
