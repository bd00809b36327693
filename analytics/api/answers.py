"""JSON answers of the analytics API."""

import orjson
from starlette.responses import Response


def json_answer(content: object) -> Response:
    """Return the content as a JSON response."""
    return Response(orjson.dumps(content), media_type="application/json")
