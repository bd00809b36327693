"""The SDK's memory while its server is down for an hour: its queues, a transport that fails, and a simulated clock.

python -m benchmarks.sdk_outage [--calls 3600000]
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fallom
from fallom import delivery, models, runtime, span_queue, transport
from fallom import outbox as outbox_module
from fallom.tracing import tracer

CONFIG = {"key": "agent", "version": 1, "variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
CALLS_PER_S = 1_000
TEXT = "x" * 2_000


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def refuse(*_: Any, **__: Any) -> None:
    raise transport.TransportError("the server is down")


def outage(calls: int) -> None:
    """Make so many calls at CALLS_PER_S, each of a new session with a span of 2 KB, and print the memory taken."""
    now_s = 0.0
    # Real threads would sleep: the work of theirs is done here, when it is due.
    clock = SimpleNamespace(monotonic=lambda: now_s)
    delivery.time = span_queue.time = outbox_module.time = clock  # type: ignore[assignment]
    transport.Transport.get = transport.Transport.post = refuse  # type: ignore[assignment,method-assign]
    fallom.init(api_key="key", base_url="http://127.0.0.1:9", cache_dir="off")
    current = runtime.current()
    outbox, spans, sync = current.outbox, current.tracing.spans if current.tracing else None, current.sync
    assert outbox is not None
    assert spans is not None
    assert sync is not None
    for worker in (outbox.worker, spans.worker, sync.worker):
        worker.stop(10)
    current.configs.replace({"configs": [CONFIG]})
    events_due_s = spans_due_s = 0.0
    began, before_mib = time.process_time(), rss_mib()
    for number in range(calls):
        now_s += 1 / CALLS_PER_S
        models.get("agent", f"session-{number}")
        tracer().start_span("chat", attributes={"gen_ai.input.messages": f"{number}{TEXT}"}).end()
        if now_s >= events_due_s:
            events_due_s = now_s + outbox.deliver()
        if now_s >= spans_due_s:
            spans_due_s = now_s + spans.deliver()
        if number + 1 in (calls // 60, calls // 10, calls // 2, calls):
            print(f"server down for {now_s / 60:4.0f} min: {rss_mib() - before_mib:6.1f} MiB more than at its start")
    cpu_us = (time.process_time() - began) / calls * 1e6
    print(f"{cpu_us:.1f} µs of CPU a call with its span; dropped: {current.losses.as_dict()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=3_600_000)
    outage(parser.parse_args().calls)


if __name__ == "__main__":
    main()
