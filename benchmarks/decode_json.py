"""How fast OTLP/JSON becomes columns, beside the same spans in protobuf, in one run, on one core.

    python benchmarks/decode_json.py             0.5, 1.4 and 10 KB spans (as protobuf), 512 a request

- `OTLP/JSON`: bytes to the batch of the span table, as the pipeline's thread does it.
- `of it, orjson`: the JSON parser alone, bytes to Python objects.
- `protobuf`: the same requests as protobuf, bytes to the same batch.

CPU time of this thread; the best of several rounds counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table
from spans import request

# How a message is spelled as OTLP/JSON is the tests'.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from client_messages import otlp_json

from collector.decoders import DECODERS
from collector.request import Format, Receipt, Request

BATCH = 512
REQUESTS = 8
ROUNDS = 5
SIZES = (500, 1_400, 10_000)


def main() -> None:
    """Measure each size, print a line each."""
    table = Table("span bytes", "what", "spans/s", "µs a span")
    for size in SIZES:
        protobuf = [request(BATCH, size, seed).renewed(np.random.default_rng(seed)) for seed in range(REQUESTS)]
        as_json = [orjson.dumps(otlp_json(ExportTraceServiceRequest.FromString(body))) for body in protobuf]
        for name, decode, bodies in (
            ("OTLP/JSON", _decoder(Format.JSON_TRACES), as_json),
            ("of it, orjson", orjson.loads, as_json),
            ("protobuf", _decoder(Format.OTLP_PROTOBUF), protobuf),
        ):
            spent_s = min(_spent_s(decode, bodies) for _ in range(ROUNDS))
            spans = BATCH * REQUESTS
            table.add_row(str(size), name, f"{spans / spent_s:,.0f}", f"{spent_s / spans * 1e6:.2f}")
    Console().print(table)


def _decoder(body_format: Format) -> Callable[[bytes], object]:
    decode = DECODERS[body_format]
    return lambda body: decode([(Request(body_format, body, "p"), Receipt(time.time_ns() // 1000))])


def _spent_s(decode: Callable[[bytes], object], bodies: list[bytes]) -> float:
    began = time.thread_time()
    for body in bodies:
        decode(body)
    return time.thread_time() - began


if __name__ == "__main__":
    main()
