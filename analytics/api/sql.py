"""``POST /sql``: a read-only statement over the caller's project."""

from collections import Counter
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.rows import json_rows
from storage.engines.duckdb import DuckDBEngine
from storage.errors import QueryError, QueryInterruptedError, QueryTimeoutError

# Statements at once: more would take the memory and the processors from ingest and results.
STATEMENTS_MAX = 4
# A statement that can't be interrupted may keep its place for long: one project must not keep all of them.
STATEMENTS_OF_PROJECT_MAX = 3


class SqlRequest(BaseModel):
    """One SELECT statement."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(strict=True, min_length=1, max_length=100_000, examples=["SELECT count(*) FROM spans"])]


class SqlAnswer(BaseModel):
    """The answer's columns and rows; ``truncated`` where there were more rows than are answered."""

    columns: list[str]
    rows: list[list[object]]
    truncated: bool


def router(engine: DuckDBEngine, *, timeout_s: float, rows_max: int, bytes_max: int) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["sql"])
    limiter = CapacityLimiter(STATEMENTS_MAX)
    running: Counter[str] = Counter()

    def answer(query: str, caller: str) -> dict[str, Any]:
        found = engine.query_untrusted(
            query, project=caller, timeout_s=timeout_s, rows_max=rows_max, bytes_max=bytes_max
        )
        return {"columns": found.rows.schema.names, "rows": json_rows(found.rows), "truncated": found.truncated}

    @routes.post("/sql", response_model=SqlAnswer, summary="Ask a read-only SQL question")
    async def sql(request: SqlRequest, caller: Annotated[str, Depends(project)]) -> Response:
        """Answer one SELECT over the tables of docs/schema.md, of rows that are committed or just acknowledged."""
        if limiter.available_tokens <= 0:
            raise ApiError(503, "unavailable", f"{STATEMENTS_MAX} statements are running, the limit: try again")
        if running[caller] >= STATEMENTS_OF_PROJECT_MAX:
            raise ApiError(
                503,
                "unavailable",
                f"{STATEMENTS_OF_PROJECT_MAX} statements of the project are running, the limit: try again",
            )
        running[caller] += 1
        try:
            return json_answer(await to_thread.run_sync(answer, request.query, caller, limiter=limiter))
        except QueryTimeoutError as error:
            raise ApiError(408, "timeout", str(error)) from error
        except QueryInterruptedError as error:
            raise ApiError(503, "unavailable", str(error)) from error
        except QueryError as error:
            raise ApiError(400, "invalid_argument", str(error), "query") from error
        finally:
            running[caller] -= 1
            if not running[caller]:
                del running[caller]

    return routes
