"""The receivers' HTTP paths, answered before any framework: one lookup, then the receiver."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from starlette.types import ASGIApp, Receive, Scope, Send

from collector.http_answer import json_answer

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class HttpPaths:
    """An ASGI application that answers POST on the handlers' paths, and passes other paths on to ``app``.

    ``shared`` says on which of the handlers' paths ``app`` answers which other methods. Under ``prefix`` nothing is
    passed on, but refused in its ``wrong_path`` and ``wrong_method``.
    """

    def __init__(
        self,
        app: ASGIApp,
        handlers: Mapping[str, Handler],
        prefix: str,
        wrong_path: Handler,
        wrong_method: Handler,
        *,
        shared: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._handlers = dict(handlers)
        self._prefix = prefix
        self._wrong_path = wrong_path
        self._wrong_method = wrong_method
        self._shared = dict(shared)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        handler = self._handlers.get(scope["path"]) if scope["type"] == "http" else None
        if handler is not None and scope["method"] == "POST":
            await handler(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(self._prefix):
            await (self._wrong_path if handler is None else self._wrong_method)(scope, receive, send)
        elif handler is None or scope["method"] in self._shared.get(scope["path"], ()):
            await self._app(scope, receive, send)
        else:
            message = f"Method Not Allowed: {scope['method']} {scope['path']}"
            content = {"error": {"code": "method_not_allowed", "message": message}}
            allowed = ", ".join(("POST", *sorted(self._shared.get(scope["path"], ()))))
            await json_answer(405, content, {"Allow": allowed}).send(send)
