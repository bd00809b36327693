"""From the pipeline's thread back to an event loop: all answers of a round in one wake-up.

A wake-up of a loop by another thread costs more than a small request does, and a round of the pipeline answers
hundreds of requests in a row. So an answer is only queued, and the loop is woken by the first of them.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Protocol

from collector.admission import Share
from collector.component import CollectorError
from collector.request import Outcome, Request


class Reply(Protocol):
    """Where the pipeline leaves the answer to one request; a ``concurrent.futures.Future`` is one."""

    def set_running_or_notify_cancel(self) -> bool:
        """Return whether somebody still waits; if not, no answer follows."""

    def set_result(self, result: Outcome, /) -> None:
        """Answer with what became of the request."""

    def set_exception(self, exception: CollectorError, /) -> None:
        """Answer with why the request was refused."""


class Queue(Protocol):
    """What takes requests from any thread: the pipeline."""

    def queue(self, request: Request, reply: Reply) -> None:
        """Queue a request; its rows are on disk when the reply has an Outcome."""


class Replies:
    """Submits requests for the coroutines of one event loop, and wakes them when they are answered."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._answered: deque[_Waiting] = deque()
        self._is_waking = False

    async def to(self, request: Request, share: Share) -> Outcome:
        """Return what became of the request, or raise its CollectorError.

        From here on the bytes of ``share`` belong to the request: they are given back when the pipeline is done with
        it, also where the caller has gone by then.
        """
        waiting = _Waiting(self, share.handed_over())
        self._queue.queue(request, waiting)
        try:
            return await waiting.answered
        except asyncio.CancelledError:
            waiting.is_abandoned = True
            raise

    def deliver(self, waiting: "_Waiting") -> None:
        """Take an answer, from any thread."""
        self._answered.append(waiting)
        # Two threads may both find it false: the second wake-up finds nothing to do.
        if not self._is_waking:
            self._is_waking = True
            # A loop that is closed has nobody left who waits.
            with suppress(RuntimeError):
                waiting.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        # First: what is queued from here on wakes the loop again.
        self._is_waking = False
        while self._answered:
            waiting = self._answered.popleft()
            if waiting.answered.done():
                continue
            if isinstance(waiting.answer, Outcome):
                waiting.answered.set_result(waiting.answer)
            else:
                waiting.answered.set_exception(waiting.answer)


class _Waiting:
    """One request that is with the pipeline, and the coroutine that waits for it."""

    __slots__ = ("_replies", "_share", "answer", "answered", "is_abandoned", "loop")

    answer: Outcome | CollectorError

    def __init__(self, replies: Replies, share: Share) -> None:
        self._replies = replies
        self._share = share
        self.loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Outcome] = self.loop.create_future()
        self.is_abandoned = False

    def set_running_or_notify_cancel(self) -> bool:
        if self.is_abandoned:
            self._share.release()
        return not self.is_abandoned

    def set_result(self, result: Outcome) -> None:
        self.set_answer(result)

    def set_exception(self, exception: CollectorError) -> None:
        self.set_answer(exception)

    def set_answer(self, answer: Outcome | CollectorError) -> None:
        """Answer; the first answer stays."""
        if hasattr(self, "answer"):
            return
        self._share.release()
        self.answer = answer
        self._replies.deliver(self)
