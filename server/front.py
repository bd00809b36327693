"""What stands before the application: health, asked without a key and from any host, and the answer while it starts."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from collector.component import RetryableError
from collector.http_answer import HttpAnswer, json_answer, retry_headers
from collector.http_body import read_head
from collector.otlp import answers
from server.readiness import Readiness

HEALTH, READINESS = "/healthz", "/readyz"
_ALIVE = json_answer(200, {"status": "alive"})
_STARTING = RetryableError("the server is starting: try again")


class Front:
    """Answers the health paths itself, and passes the rest on once the application is open."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness
        self._is_open = False

    def open(self) -> None:
        """Let requests through."""
        self._is_open = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        path = scope["path"]
        if path in (HEALTH, READINESS):
            await self._health(scope).send(send)
        elif self._is_open:
            await self._app(scope, receive, send)
        else:
            await _starting(scope).send(send)

    def _health(self, scope: Scope) -> HttpAnswer:
        if scope["method"] not in ("GET", "HEAD"):
            message = f"Method Not Allowed: {scope['method']} {scope['path']}"
            return json_answer(
                405, {"error": {"code": "method_not_allowed", "message": message}}, {"Allow": "GET, HEAD"}
            )
        return _ALIVE if scope["path"] == HEALTH else self._ready()

    def _ready(self) -> HttpAnswer:
        reasons = self._readiness.reasons()
        content: Mapping[str, object] = {
            "status": "not ready" if reasons else "ready",
            "reasons": reasons,
            "warnings": self._readiness.warnings(),
        }
        return json_answer(503 if reasons else 200, content)


def _starting(scope: Scope) -> HttpAnswer:
    headers = retry_headers(_STARTING)
    if not scope["path"].startswith("/v1/"):
        return json_answer(503, {"error": {"code": "unavailable", "message": str(_STARTING)}}, headers)
    media_type = read_head(scope).media_type
    media_type = media_type if media_type == answers.PROTOBUF else answers.JSON
    return HttpAnswer(503, answers.encode(answers.status(_STARTING), media_type), media_type, headers)
