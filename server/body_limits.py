"""Limits on the bodies that the framework reads whole: one by one, and together, in the budget of all requests."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.admission import Admission, Share
from collector.component import CollectorError, TooLargeError
from collector.http_answer import http_status, retry_headers

BODY_BYTES_MAX = 1024 * 1024
_TRANSPORT = "http"


class BodyLimits:
    """Lets an application read bodies of BODY_BYTES_MAX at most, or of what ``bytes_max`` says for a path.

    There, a path that ends with ``/`` stands for all below it.
    """

    def __init__(self, app: ASGIApp, admission: Admission, bytes_max: Mapping[str, int]) -> None:
        self._app = app
        self._admission = admission
        self._bytes_max = dict(bytes_max)
        self._below = tuple((path, limit) for path, limit in bytes_max.items() if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        share = self._admission.share(_TRANSPORT)
        try:
            await self._app(scope, _limited(receive, share, self._bytes_max_of(scope["path"])), send)
        finally:
            share.release()

    def _bytes_max_of(self, path: str) -> int:
        below = (limit for start, limit in self._below if path.startswith(start))
        return self._bytes_max.get(path) or next(below, BODY_BYTES_MAX)


def _limited(receive: Receive, share: Share, bytes_max: int) -> Receive:
    async def limited() -> Message:
        message = await receive()
        try:
            _admit(len(message.get("body", b"")), share, bytes_max)
        except CollectorError as error:
            share.count_refusal(error)
            # The framework answers this one as it is, and all others that come while it reads as malformed JSON.
            raise HTTPException(http_status(error), str(error), retry_headers(error)) from error
        return message

    return limited


def _admit(size_bytes: int, share: Share, bytes_max: int) -> None:
    if share.size_bytes + size_bytes > bytes_max:
        raise TooLargeError(f"the body is larger than {bytes_max} bytes, the limit of this path")
    if size_bytes:
        share.grow(size_bytes)
