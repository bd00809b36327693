"""``POST /assign``: one session's variant, for callers that have no client which works it out itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.bodies import read_body
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.evaluation import Record, Subject
from fallom.assignment import targeting_fields
from schemas.api.assign import AssignAnswer, AssignRequest
from schemas.api.errors import ErrorAnswer
from schemas.api.problems import problems_of
from storage.registry.errors import RegistryError
from storage.registry.known_configs import KnownConfigs, ServedConfig

BODY_BYTES_MAX = 256 * 1024
SOURCE = "assign"
_CONTEXT = b"x-fallom-context-"
_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in (400, 404, 413, 503)}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": AssignRequest.model_json_schema()}},
    }
}


def router(configs: KnownConfigs, record: Record) -> APIRouter:
    """Return the router; ``record`` stores the exposures."""
    routes = APIRouter(tags=["assignment"])

    @routes.post(
        "/assign",
        response_model=AssignAnswer,
        responses=_ERRORS,
        openapi_extra=_BODY,
        summary="The variant of one session",
    )
    async def assign(caller: Annotated[str, Depends(project)], request: Request) -> Response:
        """Return the variant that the config gives the session, as every client would; and store that it was given.

        Fields of the context may also come as headers: `X-Fallom-Context-Plan: pro` is `{"plan": "pro"}`; upper and
        lower case are those of the field in the config's targeting. The same session gets the same variant whether or
        not its exposure can be stored.
        """
        asked = _asked(await read_body(request, BODY_BYTES_MAX))
        config = await _config(configs, caller, asked)
        context = {**header_context(config, request.scope["headers"]), **(asked.context or {})}
        subject = Subject.of(asked.session_id, asked.customer_id, context, asked.request_id).at_request(config)
        assignment = subject.assigned(config)
        recorded = asked.record and await record(caller, subject.exposure(config, assignment, SOURCE))
        return json_answer(
            {
                "config_key": asked.config_key,
                "config_version": config["version"],
                **assignment._asdict(),
                "recorded": recorded,
                **({"request_id": subject.request_id} if subject.request_id else {}),
            }
        )

    return routes


def header_context(config: Mapping[str, Any], headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the fields of the context that stand in headers; a header's name has no case, and no underscore."""
    sent = {name[len(_CONTEXT) :]: value for name, value in headers if name.startswith(_CONTEXT)}
    if not sent:
        return {}
    fields = {_as_header(field): field for field in targeting_fields(config.get("targeting"))}
    return {fields.get(name, name.decode("latin-1")): _text(value) for name, value in sent.items()}


def _as_header(field: str) -> bytes:
    return field.lower().replace("_", "-").encode()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _asked(body: bytes) -> AssignRequest:
    try:
        return AssignRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as err:
        raise ApiError(400, "invalid_argument", f"body is not valid JSON: {err}") from err
    except ValidationError as err:
        problems = problems_of(err.errors(include_url=False))
        message = "\n".join(str(problem) for problem in problems)
        raise ApiError(400, "invalid_argument", message, problems[0].path) from err


async def _config(configs: KnownConfigs, caller: str, asked: AssignRequest) -> ServedConfig:
    latest = configs.latest_version(caller, asked.config_key)
    version = asked.version or latest
    if version is None:
        raise ApiError(404, "not_found", f"no config {asked.config_key!r} is in use", "config_key")
    found = configs.remembered(caller, asked.config_key, version)
    try:
        # Of an older version the database is asked, once.
        found = found or await run_in_threadpool(configs.at, caller, asked.config_key, version)
    except RegistryError as err:
        message = f"version {version} of config {asked.config_key!r} can't be read; see the server's log"
        raise ApiError(503, "unavailable", message) from err
    if found is None:
        raise ApiError(404, "not_found", f"config {asked.config_key!r} has no version {version}", "version")
    return found
