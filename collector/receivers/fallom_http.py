"""The Fallom clients' own calls: custom metrics, ``POST /spans``, and exposures, ``POST /sessions``."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collector.component import CollectorError, DecodeError
from collector.fallom.fields import Fields, load_object
from collector.http_body import BodyReader, http_status, retry_headers
from collector.pipeline import Pipeline
from collector.request import Format, Request

# One event: it is parsed where other requests wait.
EVENT_BYTES_MAX = 1024 * 1024


def routes(pipeline: Pipeline, bodies: BodyReader, is_config_known: Callable[[str, str], bool]) -> list[BaseRoute]:
    """Return the receiver's routes. ``is_config_known`` says whether a project has a config of that key."""

    async def submit(request: HttpRequest, body: bytes, body_format: Format) -> Response:
        await asyncio.wrap_future(pipeline.submit(Request(body_format, body, request.state.project)))
        return JSONResponse({"status": "ok"})

    async def spans(request: HttpRequest) -> Response:
        try:
            async with bodies.body(request, EVENT_BYTES_MAX) as body:
                return await submit(request, body, Format.METRICS)
        except CollectorError as error:
            return _refusal(error)

    async def sessions(request: HttpRequest) -> Response:
        try:
            async with bodies.body(request, EVENT_BYTES_MAX) as body:
                config_key = Fields(load_object(body)).text("config_key")
                if not is_config_known(request.state.project, config_key):
                    return _unknown_config(config_key)
                return await submit(request, body, Format.EXPOSURE)
        except CollectorError as error:
            return _refusal(error)

    return [Route("/spans", spans, methods=["POST"]), Route("/sessions", sessions, methods=["POST"])]


def _refusal(error: CollectorError) -> Response:
    status = http_status(error)
    content = {"code": _CODES[status], "message": str(error)}
    if isinstance(error, DecodeError) and error.field:
        content["field"] = error.field
    return JSONResponse({"error": content}, status, retry_headers(error))


def _unknown_config(config_key: str) -> Response:
    message = f"config_key: no config {config_key!r} is defined: make it with `fallom-server apply`"
    return JSONResponse({"error": {"code": "not_found", "message": message, "field": "config_key"}}, 404)


_CODES = {400: "invalid_argument", 413: "too_large", 415: "unsupported_media_type", 503: "unavailable"}
