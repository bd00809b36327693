"""Replies: every request of a loop is answered once, whatever thread answers it and whoever has gone by then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from collector.admission import Admission
from collector.component import DecodeError
from collector.replies import Replies, Reply
from collector.request import Format, Outcome, Request

REQUEST = Request(Format.METRICS, b"x" * 10, "p")


class Kept:
    """A queue that keeps what it is given."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def queue(self, request: Request, reply: Reply) -> None:
        self.replies.append(reply)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0)


def in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_each_request_has_its_own_answer() -> None:
    kept = Kept()
    admission = Admission(10_000)

    async def ask(replies: Replies) -> Outcome:
        share = admission.share("http")
        share.grow(10)
        try:
            return await replies.to(REQUEST, share)
        finally:
            share.release()

    async def ask_many() -> list[Outcome | BaseException]:
        replies = Replies(kept)
        asked = [asyncio.create_task(ask(replies)) for _ in range(500)]
        await until(lambda: len(kept.replies) == 500)
        assert admission.bytes_in_flight == 5000

        def answer() -> None:
            for number, reply in enumerate(kept.replies):
                assert reply.set_running_or_notify_cancel()
                if number % 5:
                    reply.set_result(Outcome(number))
                else:
                    reply.set_exception(DecodeError(str(number)))

        in_thread(answer)
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(ask_many())

    assert [outcome for outcome in found if isinstance(outcome, Outcome)] == [
        Outcome(number) for number in range(500) if number % 5
    ]
    assert [str(error) for error in found if isinstance(error, DecodeError)] == [
        str(number) for number in range(0, 500, 5)
    ]
    assert admission.bytes_in_flight == 0


def test_answers_of_a_round_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    admission = Admission(100)

    async def ask_many() -> int:
        replies = Replies(kept)
        loop = asyncio.get_running_loop()
        wakes: list[object] = []
        real = loop.call_soon_threadsafe

        def counted(callback: Callable[[], None]) -> None:
            wakes.append(callback)
            real(callback)

        asked = [asyncio.create_task(replies.to(REQUEST, admission.share("http"))) for _ in range(100)]
        await until(lambda: len(kept.replies) == 100)
        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        # The loop waits for this thread, so none of them can be delivered before the last.
        in_thread(lambda: [reply.set_result(Outcome(1)) for reply in kept.replies] and None)
        monkeypatch.undo()
        await asyncio.gather(*asked)
        return len(wakes)

    assert asyncio.run(ask_many()) == 1


def test_the_bytes_of_a_request_whose_caller_has_gone_count_until_the_pipeline_is_done_with_it() -> None:
    kept = Kept()
    admission = Admission(100)

    async def leave() -> tuple[int, bool]:
        share = admission.share("grpc")
        share.grow(10)
        asked = asyncio.create_task(Replies(kept).to(REQUEST, share))
        await until(lambda: bool(kept.replies))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        share.release()
        return admission.bytes_in_flight, kept.replies[0].set_running_or_notify_cancel()

    assert asyncio.run(leave()) == (10, False)
    assert admission.bytes_in_flight == 0


def test_an_answer_to_a_caller_that_has_gone_meanwhile_is_dropped() -> None:
    kept = Kept()

    async def leave() -> None:
        asked = asyncio.create_task(Replies(kept).to(REQUEST, Admission(1).share("grpc")))
        await until(lambda: bool(kept.replies))
        (reply,) = kept.replies
        assert reply.set_running_or_notify_cancel()
        asked.cancel()
        reply.set_result(Outcome(1))
        await asyncio.sleep(0.01)
        assert asked.cancelled()

    asyncio.run(leave())


def test_an_answer_after_the_loop_has_ended_is_dropped() -> None:
    kept = Kept()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Replies(kept).to(REQUEST, Admission(1).share("http")), 0.01)

    asyncio.run(ask())
    (reply,) = kept.replies

    reply.set_result(Outcome(1))
