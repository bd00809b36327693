"""By whom a change is."""

from __future__ import annotations

from starlette.requests import Request

from storage.registry.resources import LOCAL


async def author(request: Request) -> str:
    """Return the name that authentication set on the request's state, else ``local``; a FastAPI dependency."""
    name: str = getattr(request.state, "author", None) or LOCAL
    return name
