"""What the door answers where it lets nobody in: in the form of the path's other errors."""

from collections.abc import Mapping

from google.rpc.status_pb2 import Status
from starlette.types import Scope

from analytics.api import ofrep
from collector.component import CollectorError, PermissionDeniedError, RateError, UnauthenticatedError
from collector.http_answer import HttpAnswer, http_status, json_answer, retry_headers
from collector.http_body import read_head
from collector.otlp import answers
from collector.receivers.otlp_http import PREFIX

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="fallom"'}
_CODES: dict[type[CollectorError], str] = {
    UnauthenticatedError: "unauthenticated",
    PermissionDeniedError: "permission_denied",
    RateError: "unavailable",
}


def refusal(scope: Scope, error: CollectorError) -> HttpAnswer:
    """Return the answer to a request that the key does not allow."""
    status = http_status(error)
    headers = retry_headers(error) | (_CHALLENGE if status == 401 else {})
    if scope["path"].startswith(ofrep.PREFIX):
        # The protocol has a status of its own for a rate that is spent: its clients then pause.
        status = 429 if isinstance(error, RateError) else status
        return json_answer(status, {"errorDetails": str(error)}, headers)
    if _is_otlp(scope):
        return _otlp_answer(scope, status, answers.status(error), headers)
    return json_answer(status, {"error": {"code": _CODES[type(error)], "message": str(error)}}, headers)


def not_found(scope: Scope) -> HttpAnswer:
    """Return the answer to a request for what is not there, or is none of the key's business."""
    message = f"Not Found: {scope['method']} {scope['path']}"
    if _is_otlp(scope):
        return _otlp_answer(scope, 404, Status(code=answers.NOT_FOUND, message=message), {})
    return json_answer(404, {"error": {"code": "not_found", "message": message}})


def _is_otlp(scope: Scope) -> bool:
    return bool(scope["path"].startswith(PREFIX))


def _otlp_answer(scope: Scope, http_code: int, status: Status, headers: Mapping[str, str]) -> HttpAnswer:
    sent = read_head(scope).media_type
    media_type = sent if sent in (answers.PROTOBUF, answers.JSON) else answers.JSON
    return HttpAnswer(http_code, answers.encode(status, media_type), media_type, headers)
