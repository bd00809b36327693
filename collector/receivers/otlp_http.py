"""OTLP over HTTP, and the flat Fallom trace that shares its path: ``POST /v1/traces``."""

import asyncio

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from collector.component import CollectorError, UnsupportedError
from collector.http_body import BodyReader, http_status, retry_headers
from collector.otlp import answers
from collector.pipeline import Pipeline
from collector.request import Format, Request, fallom_headers

_FORMATS = {answers.PROTOBUF: Format.OTLP_PROTOBUF, answers.JSON: Format.JSON_TRACES}


def routes(pipeline: Pipeline, bodies: BodyReader) -> list[BaseRoute]:
    """Return the receiver's routes."""

    async def traces(request: HttpRequest) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        answered_as = media_type if media_type in _FORMATS else answers.JSON
        try:
            body_format = _FORMATS.get(media_type)
            if body_format is None:
                raise UnsupportedError(
                    f"content-type {media_type!r} is not supported: use {answers.PROTOBUF} or {answers.JSON}"
                )
            async with bodies.body(request) as body:
                submitted = Request(body_format, body, request.state.project, fallom_headers(request.headers))
                outcome = await asyncio.wrap_future(pipeline.submit(submitted))
        except CollectorError as error:
            content = answers.encode(answers.status(error), answered_as)
            return Response(content, http_status(error), retry_headers(error), media_type=answered_as)
        return Response(answers.encode(answers.response(outcome), answered_as), media_type=answered_as)

    return [Route("/v1/traces", traces, methods=["POST"])]
