"""The door of the HTTP port: an API key and its scope are checked before anything of a body is read."""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.access import Caller, presented_key
from collector.component import CollectorError, PermissionDeniedError
from collector.http_answer import HttpAnswer
from schemas.project import DEFAULT_PROJECT
from schemas.scopes import ADMIN
from server.key_ring import KeyRing
from server.refusals import not_found, refusal
from server.scopes import PUBLIC_PATHS, scopes_of


class KeyGuard:
    """Puts the project and the name of the request's key into ``scope["state"]``, or refuses the request.

    While no key is defined, requests go to ``keyless`` instead, as the project ``default``.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyRing,
        *,
        keyless: ASGIApp,
        on_refusal: Callable[[CollectorError], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._on_refusal = on_refusal
        self._keys = keys
        self._keyless = keyless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in PUBLIC_PATHS):
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            # Nothing here speaks WebSocket.
            await send({"type": "websocket.close", "code": 1008})
        elif self._keys.is_open:
            scope.setdefault("state", {})["project"] = DEFAULT_PROJECT
            await self._keyless(scope, receive, send)
        else:
            caller = self._caller(scope)
            if isinstance(caller, HttpAnswer):
                await caller.send(send)
            else:
                scope.setdefault("state", {}).update(project=caller.project, author=caller.author)
                await self._app(scope, _charged(receive, caller), send)

    def _caller(self, scope: Scope) -> Caller | HttpAnswer:
        """Return who calls, or the answer to whoever may not."""
        scopes = scopes_of(scope["path"], scope["method"])
        try:
            return self._keys.admit(_key(scope["headers"]), ADMIN if scopes is None else scopes)
        except PermissionDeniedError as error:
            self._on_refusal(error)
            return not_found(scope) if scopes is None else refusal(scope, error)
        except CollectorError as error:
            self._on_refusal(error)
            return refusal(scope, error)


def _key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return presented_key(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name in (b"authorization", b"x-api-key")
    )


def _charged(receive: Receive, caller: Caller) -> Receive:
    """Count what comes of the body against the caller's rate."""

    async def charged() -> Message:
        message = await receive()
        body = message.get("body")
        if body:
            caller.charge(len(body))
        return message

    return charged
