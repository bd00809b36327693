"""``GET /debug/pipeline``: where all rows are, what the log holds, how committing goes."""

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


def routes(status: Callable[[], dict[str, Any]]) -> list[BaseRoute]:
    """Return the route; ``status`` is asked in a thread of its own, since it may wait for a sync."""

    def pipeline(_request: Request) -> Response:
        return Response(orjson.dumps(status()), media_type="application/json")

    return [Route("/debug/pipeline", pipeline, methods=["GET"])]
