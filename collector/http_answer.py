"""An answer over HTTP that no framework has to build: its messages are made once, and sent as often as wanted."""

from collections.abc import Mapping

import orjson
from starlette.types import Send

from collector.component import (
    CollectorError,
    PermissionDeniedError,
    RetryableError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)

JSON = "application/json"
_STATUSES: Mapping[type[CollectorError], int] = {
    RetryableError: 503,
    TooLargeError: 413,
    UnsupportedError: 415,
    UnauthenticatedError: 401,
    PermissionDeniedError: 403,
}


class HttpAnswer:
    """One answer, ready to send."""

    __slots__ = ("_messages",)

    def __init__(self, status: int, content: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        named = {"content-type": media_type, "content-length": str(len(content)), **(headers or {})}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        self._messages = (
            {"type": "http.response.start", "status": status, "headers": raw},
            {"type": "http.response.body", "body": content},
        )

    async def send(self, send: Send) -> None:
        """Send it."""
        for message in self._messages:
            await send(message)


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """Return an answer of JSON."""
    return HttpAnswer(status, orjson.dumps(content), JSON, headers)


def http_status(error: CollectorError) -> int:
    """Return the HTTP status code of a refusal."""
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)


def retry_headers(error: CollectorError) -> dict[str, str]:
    """Return the hint when to try again, where that helps."""
    return {"Retry-After": f"{error.retry_after_s:.0f}"} if isinstance(error, RetryableError) else {}
