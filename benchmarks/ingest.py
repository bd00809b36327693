"""Measures a server under load: spans a second, its CPU a span, acknowledgement times, memory, disk.

    python benchmarks/ingest.py                                   our server, started here on a new data directory
    python benchmarks/ingest.py --matrix --seconds 5              every size, transport, encoding and batch
    python benchmarks/ingest.py --seconds 600                     does memory grow?
    python benchmarks/ingest.py --target 127.0.0.1:4317 --pid N   any OTLP server, by gRPC
    python benchmarks/ingest.py --target http://127.0.0.1:4318 --pid N --transport http

The load generator runs beside the server, on the same machine; "own CPU" is what it takes itself, a span. "CPU" is
that of the server's process, all threads, from the first request until the last row is committed (of a foreign server:
until it is idle). A closed loop sends as fast as the answers come; an open loop (--rate, or --open for 25, 50 and 75 %
of what the closed loop reached) sends at fixed times and counts the wait from the time that was meant, so that a slow
server can't slow the load down. The transport "fallom" posts one flat trace a request, as the Fallom clients do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from load import Case, run
from rich.console import Console
from rich.progress import track
from rich.table import Table
from servers import MemoryWatch, Server

SIZES = (500, 1_400, 10_000, 100_000)
BATCHES = (512, 1)
OPEN_SHARES = (0.25, 0.5, 0.75)
# Of all connections together; what is beyond the server's budget it would rightly refuse.
IN_FLIGHT_BYTES_MAX = 128 * 1024 * 1024
CONNECTIONS_SMALL = 32
CONNECTIONS_LARGE = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case gave. CPU is µs a span, times are of acknowledgements, None is what can't be seen."""

    case: Case
    spans: int
    seconds: float
    spans_per_second: float
    cpu_us_per_span: float | None
    own_cpu_us_per_span: float
    p50_ms: float
    p99_ms: float
    peak_rss_mib: float | None
    growth_mib_per_minute: float | None
    disk_bytes_per_span: float | None
    refused: int
    failed: int


def main() -> None:
    """Run the cases and print them."""
    options = _options()
    results: list[Measured] = []
    for case in track(list(_cases(options)), "cases", console=Console(stderr=True)):
        # A server of its own for each case: peak memory and disk are that of the case.
        server = Server(options.target, options.pid, options.server_flag)
        try:
            results.append(measure(server, case, options))
            if options.open and case.rate is None:
                rates = [results[-1].spans_per_second * share for share in OPEN_SHARES]
                results += [measure(server, replace(case, rate=rate), options) for rate in rates]
        finally:
            server.stop()
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(table(results))


def measure(server: Server, case: Case, options: argparse.Namespace) -> Measured:
    """Load the server for so many seconds, and wait until it has done all."""
    connections = options.connections or _connections(case)
    # What is made once, at the first requests, is no cost of a span.
    run(server.http, server.grpc, case, options.warm_up, connections)
    server.wait_until_idle()
    cpu_before, disk_before = server.cpu_seconds(), server.disk_bytes()
    with MemoryWatch(server) as memory:
        load = run(server.http, server.grpc, case, options.seconds, connections)
    server.wait_until_idle()
    cpu_after, disk_after = server.cpu_seconds(), server.disk_bytes()
    spans = len(load.waits_s) * case.batch
    return Measured(
        case=case,
        spans=spans,
        seconds=load.seconds,
        spans_per_second=spans / load.seconds,
        cpu_us_per_span=_per_span(cpu_before, cpu_after, spans, 1e6),
        own_cpu_us_per_span=load.generator_cpu_s / max(spans, 1) * 1e6,
        p50_ms=_quantile_ms(load.waits_s, 0.5),
        p99_ms=_quantile_ms(load.waits_s, 0.99),
        peak_rss_mib=server.rss_mib("VmHWM"),
        growth_mib_per_minute=memory.growth_mib_per_minute(),
        disk_bytes_per_span=_per_span(disk_before, disk_after, spans, 1.0),
        refused=load.refused,
        failed=load.failed,
    )


def _per_span(before: float | None, after: float | None, spans: int, scale: float) -> float | None:
    return None if before is None or after is None else (after - before) / max(spans, 1) * scale


def _quantile_ms(waits_s: list[float], share: float) -> float:
    return float(np.quantile(waits_s, share)) * 1e3 if waits_s else float("nan")


def _connections(case: Case) -> int:
    wanted = CONNECTIONS_SMALL if case.batch == 1 else CONNECTIONS_LARGE
    return max(min(wanted, IN_FLIGHT_BYTES_MAX // (case.span_bytes * case.batch)), 1)


def table(results: list[Measured]) -> Table:
    """Return the results as a table."""
    made = Table(title="ingest", title_justify="left")
    heads = ("bytes", "batch", "transport", "encoding", "load", "spans/s", "CPU µs", "own CPU µs", "p50 ms", "p99 ms")
    for head in (*heads, "RSS MiB", "MiB/min", "disk B", "refused", "failed"):
        made.add_column(head, justify="right")
    for found in results:
        case = found.case
        load = f"{case.rate:,.0f}/s" if case.rate else "closed"
        numbers = (found.spans_per_second, found.cpu_us_per_span, found.own_cpu_us_per_span, found.p50_ms, found.p99_ms)
        memory = (found.peak_rss_mib, found.growth_mib_per_minute, found.disk_bytes_per_span)
        cells = [_shown(number) for number in (*numbers, *memory)]
        made.add_row(
            str(case.span_bytes),
            str(case.batch),
            case.transport,
            case.compression,
            load,
            *cells,
            str(found.refused),
            str(found.failed),
        )
    return made


def _shown(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    if options.matrix:
        named = itertools.product(SIZES, BATCHES, ("grpc", "http"), ("none", "gzip"))
    else:
        named = itertools.product(options.span_bytes, options.batch, options.transport, options.compression)
    for span_bytes, batch, transport, compression in named:
        # A flat trace is one span a request.
        if transport != "fallom" or batch == options.batch[-1]:
            yield Case(span_bytes, 1 if transport == "fallom" else batch, transport, compression, options.rate)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="HOST:PORT of a gRPC server, or its HTTP URL (default: our server)")
    parser.add_argument("--pid", type=int, help="the process of the target, to measure its CPU and memory")
    parser.add_argument("--matrix", action="store_true", help="all sizes, transports, encodings and batches")
    parser.add_argument("--span-bytes", type=int, nargs="+", default=[1400])
    parser.add_argument("--batch", type=int, nargs="+", default=[512], help="spans a request")
    parser.add_argument("--transport", nargs="+", choices=("grpc", "http", "fallom"), default=["grpc"])
    parser.add_argument("--compression", nargs="+", choices=("none", "gzip"), default=["none"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of load, a case")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds of load before, which are not counted")
    parser.add_argument("--connections", type=int, help="default: 8, or 32 of one span a request")
    parser.add_argument("--rate", type=float, help="spans a second, sent at fixed times (default: as fast as it goes)")
    parser.add_argument(
        "--open", action="store_true", help="after each closed loop 25, 50 and 75 %% of what it reached"
    )
    parser.add_argument(
        "--server-flag", action="append", help="for our server, such as --server-flag=--log-level=debug"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.target and options.pid is None:
        print("without --pid the server's CPU and memory are not measured", file=sys.stderr)
    return options


if __name__ == "__main__":
    main()
