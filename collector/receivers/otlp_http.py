"""OTLP over HTTP, and the flat Fallom trace that shares its path: ``POST /v1/traces``."""

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from collector.admission import Admission
from collector.component import CollectorError, UnsupportedError
from collector.http_answer import HttpAnswer, http_status, retry_headers
from collector.http_body import BodyReader, Head, read_head
from collector.otlp import answers
from collector.replies import Replies
from collector.request import Format, Outcome, Request

TRANSPORT = "http"
_FORMATS = {answers.PROTOBUF: Format.OTLP_PROTOBUF, answers.JSON: Format.JSON_TRACES}


def handlers(
    replies: Replies, admission: Admission, bodies: BodyReader
) -> dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
    """Return the receiver's handlers by their paths."""

    async def traces(scope: Scope, receive: Receive, send: Send) -> None:
        head = read_head(scope)
        share = admission.share(TRANSPORT)
        try:
            body_format = _format(head)
            body = await bodies.read(head, receive, share)
            request = Request(body_format, body, scope["state"]["project"], head.fallom)
            answer = _answer(await replies.to(request, share), head.media_type)
        except CollectorError as error:
            share.count_refusal(error)
            answer = _refusal(error, head.media_type if head.media_type in _FORMATS else answers.JSON)
        finally:
            share.release()
        await answer.send(send)

    return {"/v1/traces": traces}


def _format(head: Head) -> Format:
    body_format = _FORMATS.get(head.media_type)
    if body_format is None:
        raise UnsupportedError(
            f"content-type {head.media_type!r} is not supported: use {answers.PROTOBUF} or {answers.JSON}"
        )
    return body_format


def _answer(outcome: Outcome, media_type: str) -> HttpAnswer:
    if not outcome.rejected:
        return _ALL_TAKEN[media_type]
    return HttpAnswer(200, answers.encode(answers.response(outcome), media_type), media_type)


def _refusal(error: CollectorError, media_type: str) -> HttpAnswer:
    content = answers.encode(answers.status(error), media_type)
    return HttpAnswer(http_status(error), content, media_type, retry_headers(error))


_ALL_TAKEN = {
    media_type: HttpAnswer(200, answers.encode(answers.response(Outcome(0)), media_type), media_type)
    for media_type in _FORMATS
}
