"""The event loop of the HTTP port: uvloop's, with a time-out for TLS handshakes, which uvicorn has no setting for."""

from typing import Any

import uvloop


class EventLoop(uvloop.Loop):
    """Ends a handshake that takes longer than ``handshake_timeout_s``."""

    def __init__(self, handshake_timeout_s: float) -> None:
        super().__init__()
        self._handshake_timeout_s = handshake_timeout_s

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """Listen, as asyncio's loop does."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", self._handshake_timeout_s)
        return await super().create_server(*arguments, **options)
