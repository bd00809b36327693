"""Compiles, or loads, all that is compiled, so that the first request does not wait for it."""

import subprocess
import sys
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector import jit
from collector.otlp import json_body, wire
from collector.otlp.messages import count_elements
from collector.request import Format, Receipt, Request
from collector.window import SpanWindow

COMPILING_S = 30
"""About how long it takes where no compiled code is on disk."""


def is_compiled() -> bool:
    """Return whether an earlier start left its compiled code."""
    return jit.is_cached("request.scan")


def warm_up() -> None:
    """Return when all is loaded that requests need, compiled first where it has to be."""
    if not is_compiled():
        # In a process of its own: the compiler takes hundreds of MiB, and what it leaves in the memory of the process
        # that compiled is slower than what is loaded from disk, since inner functions stand there unoptimised as well.
        subprocess.run([sys.executable, "-m", __name__], check=False)  # noqa: S603 - our own interpreter, this module
    _run_all()


def _run_all() -> None:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.start_time_unix_nano = b"1" * 16, b"1" * 8, time.time_ns()
    # One column of each type, since each is made by code of its own.
    for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.cost"):
        span.attributes.add(key=key).value.string_value = "1"
    span.attributes.add(key="gen_ai.request.stream").value.bool_value = True
    body = message.SerializeToString()
    decoded = wire.decode([(Request(Format.OTLP_PROTOBUF, body, "warm-up"), Receipt(time.time_ns() // 1000))])
    json_body.to_protobuf(b'{"resourceSpans":[]}')
    count_elements(body, ExportTraceServiceRequest.DESCRIPTOR)
    window = SpanWindow(1)
    window.remember(window.fresh(decoded.rows).keys)


if __name__ == "__main__":
    _run_all()
