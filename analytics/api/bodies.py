"""Bodies of requests, read within a limit."""

from starlette.requests import Request

from analytics.api.errors import ApiError


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return the body; raise ApiError 413 as soon as it is known to be larger than ``bytes_max``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise ApiError(413, "too_large", f"body must be at most {bytes_max} bytes long")
    return bytes(body)
