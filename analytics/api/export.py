"""``GET /traces/export``: spans as a file that is made while it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.traces.conditions import Condition, UnknownVariantError, span_condition
from analytics.traces.export import encoded, exported
from schemas.api.traces import ExportQuery
from storage.engines.duckdb import DuckDBEngine
from storage.errors import QueryTimeoutError
from storage.registry.registry import Registry

# Each takes a processor while it runs.
EXPORTS_MAX = 2
# A reader that is slower than that has to ask for less.
EXPORT_S_MAX = 3600.0
MEDIA_TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The spans, in no order; each once. An answer that breaks off is not whole: ask again.",
        "content": {
            MEDIA_TYPES["jsonl"]: {
                "schema": {"type": "string"},
                "example": '{"trace_id": "0af7651916cd43dd8448eb211c80319c", "name": "chat gpt-4o", …}\n',
            },
            MEDIA_TYPES["parquet"]: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def router(engine: DuckDBEngine, registry: Registry, identifier: Callable[[str, str], str]) -> APIRouter:
    """Return the router. ``identifier`` says what a project's customer is stored as."""
    routes = APIRouter(tags=["traces"])
    places = BoundedSemaphore(EXPORTS_MAX)

    def condition_of(wanted: ExportQuery, caller: str) -> Condition:
        versions = registry.config_versions(caller, wanted.config) if wanted.variant and wanted.config else []
        try:
            return span_condition(wanted, versions=versions, identifier=lambda text: identifier(caller, text))
        except UnknownVariantError as error:
            raise ApiError(400, "invalid_argument", f"variant: {error}", "variant") from error

    def pieces(wanted: ExportQuery, caller: str) -> Iterator[bytes]:
        if not places.acquire(blocking=False):
            raise ApiError(503, "unavailable", f"{EXPORTS_MAX} exports run, the limit: try again")
        try:
            until_s = time.monotonic() + EXPORT_S_MAX
            with engine.session(caller) as session:
                batches = exported(session, wanted, condition_of(wanted, caller))
                for piece, _ in encoded(batches, wanted.format):
                    if time.monotonic() > until_s:
                        raise QueryTimeoutError(f"stopped after {EXPORT_S_MAX:g} s, the limit of an export")
                    yield piece
        finally:
            places.release()

    @routes.get(
        "/traces/export",
        responses=_FILE,
        response_class=StreamingResponse,
        summary="Spans by filter, all of them, as a file",
    )
    async def export(
        wanted: Annotated[ExportQuery, Query()], caller: Annotated[str, Depends(project)]
    ) -> StreamingResponse:
        """Return the spans that are as asked for, content and attributes included, while they are read."""
        found = pieces(wanted, caller)
        # What is wrong with the question is told before the answer begins.
        first = await to_thread.run_sync(next, found, b"")

        def all_pieces() -> Iterator[bytes]:
            yield first
            yield from found

        return StreamingResponse(all_pieces(), media_type=MEDIA_TYPES[wanted.format])

    return routes
