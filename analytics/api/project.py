"""Whose data a request sees."""

from __future__ import annotations

from starlette.requests import Request

from schemas.project import DEFAULT_PROJECT


async def project(request: Request) -> str:
    """Return the project that authentication set on the request's state, else ``default``; a FastAPI dependency."""
    name: str = getattr(request.state, "project", None) or DEFAULT_PROJECT
    return name
