"""The Fallom clients' own calls: custom metrics, ``POST /spans``, and exposures, ``POST /sessions``; one, or a list."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from collector.admission import Admission, Share
from collector.component import CollectorError, DecodeError, PermanentError
from collector.fallom.fields import Fields, load_object
from collector.fallom.lists import is_list, split
from collector.http_answer import HttpAnswer, http_status, json_answer, retry_headers
from collector.http_body import BodyReader, read_head
from collector.replies import Replies
from collector.request import Format, Request

TRANSPORT = "http"
# One event: it is parsed where other requests wait.
EVENT_BYTES_MAX = 1024 * 1024
ERRORS_SHOWN = 10


def handlers(
    replies: Replies, admission: Admission, bodies: BodyReader, is_config_known: Callable[[str, str], bool]
) -> dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
    """Return the receiver's handlers by their paths. ``is_config_known`` says whether a project has such a config."""

    def handler(body_format: Format) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        events = _Events(replies, body_format, is_config_known if body_format is Format.EXPOSURE else None)

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            share = admission.share(TRANSPORT)
            try:
                body = await bodies.read(read_head(scope), receive, share, EVENT_BYTES_MAX)
                answer = await events.take(body, scope["state"]["project"], share)
            except _UnknownConfigError as error:
                answer = _not_found(error)
            except CollectorError as error:
                share.count_refusal(error)
                answer = _refusal(error)
            finally:
                share.release()
            await answer.send(send)

        return handle

    return {"/spans": handler(Format.METRICS), "/sessions": handler(Format.EXPOSURE)}


class _UnknownConfigError(Exception):
    """An exposure to a config that the project has not."""

    def __init__(self, config_key: str) -> None:
        super().__init__(f"config_key: no config {config_key!r} is defined: make it with `fallom-server apply`")


class _Events:
    """Takes the events of a body: one, or a list of them."""

    def __init__(
        self, replies: Replies, body_format: Format, is_config_known: Callable[[str, str], bool] | None
    ) -> None:
        self._replies = replies
        self._format = body_format
        self._is_config_known = is_config_known

    async def take(self, body: bytes, project: str, share: Share) -> HttpAnswer:
        """Return once the events are on disk, but for those of a list that are rejected. Raises what refuses all."""
        if not is_list(body):
            await self._take_one(body, project, share)
            return _TAKEN
        parts = [(part, share.split(len(part))) for part in split(body)]
        try:
            taken = (self._take_one(part, project, portion) for part, portion in parts)
            outcomes = await asyncio.gather(*taken, return_exceptions=True)
        finally:
            for _, portion in parts:
                portion.release()
        rejected: dict[int, BaseException] = {}
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, PermanentError | _UnknownConfigError):
                rejected[place] = outcome
            elif isinstance(outcome, BaseException):
                # Those that are on disk are recognised when the list comes again.
                raise outcome
        return _of_list(rejected)

    async def _take_one(self, body: bytes, project: str, share: Share) -> None:
        if self._is_config_known is not None:
            config_key = Fields(load_object(body)).text("config_key")
            if not self._is_config_known(project, config_key):
                raise _UnknownConfigError(config_key)
        await self._replies.to(Request(self._format, body, project), share)


def _of_list(rejected: dict[int, BaseException]) -> HttpAnswer:
    shown = [{"index": place, "message": str(error)} for place, error in list(rejected.items())[:ERRORS_SHOWN]]
    return json_answer(200, {"status": "ok", "rejected": len(rejected), **({"errors": shown} if shown else {})})


def _refusal(error: CollectorError) -> HttpAnswer:
    status = http_status(error)
    content = {"code": _CODES[status], "message": str(error)}
    if isinstance(error, DecodeError) and error.field:
        content["field"] = error.field
    return json_answer(status, {"error": content}, retry_headers(error))


def _not_found(error: _UnknownConfigError) -> HttpAnswer:
    return json_answer(404, {"error": {"code": "not_found", "message": str(error), "field": "config_key"}})


_CODES = {400: "invalid_argument", 413: "too_large", 415: "unsupported_media_type", 503: "unavailable"}
_TAKEN = json_answer(200, {"status": "ok"})
