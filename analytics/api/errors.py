"""Errors of the HTTP API: one body for all, ``{"error": {"code", "message", "field"?, "position"?}}``."""

from __future__ import annotations

import logging
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from schemas.api.errors import ErrorAnswer
from schemas.api.problems import problems_of
from storage.errors import Position, QueryTooLargeError, StorageError

logger = logging.getLogger(__name__)

PROBLEMS_MAX = 20

CODES = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "What was wrong, and where"},
    "5XX": {"model": ErrorAnswer, "description": "503: try again; else the server's log has the details"},
}
"""For the description of the API: what any route may answer beside its own."""


class ApiError(Exception):
    """What a handler raises to answer with an error.

    ``field`` is the path to the input at fault, ``position`` the place in it.
    """

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, position: Position | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.position = position


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error, its own and the framework's, with the one error body.

    An unexpected exception answers 500 without its text, and goes on to the server, which logs it.
    """
    app.exception_handler(ApiError)(_api_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(StorageError)(_storage_error)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(Exception)(_unexpected)


def answer(
    status: int, code: str, message: str, field: str | None = None, position: Position | None = None
) -> JSONResponse:
    """Return the error response."""
    error: dict[str, object] = {"code": code, "message": message}
    if field:
        error["field"] = field
    if position:
        error["position"] = asdict(position)
    return JSONResponse({"error": error}, status)


async def _api_error(_: Request, err: ApiError) -> Response:
    return answer(err.status, err.code, err.message, err.field, err.position)


async def _invalid_request(_: Request, err: RequestValidationError) -> Response:
    # The first part of a location says where the value stood: body, path, query, header.
    problems = problems_of(err.errors()[:PROBLEMS_MAX], prefix=1)
    return answer(400, CODES[400], "\n".join(str(problem) for problem in problems), problems[0].path)


async def _http_error(request: Request, err: HTTPException) -> Response:
    code = CODES.get(err.status_code) or HTTPStatus(err.status_code).name.lower()
    message = str(err.detail)
    if message == HTTPStatus(err.status_code).phrase:
        message = f"{message}: {request.method} {request.url.path}"
    response = answer(err.status_code, code, message)
    # A 405 must name the methods that are allowed, a 401 its scheme.
    response.headers.update(err.headers or {})
    return response


async def _storage_error(_: Request, err: Exception) -> Response:
    if isinstance(err, QueryTooLargeError):
        return answer(413, CODES[413], str(err))
    # Its text may hold paths, which are not the caller's business.
    logger.error("a request failed on storage: %s", err)
    return answer(503, CODES[503], "the data can't be read at the moment; see the server's log")


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads it; without an answer the framework would log that there is none.
    return answer(400, CODES[400], "the connection was closed before the end of the body")


async def _unexpected(_: Request, __: Exception) -> Response:
    return answer(500, CODES[500], "an unexpected error; the server's log has the details")
