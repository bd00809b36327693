"""OTLP over HTTP, and the flat Fallom trace that shares the path of traces.

Whatever is refused under ``/v1/`` is told as OTLP tells it: a Status in the encoding of the request, JSON where that
has no encoding of ours.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn

from google.rpc.status_pb2 import Status
from starlette.types import Receive, Scope, Send

from collector.admission import Admission
from collector.component import CollectorError, UnsupportedError
from collector.http_answer import HttpAnswer, http_status, retry_headers
from collector.http_body import BodyReader, Head, read_head
from collector.otlp import answers
from collector.otlp.signals import SIGNALS, Signal
from collector.replies import Replies
from collector.request import Outcome, Request

TRANSPORT = "http"
PREFIX = "/v1/"
_MEDIA_TYPES = (answers.PROTOBUF, answers.JSON)


def handlers(
    replies: Replies, admission: Admission, bodies: BodyReader
) -> dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
    """Return the receiver's handlers by their paths."""

    def handler(signal: Signal) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        formats = {answers.PROTOBUF: signal.protobuf, answers.JSON: signal.json}

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            head = read_head(scope)
            share = admission.share(TRANSPORT)
            try:
                body_format = formats.get(head.media_type) or _unsupported(head)
                body = await bodies.read(head, receive, share)
                request = Request(body_format, body, scope["state"]["project"], head.fallom)
                answer = _answer(await replies.to(request, share), head.media_type)
            except CollectorError as error:
                share.count_refusal(error)
                answer = _refusal(error, _media_type(head))
            finally:
                share.release()
            await answer.send(send)

        return handle

    return {signal.path: handler(signal) for signal in SIGNALS}


async def wrong_path(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a request under ``/v1/`` whose path is none of OTLP's."""
    paths = ", ".join(signal.path for signal in SIGNALS)
    message = f"Not Found: {scope['path']}: OTLP's paths are {paths}"
    await _status_answer(scope, 404, answers.NOT_FOUND, message).send(send)


async def wrong_method(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer a request to one of OTLP's paths whose method is not POST."""
    message = f"Method Not Allowed: {scope['method']} {scope['path']}: use POST"
    await _status_answer(scope, 405, answers.UNIMPLEMENTED, message, {"Allow": "POST"}).send(send)


def _status_answer(
    scope: Scope, http_code: int, code: int, message: str, headers: dict[str, str] | None = None
) -> HttpAnswer:
    media_type = _media_type(read_head(scope))
    return HttpAnswer(http_code, answers.encode(Status(code=code, message=message), media_type), media_type, headers)


def _media_type(head: Head) -> str:
    return head.media_type if head.media_type in _MEDIA_TYPES else answers.JSON


def _unsupported(head: Head) -> NoReturn:
    raise UnsupportedError(
        f"content-type {head.media_type!r} is not supported: use {answers.PROTOBUF} or {answers.JSON}"
    )


def _answer(outcome: Outcome, media_type: str) -> HttpAnswer:
    if not outcome.rejected:
        return _ALL_TAKEN[media_type]
    return HttpAnswer(200, answers.encode(answers.response(outcome), media_type), media_type)


def _refusal(error: CollectorError, media_type: str) -> HttpAnswer:
    content = answers.encode(answers.status(error), media_type)
    return HttpAnswer(http_status(error), content, media_type, retry_headers(error))


_ALL_TAKEN = {
    media_type: HttpAnswer(200, answers.encode(answers.response(Outcome(0)), media_type), media_type)
    for media_type in _MEDIA_TYPES
}
