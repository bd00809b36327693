"""The gRPC receiver: what it refuses unread, what it gives back, and that what clients send has bounds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector.access import Access, OpenAccess
from collector.admission import Admission
from collector.component import DecodeError, UnauthenticatedError
from collector.otlp.signals import TRACES
from collector.receivers import otlp_grpc
from collector.receivers.otlp_grpc import OtlpGrpcReceiver
from collector.replies import Replies, Reply
from collector.request import Outcome, Request
from schemas.scopes import INGEST, Scopes

METHOD = f"/{TRACES.service}/Export"
MIB = 1 << 20
OWN_CONNECTION = [("grpc.max_send_message_length", 1 << 28), ("grpc.use_local_subchannel_pool", 1)]


class Held:
    """A queue that holds requests until it is told to answer them."""

    def __init__(self) -> None:
        self.held: list[tuple[Request, Reply]] = []

    def queue(self, request: Request, reply: Reply) -> None:
        self.held.append((request, reply))

    def answer(self, outcome: Outcome) -> None:
        for _, reply in self.held:
            if reply.set_running_or_notify_cancel():
                reply.set_result(outcome)
        self.held.clear()


Use = Callable[[Held, Admission, grpc.aio.Channel, str], Coroutine[Any, Any, None]]


def with_receiver(use: Use, *, bytes_max: int = MIB, reads_max: int = 16, access: Access | None = None) -> None:
    async def run() -> None:
        held, admission = Held(), Admission(bytes_max)
        receiver = OtlpGrpcReceiver(
            Replies(held),
            admission,
            "127.0.0.1:0",
            access=access or OpenAccess(),
            body_bytes_max=64 * MIB,
            reads_max=reads_max,
        )
        await receiver.start()
        try:
            async with grpc.aio.insecure_channel(receiver.address) as channel:
                await use(held, admission, channel, receiver.address)
        finally:
            await receiver.stop()

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


async def refusal(call: Any) -> tuple[grpc.StatusCode, Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return told(caught.value)


def told(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, Status]:
    return error.code(), Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


def retry_s(status: Status) -> float:
    hint = RetryInfo()
    assert status.details[0].Unpack(hint)
    return float(hint.retry_delay.ToTimedelta().total_seconds())


def test_a_call_is_answered_when_its_request_is() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        call = channel.unary_unary(METHOD)(b"body", metadata=(("x-fallom-session-id", "s"), ("other", "o")))
        await until(lambda: bool(held.held))
        request = held.held[0][0]
        assert (request.body, dict(request.headers)) == (b"body", {"x-fallom-session-id": "s"})
        assert admission.bytes_in_flight == 4

        held.answer(Outcome(1))

        assert await call == b""
        assert admission.bytes_in_flight == 0

    with_receiver(use)


class OneKey:
    """Knows the key ``k`` of the project ``web``, and what it was charged."""

    project = "web"

    def __init__(self) -> None:
        self.charged = 0

    def admit(self, key: str, any_of: Scopes) -> OneKey:
        if (key, any_of) != ("k", INGEST):
            raise UnauthenticatedError("no such key")
        return self

    def charge(self, size_bytes: int) -> None:
        self.charged += size_bytes


def test_a_request_is_of_its_keys_project_and_charged_to_it() -> None:
    access = OneKey()

    async def use(held: Held, _: Admission, channel: grpc.aio.Channel, __: str) -> None:
        call = channel.unary_unary(METHOD)(b"body", metadata=(("authorization", "Bearer k"),))
        await until(lambda: bool(held.held))

        assert held.held[0][0].project == "web"
        assert access.charged == 4
        held.answer(Outcome(1))
        await call

    with_receiver(use, access=access)


def test_a_call_without_a_key_that_counts_is_refused_before_its_message_comes_and_keeps_no_place() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        for _ in range(3):
            silent = channel.stream_unary(METHOD)(metadata=(("authorization", "Bearer wrong"),))

            code, status = await refusal(silent)

            assert (code, status.code, status.message) == (grpc.StatusCode.UNAUTHENTICATED, 16, "no such key")
        assert admission.bytes_in_flight == 0
        assert held.held == []

    with_receiver(use, reads_max=1, access=OneKey())


def test_a_message_beyond_the_budget_is_refused_with_a_hint_and_counted() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        code, status = await refusal(channel.unary_unary(METHOD)(bytes(MIB + 1)))

        assert (code, status.code, retry_s(status)) == (grpc.StatusCode.UNAVAILABLE, 14, 1.0)
        assert (admission.bytes_in_flight, admission.refused) == (0, {("grpc", "admission"): 1})
        assert held.held == []

    with_receiver(use)


def test_while_the_budget_is_nearly_spent_calls_are_refused_unread() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        admission.acquire(MIB - 10)
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield bytes(100_000)
                await asyncio.sleep(0)

        while True:
            sent = 0
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.stream_unary(METHOD)(endless())
            assert sent * 100_000 <= 4 * MIB
            # grpcio's client loses the answer where it was about to write more; exporters write one message.
            if caught.value.details() != "Internal error from Core":
                break

        code, status = told(caught.value)
        assert (code, retry_s(status)) == (grpc.StatusCode.UNAVAILABLE, 1.0)
        assert "are in flight" in status.message
        assert held.held == []

    with_receiver(use)


def test_calls_beyond_the_limit_are_refused_and_those_within_it_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "CALLS_MAX", 3)

    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, address: str) -> None:
        export = channel.unary_unary(METHOD)
        within = []
        for number in range(3):
            within.append(export(b"x"))
            await until(lambda count=number + 1: len(held.held) == count)  # type: ignore[misc]

        # By a connection of its own: within one the client itself waits.
        async with grpc.aio.insecure_channel(address, OWN_CONNECTION) as other:
            code, status = await refusal(other.unary_unary(METHOD)(b"x"))
        held.answer(Outcome(1))

        assert (code, retry_s(status)) == (grpc.StatusCode.UNAVAILABLE, 1.0)
        assert "calls are under way" in status.message
        assert [await call for call in within] == [b""] * 3
        assert admission.refused == {("grpc", "admission"): 1}

    with_receiver(use)


def test_a_message_that_does_not_arrive_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "READ_S_MAX", 0.2)

    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.sleep(30)
            yield b""

        stalled = asyncio.create_task(refusal(channel.stream_unary(METHOD)(nothing())))
        await asyncio.sleep(0.05)
        waiting = channel.unary_unary(METHOD)(b"body")
        await until(lambda: bool(held.held))
        held.answer(Outcome(1))

        assert await waiting == b""
        code, status = await stalled
        assert (code, retry_s(status)) == (grpc.StatusCode.UNAVAILABLE, 1.0)

    with_receiver(use, reads_max=1)


def test_a_call_without_a_message_is_an_invalid_argument() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        async def none() -> AsyncIterator[bytes]:
            for message in ():
                yield message

        code, status = await refusal(channel.stream_unary(METHOD)(none()))

        assert (code, status.code) == (grpc.StatusCode.INVALID_ARGUMENT, 3)

    with_receiver(use)


def test_a_client_that_cancels_keeps_its_bytes_counted_until_its_request_is_done_with() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        call = channel.unary_unary(METHOD)(bytes(1000))
        await until(lambda: bool(held.held))
        call.cancel()
        await asyncio.sleep(0.2)
        assert admission.bytes_in_flight == 1000

        held.answer(Outcome(1))

        assert admission.bytes_in_flight == 0

    with_receiver(use)


def test_a_permanent_error_of_the_pipeline_is_told_without_a_hint() -> None:
    async def use(held: Held, admission: Admission, channel: grpc.aio.Channel, _: str) -> None:
        call = asyncio.create_task(refusal(channel.unary_unary(METHOD)(b"x")))
        await until(lambda: bool(held.held))
        held.held[0][1].set_exception(DecodeError("broken", field="body"))

        code, status = await call

        assert (code, status.code, status.message) == (grpc.StatusCode.INVALID_ARGUMENT, 3, "body: broken")
        assert admission.bytes_in_flight == 0

    with_receiver(use)


def test_hundreds_of_large_calls_at_once_stay_within_the_stated_memory() -> None:
    calls, message_bytes, budget_bytes = 200, 10 * MIB, 64 * MIB
    script = Path(__file__).parents[2] / "grpc_receiver_process.py"
    with subprocess.Popen(
        [sys.executable, script, str(budget_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address, base_mib = process.stdout.readline().split()
        codes = asyncio.run(flood(address, calls, bytes(message_bytes)))
        process.stdin.write("\n")
        process.stdin.flush()
        peak_mib = int(process.stdout.readline())

    # otlp_grpc's promise; half as much again for copies at the hand-over, and for what malloc keeps of what is freed.
    promised_bytes = budget_bytes + 16 * message_bytes + otlp_grpc.CALLS_MAX * otlp_grpc.WINDOW_BYTES
    assert (peak_mib - int(base_mib)) * MIB < promised_bytes * 1.5 < calls * message_bytes / 3
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


async def flood(address: str, calls: int, body: bytes) -> list[grpc.StatusCode]:
    channels = [grpc.aio.insecure_channel(address, OWN_CONNECTION) for _ in range(10)]

    async def call(number: int) -> grpc.StatusCode:
        try:
            await channels[number % len(channels)].unary_unary(METHOD)(body, timeout=60)
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            has_hint = "grpc-status-details-bin" in dict(error.trailing_metadata())
            return code if has_hint or code is not grpc.StatusCode.UNAVAILABLE else grpc.StatusCode.UNKNOWN
        return grpc.StatusCode.OK

    codes = await asyncio.gather(*(call(number) for number in range(calls)))
    for channel in channels:
        await channel.close()
    return codes
