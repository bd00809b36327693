"""Evaluation runs of the 0.2.x clients: ``POST /api/sdk-evals``.

A run's id follows from its bytes, so that a run that is sent again, after an answer that was lost, is the run that is
there. Its items and its scores are two appends to two logs: where the second failed, the next attempt makes only that.
"""

import asyncio
import hashlib
import weakref
from collections.abc import Awaitable, Callable, Sequence

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from collector.admission import Admission
from collector.component import CollectorError, DecodeError
from collector.fallom.evaluations import RUN_ID, STORED
from collector.http_answer import HttpAnswer, http_status, json_answer, retry_headers
from collector.http_body import BodyReader, read_head
from collector.replies import Replies
from collector.request import Format, Request

TRANSPORT = "http"
RUN_BYTES_MAX = 64 * 1024 * 1024

StoredIn = Callable[[str, str], Sequence[str]]
"""Given a project and a run's id, the tables that the run is in."""
KeyedHash = Callable[[str, str], str]
"""Given a project and a text, a hash that tells nothing of the text where the project's policy wants that."""


def handler(
    replies: Replies,
    admission: Admission,
    bodies: BodyReader,
    *,
    stored_in: StoredIn,
    keyed_hash: KeyedHash = lambda _, text: text,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the receiver's handler."""
    attempts: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        project = scope["state"]["project"]
        share = admission.share(TRANSPORT)
        try:
            body = await bodies.read(read_head(scope), receive, share, RUN_BYTES_MAX)
            digest = await to_thread.run_sync(lambda: hashlib.blake2b(body, digest_size=16).hexdigest())
            run_id = keyed_hash(project, digest)
            # Of two attempts at once the second must see what the first has stored.
            async with attempts.setdefault((project, run_id), asyncio.Lock()):
                stored = await to_thread.run_sync(stored_in, project, run_id)
                notes = {RUN_ID: run_id, STORED: ",".join(stored)}
                await replies.to(Request(Format.EVALUATION, body, project, notes=notes), share)
            answer = json_answer(200, {"run_id": run_id})
        except CollectorError as error:
            share.count_refusal(error)
            answer = _refusal(error)
        finally:
            share.release()
        await answer.send(send)

    return handle


def _refusal(error: CollectorError) -> HttpAnswer:
    status = http_status(error)
    content = {"code": _CODES[status], "message": str(error)}
    if isinstance(error, DecodeError) and error.field:
        content["field"] = error.field
    return json_answer(status, {"error": content}, retry_headers(error))


_CODES = {400: "invalid_argument", 413: "too_large", 415: "unsupported_media_type", 503: "unavailable"}
