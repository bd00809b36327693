"""``GET /traces/live``: spans as they are acknowledged, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import StreamingResponse

from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.traces.conditions import Condition, UnknownVariantError, span_condition
from analytics.traces.live import Event, FullError, Listener, LiveFeed, Position, position_of
from schemas.api.traces import SpanFilter
from storage.errors import StorageError
from storage.registry.registry import Registry

HEARTBEAT_S = 10.0
RETRY_MS = 2_000
_EXAMPLE = """id: 1763754600000000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331
event: span
data: {"name": "chat gpt-4o", "status": "ok"}

"""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `span` with a span as JSON, `dropped` with how many did not fit, `end`. It "
        "never ends by itself but when the server does.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": _EXAMPLE,
            }
        },
    }
}


def router(feed: LiveFeed, registry: Registry, identifier: Callable[[str, str], str]) -> APIRouter:
    """Return the router. ``identifier`` says what a project's customer is stored as."""
    routes = APIRouter(tags=["traces"])

    def condition_of(wanted: SpanFilter, caller: str) -> Condition:
        versions = registry.config_versions(caller, wanted.config) if wanted.variant and wanted.config else []
        try:
            return span_condition(wanted, versions=versions, identifier=lambda text: identifier(caller, text))
        except UnknownVariantError as error:
            raise ApiError(400, "invalid_argument", f"variant: {error}", "variant") from error

    @routes.get("/traces/live", responses=_STREAM, response_class=StreamingResponse, summary="Spans as they come")
    async def live(
        wanted: Annotated[SpanFilter, Query()],
        caller: Annotated[str, Depends(project)],
        last_event_id: Annotated[
            str | None,
            Header(max_length=200, description="The last event seen: what came since is told first."),
        ] = None,
    ) -> StreamingResponse:
        """Tell the project's spans, as they are asked for, as soon as they are on disk."""
        after = position_of(last_event_id) if last_event_id else None
        if last_event_id and after is None:
            message = f"the id of an event of this stream expected, got {last_event_id[:80]!r}"
            raise ApiError(400, "invalid_argument", f"Last-Event-ID: {message}", "Last-Event-ID")
        condition = await to_thread.run_sync(condition_of, wanted, caller)
        stream = _told(feed, caller, condition, after)
        try:
            # Until here an error is still an answer of its own.
            first = await anext(stream)
        except FullError as error:
            raise ApiError(503, "unavailable", str(error)) from error
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_after(first, stream), headers=headers, media_type="text/event-stream")

    return routes


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def _told(feed: LiveFeed, caller: str, condition: Condition, after: Position | None) -> AsyncIterator[bytes]:
    with feed.listening(caller, condition, after) as listener:
        yield f"retry: {RETRY_MS}\n\n".encode()
        if after is not None:
            yield await _replayed(feed, listener)
            listener.leave_out_told()
        while not listener.is_ended:
            events, dropped = await listener.take(HEARTBEAT_S)
            # First what is missing: it lies before what follows.
            if dropped:
                yield _line("dropped", {"count": dropped})
            yield b"".join(map(_span, events)) or b": still here\n\n"
        yield _line("end", {"reason": "the server is shutting down"})


async def _replayed(feed: LiveFeed, listener: Listener) -> bytes:
    try:
        events, is_more = await to_thread.run_sync(feed.replay, listener)
    except StorageError:
        return _line("dropped", {"count": None})
    told = b"".join(map(_span, events))
    return told + _line("dropped", {"count": None}) if is_more else told


def _span(event: Event) -> bytes:
    return f"id: {event.id}\n".encode() + _line("span", event.content)


def _line(name: str, content: object) -> bytes:
    # JSON has no line's end in it.
    return f"event: {name}\ndata: ".encode() + orjson.dumps(content) + b"\n\n"
