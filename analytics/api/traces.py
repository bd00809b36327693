"""``GET /traces``, ``/sessions``, and one of either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.descriptions import answers
from analytics.api.errors import ApiError
from analytics.api.places import Places
from analytics.api.project import project
from analytics.traces.conditions import span_condition
from analytics.traces.listing import SESSIONS, TRACES, Kind, Listing, page_of
from analytics.traces.rows import answered
from analytics.traces.sessions import session_of
from analytics.traces.totals import Totals
from analytics.traces.trace import trace_of
from schemas.api import traces_examples as examples
from schemas.api.traces import ListQuery, Session, SessionPage, Trace, TracePage
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry

# Lists at once: more would take the memory and the processors from ingest and results.
LISTS_MAX = 4
LISTS_WAITING_MAX = 64
LIST_S_MAX = 20.0
TOTALS_S_MAX = 2.0

_TRACES = answers(TracePage, example=examples.TRACE_PAGE)
_SESSIONS = answers(SessionPage, example=examples.SESSION_PAGE)
_TRACE = answers(Trace, example=examples.TRACE)
_SESSION = answers(Session, example=examples.SESSION)


def router(engine: DuckDBEngine, registry: Registry, identifier: Callable[[str, str], str]) -> APIRouter:
    """Return the router. ``identifier`` says what a project's customer is stored as."""
    routes = APIRouter(tags=["traces"])
    places = Places(LISTS_MAX, LISTS_WAITING_MAX)
    totals = Totals()

    def listed(kind: Kind, wanted: ListQuery, caller: str) -> dict[str, Any]:
        versions = registry.config_versions(caller, wanted.config) if wanted.variant and wanted.config else []
        condition = span_condition(wanted, versions=versions, identifier=lambda text: identifier(caller, text))
        listing = Listing(kind, wanted, condition)
        with engine.session(caller) as session:
            with session.deadline(LIST_S_MAX):
                page = page_of(session, listing)
                rows = answered(session, kind, page.rows, page.as_of)
            summed = totals.of(session, listing, page.as_of, TOTALS_S_MAX) if wanted.totals else None
        return {
            kind.name: rows,
            "next_cursor": page.next_cursor,
            "searched_until": None if page.searched_until is None else page.searched_until.isoformat(),
            "totals": summed,
        }

    @routes.get(
        "/traces",
        responses=_TRACES,
        summary="Traces by filter, sorted, page by page",
    )
    async def traces(wanted: Annotated[ListQuery, Query()], caller: Annotated[str, Depends(project)]) -> Response:
        """Return the traces that have a span as it is asked for, and the totals of all of them."""
        return json_answer(await places.run(listed, TRACES, wanted, caller))

    @routes.get(
        "/sessions",
        responses=_SESSIONS,
        summary="Sessions by filter, sorted, page by page",
    )
    async def sessions(wanted: Annotated[ListQuery, Query()], caller: Annotated[str, Depends(project)]) -> Response:
        """Return the sessions that have a span as it is asked for, and the totals of all of them."""
        return json_answer(await places.run(listed, SESSIONS, wanted, caller))

    @routes.get(
        "/traces/{trace_id}",
        responses=_TRACE,
        summary="One trace with all its spans, as a tree",
    )
    async def trace(trace_id: str, caller: Annotated[str, Depends(project)]) -> Response:
        """Return the spans of a trace by start time, as they were stored, with their places in the tree."""
        found = await places.run(trace_of, engine, caller, trace_id.lower())
        if found is None:
            raise ApiError(404, "not_found", f"no trace {trace_id!r}: 32 hex digits, as a client logs them", "trace_id")
        return json_answer(found)

    @routes.get(
        "/sessions/{session_id:path}",
        responses=_SESSION,
        summary="One session as a conversation",
    )
    async def session(session_id: str, caller: Annotated[str, Depends(project)]) -> Response:
        """Return what was said in a session, its calls, its custom metrics, and its exposures."""
        found = await places.run(session_of, engine, registry, caller, session_id)
        if found is None:
            raise ApiError(
                404, "not_found", f"no session {session_id!r}: no span, metric or exposure names it", "session_id"
            )
        return json_answer(found)

    return routes
