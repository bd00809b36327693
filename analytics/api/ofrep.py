"""OpenFeature's remote evaluation protocol: a config is a flag, a session's model its value.

``targetingKey`` is the session, ``customerId`` in the context the customer, every other scalar in it what targeting
rules go by. A single evaluation is stored as an exposure, since who asks for one flag uses it; the bulk call, which
browsers make for all flags before they use any, stores nothing. Where a config deals anew at each request,
``requestId`` in the context names it; without one each single evaluation is a request of its own, and the bulk call,
whose answer is kept, goes by the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import xxhash
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.bodies import read_body
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.evaluation import Record, Subject
from fallom.assignment import Assignment, Reason
from schemas.api.errors import ErrorAnswer
from schemas.api.ofrep import (
    BulkEvaluationFailure,
    BulkEvaluationSuccess,
    EvaluationFailure,
    EvaluationSuccess,
    FlagNotFound,
    FlagReason,
    GeneralError,
    request_schema,
)
from schemas.api.problems import shown
from storage.registry.errors import RegistryError
from storage.registry.known_configs import KnownConfigs, ServedConfig

PREFIX = "/ofrep/v1/evaluate/flags"
BODY_BYTES_MAX = 256 * 1024
SOURCE = "ofrep"
REQUEST_ID = "requestId"
RECORD_HEADER = "x-fallom-record"
REASONS: Mapping[Reason, FlagReason] = {
    "individual_target": "TARGETING_MATCH",
    "rule": "TARGETING_MATCH",
    "weight": "SPLIT",
    # Not in the test: no chance decides.
    "outside_traffic": "STATIC",
}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": request_schema()}}}}
_RECORD_PARAMETER = {
    "name": "X-Fallom-Record",
    "in": "header",
    "description": "`false`: the evaluation is not stored as an exposure.",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
_ETAG_PARAMETER = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer: 304 where all flags are as they were.",
    "schema": {"type": "string"},
}
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": GeneralError, "description": "Try again"}}


class _RefusedError(Exception):
    """A request that can't be answered: the status and the protocol's error code."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.code = code

    def answer(self, **more: str) -> Response:
        return _json(self.status, {**more, "errorCode": self.code, "errorDetails": str(self)})


def router(configs: KnownConfigs, record: Record) -> APIRouter:
    """Return the router; ``record`` stores the exposures."""
    routes = APIRouter(tags=["ofrep"])

    @routes.post(
        f"{PREFIX}/{{key:path}}",
        response_model=EvaluationSuccess,
        responses={
            400: {"model": EvaluationFailure},
            # A key that no path can hold, such as one of two lines, finds no route.
            404: {"model": FlagNotFound | ErrorAnswer},
            413: {"model": EvaluationFailure},
            **_UNAVAILABLE,
        },
        openapi_extra={**_BODY, "parameters": [_RECORD_PARAMETER]},
        summary="Evaluate one flag: the session's model",
    )
    async def evaluate(caller: Annotated[str, Depends(project)], key: str, request: Request) -> Response:
        """Return the model that the config `key` gives the session `targetingKey`."""
        try:
            subject = await _subject(request)
            config = _config(configs, caller, key)
            subject = subject.at_request(config)
            assignment = _assigned(subject, config)
        except _RefusedError as refused:
            return refused.answer(key=key)
        except RegistryError:
            return _registry_failed()
        asked_to = request.headers.get(RECORD_HEADER, "").strip().lower() != "false"
        recorded = asked_to and await record(caller, subject.exposure(config, assignment, SOURCE))
        requested = {"request_id": subject.request_id} if subject.request_id else {}
        return _json(200, _success(config, assignment, recorded=recorded, **requested))

    @routes.post(
        PREFIX,
        response_model=BulkEvaluationSuccess,
        responses={
            304: {"description": "All flags are as they were"},
            400: {"model": BulkEvaluationFailure},
            413: {"model": BulkEvaluationFailure},
            **_UNAVAILABLE,
        },
        openapi_extra={**_BODY, "parameters": [_ETAG_PARAMETER]},
        summary="Evaluate all flags",
    )
    async def evaluate_all(caller: Annotated[str, Depends(project)], request: Request) -> Response:
        """Return the model that each config gives the session `targetingKey`; no exposure is stored."""
        try:
            subject = await _subject(request)
            body = await run_in_threadpool(_evaluated, configs, caller, subject)
        except _RefusedError as refused:
            return refused.answer()
        except RegistryError:
            return _registry_failed()
        etag = f'"{xxhash.xxh3_128_hexdigest(body)}"'
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers={"ETag": etag})
        return Response(body, media_type="application/json", headers={"ETag": etag})

    return routes


