"""The Fallom clients' own calls: custom metrics, ``POST /spans``, and exposures, ``POST /sessions``."""

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from collector.admission import Admission
from collector.component import CollectorError, DecodeError
from collector.fallom.fields import Fields, load_object
from collector.http_answer import HttpAnswer, http_status, json_answer, retry_headers
from collector.http_body import BodyReader, read_head
from collector.replies import Replies
from collector.request import Format, Request

TRANSPORT = "http"
# One event: it is parsed where other requests wait.
EVENT_BYTES_MAX = 1024 * 1024


def handlers(
    replies: Replies, admission: Admission, bodies: BodyReader, is_config_known: Callable[[str, str], bool]
) -> dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
    """Return the receiver's handlers by their paths. ``is_config_known`` says whether a project has such a config."""

    def handler(body_format: Format) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            project = scope["state"]["project"]
            share = admission.share(TRANSPORT)
            try:
                body = await bodies.read(read_head(scope), receive, share, EVENT_BYTES_MAX)
                unknown = _unknown_config(body, project) if body_format is Format.EXPOSURE else ""
                if not unknown:
                    await replies.to(Request(body_format, body, project), share)
                answer = _not_found(unknown) if unknown else _TAKEN
            except CollectorError as error:
                share.count_refusal(error)
                answer = _refusal(error)
            finally:
                share.release()
            await answer.send(send)

        return handle

    def _unknown_config(body: bytes, project: str) -> str:
        config_key = Fields(load_object(body)).text("config_key")
        return "" if is_config_known(project, config_key) else config_key

    return {"/spans": handler(Format.METRICS), "/sessions": handler(Format.EXPOSURE)}


def _refusal(error: CollectorError) -> HttpAnswer:
    status = http_status(error)
    content = {"code": _CODES[status], "message": str(error)}
    if isinstance(error, DecodeError) and error.field:
        content["field"] = error.field
    return json_answer(status, {"error": content}, retry_headers(error))


def _not_found(config_key: str) -> HttpAnswer:
    message = f"config_key: no config {config_key!r} is defined: make it with `fallom-server apply`"
    return json_answer(404, {"error": {"code": "not_found", "message": message, "field": "config_key"}})


_CODES = {400: "invalid_argument", 413: "too_large", 415: "unsupported_media_type", 503: "unavailable"}
_TAKEN = json_answer(200, {"status": "ok"})
