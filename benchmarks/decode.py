"""How fast OTLP spans become columns: our decoder beside others, on the same requests, in one run, on one core.

    python benchmarks/decode.py              0.5, 1.4 and 10 KB spans, 512 a request
    python benchmarks/decode.py --json

- `fallom`: collector/otlp/wire.py, bytes to the batch of the span table.
- `upb parse`: protobuf's own parser alone, bytes to its messages; nobody has seen an attribute yet.
- `upb + Python`: the same, then the rows in plain Python, then the batch: what the tests hold ours against.
- `ptars`: PyPI's columnar protobuf reader, bytes to nested Arrow, without any promotion; where it is installed.

Each decodes the same requests in turn; the best of several rounds counts. CPU time of this thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table
from spans import request

# The reference decoder is the tests'.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from otlp_decoder.inputs import received
from otlp_decoder.reference import decode as decode_slowly

from collector.otlp.wire import decode
from schemas.spans import SPANS

BATCH = 512
REQUESTS = 8
ROUNDS = 5
OURS = "fallom"

Decoder = Callable[[list[bytes]], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """One decoder on spans of one size; ``ratio`` is how many times as many spans a second ours decodes."""

    decoder: str
    span_bytes: int
    spans_per_s: float
    us_per_span: float
    gb_per_s: float
    ratio: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--span-bytes", type=int, nargs="+", default=[500, 1_400, 10_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [measured for size in arguments.span_bytes for measured in measure(size, arguments.rounds)]
    if arguments.json:
        print(json.dumps([asdict(measured) for measured in found], indent=2))
    else:
        Console().print(_table(found))
        if not any(measured.decoder == "ptars" for measured in found):
            print("ptars is not installed, and was left out: pip install ptars")


def measure(span_bytes: int, rounds: int) -> Iterator[Measured]:
    """Run all decoders on the same requests, in turn, so that a slow moment of the machine meets all of them."""
    template, generator = request(BATCH, span_bytes, seed=1), np.random.default_rng(1)
    bodies = [template.renewed(generator) for _ in range(REQUESTS)]
    decoders = _decoders()
    for decoder in decoders.values():
        decoder(bodies[:1])  # Compiles, and fills caches.
    best = dict.fromkeys(decoders, float("inf"))
    for _ in range(rounds):
        for name, decoder in decoders.items():
            began = time.thread_time()
            decoder(bodies)
            best[name] = min(best[name], time.thread_time() - began)
    spans, size = BATCH * REQUESTS, sum(map(len, bodies))
    for name, seconds in best.items():
        yield Measured(
            decoder=name,
            span_bytes=round(size / spans),
            spans_per_s=spans / seconds,
            us_per_span=seconds / spans * 1e6,
            gb_per_s=size / seconds / 1e9,
            ratio=seconds / best[OURS],
        )


def _decoders() -> dict[str, Decoder]:
    decoders: dict[str, Decoder] = {OURS: _fallom, "upb parse": _upb, "upb + Python": _upb_and_python}
    try:
        from ptars import HandlerPool
    except ImportError:
        return decoders
    pool = HandlerPool([ExportTraceServiceRequest.DESCRIPTOR.file])
    handler = pool.get_for_message(ExportTraceServiceRequest.DESCRIPTOR)
    return decoders | {"ptars": lambda bodies: handler.list_to_record_batch(bodies)}


def _fallom(bodies: list[bytes]) -> pa.RecordBatch:
    return decode([received(body) for body in bodies]).rows


def _upb(bodies: list[bytes]) -> list[ExportTraceServiceRequest]:
    return [ExportTraceServiceRequest.FromString(body) for body in bodies]


def _upb_and_python(bodies: list[bytes]) -> pa.RecordBatch:
    expected = decode_slowly([received(body) for body in bodies])
    rows = [{name: cell.value for name, cell in row.items()} for each in expected for row in each.rows]
    return pa.RecordBatch.from_pylist(rows, schema=SPANS.schema)


def _table(found: list[Measured]) -> Table:
    table = Table("span", "decoder", "spans/s", "µs a span", "GB/s", f"{OURS} is faster by")
    for measured in found:
        table.add_row(
            f"{measured.span_bytes:,} B",
            measured.decoder,
            f"{measured.spans_per_s:,.0f}",
            f"{measured.us_per_span:.2f}",
            f"{measured.gb_per_s:.2f}",
            f"{measured.ratio:.1f} ×",
            end_section=measured is found[-1] or measured.span_bytes != found[found.index(measured) + 1].span_bytes,
        )
    return table


if __name__ == "__main__":
    main()
