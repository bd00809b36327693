"""JSON answers of the analytics API."""

from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

# Clients keep an answer, and ask each time whether it still holds: a change is seen at once.
REVALIDATED = "private, no-cache"


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the content as a JSON response."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def tagged_answer(request: Request, body: bytes, tag: str) -> Response:
    """Return JSON bytes under their tag; 304 without them to a client that has them already."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": REVALIDATED}
    held = request.headers.get("if-none-match", "")
    if held.strip() == "*" or tag in {_opaque(part) for part in held.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _opaque(tag: str) -> str:
    # Compared weakly, as RFC 9110 wants it here.
    return tag.strip().removeprefix("W/").strip('"')
