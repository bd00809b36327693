"""Who may speak to a server that has no keys: programs of this machine, but not the web pages that it shows.

A page can make a browser post to 127.0.0.1 (it then names its own origin), and, with a name that resolves to it, also
read the answers (it then names that host). Both are told by their headers, and refused.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.component import CollectorError, PermissionDeniedError
from server.refusals import refusal
from server.settings import is_loopback


class LocalGuard:
    """Refuses requests whose Host or Origin is neither this machine nor allowed."""

    def __init__(
        self,
        app: ASGIApp,
        allowed_hosts: Sequence[str],
        allowed_origins: Sequence[str] = (),
        *,
        on_refusal: Callable[[CollectorError], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._on_refusal = on_refusal
        self._allowed_origins = frozenset(allowed_origins)
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            reason = self._reason(Headers(scope=scope))
            if reason:
                error = PermissionDeniedError(reason)
                self._on_refusal(error)
                await refusal(scope, error).send(send)
                return
        await self._app(scope, receive, send)

    def _reason(self, headers: Headers) -> str:
        host = headers.get("host", "")
        if host and not self._is_allowed(f"//{host}"):
            return f"Host: {host!r} is not this machine; a proxy's name must be among the setting allowed_hosts"
        origin = headers.get("origin", "")
        if origin and origin not in self._allowed_origins and not self._is_allowed(origin):
            return f"Origin: {origin!r} is not this machine; a page's origin must be among the setting cors_origins"
        return ""

    def _is_allowed(self, url: str) -> bool:
        try:
            name = urlsplit(url).hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._allowed_hosts
