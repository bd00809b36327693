"""``POST /sql``: a read-only statement over the caller's project, as JSON, an Arrow stream or CSV."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from typing import Annotated, Any

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from analytics.api.accepted import accepted
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.api.statement_places import STATEMENTS_MAX, StatementPlaces
from storage.engines.answer_formats import Format
from storage.engines.duckdb import DuckDBEngine
from storage.engines.sandbox.request import Limits
from storage.engines.sandbox.sandbox import AnswerHead
from storage.engines.user_statements import UserStatement
from storage.errors import QueryError, QueryInterruptedError, QueryRefusedError, QueryTimeoutError

TRUNCATED, ROWS = "X-Fallom-Truncated", "X-Fallom-Rows"
FORMATS: dict[str, Format] = {
    "application/json": "json",
    "application/vnd.apache.arrow.stream": "arrow",
    "text/csv": "csv",
}
# An answer keeps its place until it is read: a client that reads more slowly is sent away.
_ANSWER_GRACE_S, _ANSWER_BYTES_PER_S_MIN = 60.0, 100_000.0
_DESCRIBED_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
            "text/csv": {"schema": {"type": "string"}},
        },
        "headers": {
            TRUNCATED: {"schema": {"type": "boolean"}, "description": "Whether there were more rows."},
            ROWS: {"schema": {"type": "integer"}, "description": "How many rows the answer has."},
        },
    }
}


class SqlRequest(BaseModel):
    """One SELECT statement."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(strict=True, min_length=1, max_length=100_000, examples=["SELECT count(*) FROM spans"])]


class SqlAnswer(BaseModel):
    """The answer's columns and rows; ``truncated`` where there were more rows than are answered."""

    columns: list[str]
    rows: list[list[object]]
    truncated: bool


def router(engine: DuckDBEngine, limits: Limits) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["sql"])
    places = StatementPlaces()
    threads = CapacityLimiter(STATEMENTS_MAX)

    @routes.post("/sql", response_model=SqlAnswer, responses=_DESCRIBED_ANSWERS, summary="Ask a read-only SQL question")
    async def sql(question: SqlRequest, request: Request, caller: Annotated[str, Depends(project)]) -> Response:
        """Answer one SELECT over the tables and views of docs/schema.md, of rows committed or just acknowledged."""
        media_type = accepted(request.headers.get("accept"), tuple(FORMATS))
        places.take(caller)
        held = ExitStack()
        held.callback(places.give_back, caller)
        try:
            context = engine.users.statement(question.query, caller, limits, FORMATS[media_type])
            asked = await to_thread.run_sync(held.enter_context, context, limiter=threads)
            head = await _asked(request, asked, threads)
        except BaseException:
            held.close()
            raise
        return _AnswerResponse(asked, head, media_type, held.close)

    return routes


async def _asked(request: Request, asked: UserStatement, threads: CapacityLimiter) -> AnswerHead:
    """Return the head of the answer; where the client goes away, the statement stops."""
    watching = asyncio.create_task(_stop_when_gone(request, asked))
    try:
        return await to_thread.run_sync(asked.ask, limiter=threads)
    except QueryTimeoutError as error:
        raise ApiError(408, "timeout", str(error)) from error
    except QueryInterruptedError as error:
        raise ApiError(503, "unavailable", str(error)) from error
    except QueryRefusedError as error:
        raise ApiError(400, "invalid_argument", str(error), "query", error.position) from error
    except QueryError as error:
        raise ApiError(400, "invalid_argument", str(error), "query") from error
    finally:
        watching.cancel()


async def _stop_when_gone(request: Request, asked: UserStatement) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    asked.stop()


class _AnswerResponse(StreamingResponse):
    """Passes the answer on from its process as the client reads it; ``end`` lets go of the process and its place."""

    def __init__(self, asked: UserStatement, head: AnswerHead, media_type: str, end: Callable[[], None]) -> None:
        headers = {
            "Content-Length": str(head.size_bytes),
            TRUNCATED: str(head.truncated).lower(),
            ROWS: str(head.rows),
            "Vary": "Accept",
        }
        super().__init__(_chunks(asked, head.size_bytes, end), headers=headers, media_type=media_type)
        self._end = end
        self._timeout_s = _ANSWER_GRACE_S + head.size_bytes / _ANSWER_BYTES_PER_S_MIN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            # What ends before its end closes the connection: the client sees that bytes are missing.
            with anyio.move_on_after(self._timeout_s), suppress(QueryError):
                await super().__call__(scope, receive, send)
        finally:
            self._end()


async def _chunks(asked: UserStatement, left_bytes: int, end: Callable[[], None]) -> AsyncIterator[bytes]:
    chunks = asked.chunks()
    while left_bytes:
        chunk = await to_thread.run_sync(next, chunks)
        left_bytes -= len(chunk)
        if not left_bytes:
            # Before the last bytes are sent: whoever has them may ask the next question.
            end()
        yield chunk
