"""Parameters of a query that a path does not have: a misspelt one must not be left out of account in silence."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from analytics.api.errors import ApiError
from schemas.api.known_names import unknown_name


async def known_parameters(request: Request) -> None:
    """Raise ApiError, 400, for the first parameter that the path does not have; a FastAPI dependency."""
    route: Any = request.scope["route"]
    known = [parameter.alias for parameter in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            raise ApiError(400, "invalid_argument", f"{name}: {unknown_name(name, known)}", name)
