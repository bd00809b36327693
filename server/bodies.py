"""Bodies that routes of the API read by themselves: admitted, decompressed and bounded as the receivers' are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from analytics.api.errors import CODES, ApiError
from collector.admission import Admission
from collector.component import CollectorError
from collector.http_answer import http_status
from collector.http_body import BodyReader, read_head

TRANSPORT = "http"


class AdmittedBodies:
    """Reads the bodies of requests; their bytes are counted until they have been dealt with."""

    def __init__(self, bodies: BodyReader, admission: Admission) -> None:
        self._bodies = bodies
        self._admission = admission

    @asynccontextmanager
    async def read(self, request: Request, bytes_max: int) -> AsyncIterator[bytes]:
        """Give the decompressed body to the block. Raises ApiError."""
        share = self._admission.share(TRANSPORT)
        try:
            body = await self._bodies.read(read_head(request.scope), request.receive, share, bytes_max)
        except CollectorError as error:
            share.count_refusal(error)
            share.release()
            status = http_status(error)
            raise ApiError(status, CODES[status], str(error)) from error
        try:
            yield body
        finally:
            share.release()
