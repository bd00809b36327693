"""A gRPC receiver alone in a process, before a pipeline that is slow: for a test of its memory.

It prints its address and its memory at the start, MiB; after a line on stdin, the most memory that it has had.
"""

import asyncio
import resource
import sys
import threading
import time

from collector.access import OpenAccess
from collector.admission import Admission
from collector.receivers.otlp_grpc import OtlpGrpcReceiver
from collector.replies import Replies, Reply
from collector.request import Outcome, Request


class Slow:
    """Answers each request after 100 ms."""

    def queue(self, request: Request, reply: Reply) -> None:
        threading.Timer(0.1, self._answer, (request, reply)).start()

    def _answer(self, _: Request, reply: Reply) -> None:
        if reply.set_running_or_notify_cancel():
            reply.set_result(Outcome(1))


def peak_mib() -> int:
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size // (1024 if sys.platform == "linux" else 1024 * 1024)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main() -> None:
    admission = Admission(int(sys.argv[1]))
    receiver = OtlpGrpcReceiver(Replies(Slow()), admission, "127.0.0.1:0", access=OpenAccess(), body_bytes_max=64 << 20)
    await receiver.start()
    say(receiver.address, peak_mib())
    await asyncio.to_thread(sys.stdin.readline)
    deadline = time.monotonic() + 10
    while admission.bytes_in_flight and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    say(peak_mib())
    await receiver.stop()


asyncio.run(main())
