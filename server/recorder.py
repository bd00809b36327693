"""Stores the exposures of assignments that the server makes, on the way of all others: admission, pipeline, log."""

from collections.abc import Mapping

import orjson

from collector.admission import Admission
from collector.component import CollectorError
from collector.replies import Replies
from collector.request import Format, Request

TRANSPORT = "http"


class ExposureRecorder:
    """Called by the coroutines of the server's event loop."""

    def __init__(self, replies: Replies, admission: Admission) -> None:
        self._replies = replies
        self._admission = admission

    async def __call__(self, project: str, exposure: Mapping[str, object]) -> bool:
        """Return whether the exposure is on disk. Where it can't be stored now, the refusal is counted."""
        share = self._admission.share(TRANSPORT)
        try:
            body = orjson.dumps(exposure)
            share.grow(len(body))
            await self._replies.to(Request(Format.ASSIGNMENT, body, project), share)
        except CollectorError as error:
            share.count_refusal(error)
            return False
        finally:
            share.release()
        return True