async def _subject(request: Request) -> Subject:
    try:
        body = await read_body(request, BODY_BYTES_MAX)
    except ApiError as err:
        raise _RefusedError(err.status, "GENERAL", err.message) from err
    except HTTPException as err:
        # The budget of all bodies is spent.
        raise _RefusedError(err.status_code, "GENERAL", str(err.detail)) from err
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise _RefusedError(400, "PARSE_ERROR", f"the body is not JSON: {err}") from err
    if not isinstance(document, dict):
        raise _RefusedError(400, "PARSE_ERROR", f"the body must be a JSON object, got {shown(document)}")
    context = document.get("context")
    if context is not None and not isinstance(context, dict):
        raise _RefusedError(400, "INVALID_CONTEXT", f"context must be an object, got {shown(context)}")
    session_id = (context or {}).pop("targetingKey", None)
    if session_id is None or session_id == "":
        raise _RefusedError(400, "TARGETING_KEY_MISSING", "context.targetingKey: required, the id of the session")
    if not isinstance(session_id, str):
        raise _RefusedError(400, "INVALID_CONTEXT", f"context.targetingKey must be a string, got {shown(session_id)}")
    request_id = (context or {}).pop(REQUEST_ID, None)
    if request_id is not None and not isinstance(request_id, str):
        raise _RefusedError(400, "INVALID_CONTEXT", f"context.{REQUEST_ID} must be a string, got {shown(request_id)}")
    return Subject.of(session_id, None, context or {}, request_id)


def _config(configs: KnownConfigs, caller: str, key: str) -> ServedConfig:
    config = configs.in_force(caller, key)
    if config is None:
        raise _RefusedError(404, "FLAG_NOT_FOUND", f"no config {shown(key)} is defined")
    return config


def _assigned(subject: Subject, config: Mapping[str, Any]) -> Assignment:
    try:
        return subject.assigned(config)
    except ValueError as err:
        raise _RefusedError(400, "GENERAL", str(err)) from err


def _success(config: Mapping[str, Any], assignment: Assignment, **more: bool | str) -> dict[str, Any]:
    return {
        "key": config["key"],
        "reason": REASONS[assignment.reason],
        "variant": assignment.variant_key,
        "value": assignment.model,
        "metadata": {
            # By this name OpenFeature's telemetry finds it, and reports it with what was given.
            "version": config["version"],
            "variant_index": assignment.variant_index,
            "reason": assignment.reason,
            **more,
        },
    }


def _evaluated(configs: KnownConfigs, caller: str, subject: Subject) -> bytes:
    flags = []
    for config in configs.all_in_force(caller):
        try:
            flags.append(_success(config, _assigned(subject, config)))
        except _RefusedError as refused:
            flags.append({"key": config["key"], "errorCode": refused.code, "errorDetails": str(refused)})
    return orjson.dumps({"flags": flags, "metadata": {"flags": len(flags)}})


def _matches(if_none_match: str, etag: str) -> bool:
    """Return whether one of the tags is this one; that a proxy made it weak by compressing does not matter."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))


def _registry_failed() -> Response:
    return _json(503, {"errorDetails": "the registry can't be read at the moment; see the server's log"})


def _json(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
