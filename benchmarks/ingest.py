"""Measures an OTLP server under load: spans a second, its CPU a span, acknowledgement times, memory, disk.

    python benchmarks/ingest.py                                   our server, started here on a new data directory
    python benchmarks/ingest.py --target 127.0.0.1:4317 --pid N   any OTLP server, by gRPC
    python benchmarks/ingest.py --target http://127.0.0.1:4318 --pid N

The load generator runs beside the server, on the same machine. CPU is that of the server's process, all threads, from
the first request until the server is idle again: with our own server until the last row is committed. A closed loop
sends as fast as the answers come; an open loop (--rate, or --open for 25, 50 and 75 % of what the closed loop reached)
sends at fixed times and counts the wait from the time that was meant, so that a slow server can't slow the load down.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import httpx
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from spans import Request, request

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TEMPLATES = 16
IDLE_CPU_SHARE = 0.05
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Case:
    """One load: how large the spans are, how many a request, and how they travel."""

    span_bytes: int
    batch: int
    transport: str
    compression: str
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case gave. CPU is the server's, µs a span; times are of acknowledgements, ms."""

    case: Case
    spans: int
    seconds: float
    spans_per_second: float
    cpu_us_per_span: float | None
    p50_ms: float
    p99_ms: float
    peak_rss_mib: float | None
    disk_bytes_per_span: float | None
    failed: int


Send = Callable[[bytes], None]


class Server:
    """The process that is measured: ours, or one that is named by its target and process id."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.pid: int | None = options.pid
        self.data: Path | None = None
        if options.target:
            self.http = self.grpc = options.target
        else:
            self._start()

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fallom-bench-")
        self.data = Path(self._folder.name) / "data"
        command = Path(sys.executable).parent / "fallom-server"
        flags = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", str(self.data)]
        log = (Path(self._folder.name) / "log").open("w")
        self._process = subprocess.Popen([command, "serve", *flags], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        fields = dict(part.split("=", 1) for part in self._process.stdout.readline().split()[1:])
        self.http, self.grpc, self.pid = fields["http"], fields["grpc"], self._process.pid

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the process, all threads."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def peak_rss_mib(self) -> float | None:
        """Return the most memory that the process has had."""
        if self.pid is None:
            return None
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def wait_until_idle(self, timeout_s: float = 120) -> None:
        """Return when all is committed, or, of a server whose log we can't see, when it has stopped working."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.data is not None:
                if not list((self.data / "log").glob("*/*.arrow")):
                    return
                time.sleep(0.1)
                continue
            before = self.cpu_seconds()
            time.sleep(1)
            after = self.cpu_seconds()
            if before is None or after is None or after - before < IDLE_CPU_SHARE:
                return

    def disk_bytes(self) -> int | None:
        """Return the bytes of the lake."""
        if self.data is None:
            return None
        return sum(path.stat().st_size for path in (self.data / "lake").rglob("*.parquet"))

    def stop(self) -> None:
        """End the process, if it is ours."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
        if self._folder is not None:
            self._folder.cleanup()


def main() -> None:
    """Run the cases and print them."""
    options = _options()
    results: list[Measured] = []
    console = Console(stderr=True)
    for case in track(_cases(options), "cases", console=console):
        # A server of its own for each case: peak memory and disk are that of the case.
        server = Server(options)
        try:
            results.append(measure(server, case, options.seconds, options.connections))
            if options.open and case.rate is None:
                capacity = results[-1].spans_per_second
                for share in (0.25, 0.5, 0.75):
                    at_rate = Case(case.span_bytes, case.batch, case.transport, case.compression, capacity * share)
                    results.append(measure(server, at_rate, options.seconds, options.connections))
        finally:
            server.stop()
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 150).print(table(results))


def measure(server: Server, case: Case, seconds: float, connections: int) -> Measured:
    """Load the server for so many seconds, and wait until it has done all."""
    templates = [request(case.batch, case.span_bytes, seed) for seed in range(TEMPLATES if case.batch > 1 else 64)]
    cpu_before, disk_before = server.cpu_seconds(), server.disk_bytes()
    started = time.perf_counter()
    waits, failed = _load(server, case, templates, seconds, connections)
    elapsed = time.perf_counter() - started
    server.wait_until_idle()
    cpu_after, disk_after = server.cpu_seconds(), server.disk_bytes()
    spans = len(waits) * case.batch
    return Measured(
        case=case,
        spans=spans,
        seconds=elapsed,
        spans_per_second=spans / elapsed,
        cpu_us_per_span=None if cpu_before is None else (cpu_after - cpu_before) / max(spans, 1) * 1e6,
        p50_ms=float(np.quantile(waits, 0.5)) * 1e3 if waits else float("nan"),
        p99_ms=float(np.quantile(waits, 0.99)) * 1e3 if waits else float("nan"),
        peak_rss_mib=server.peak_rss_mib(),
        disk_bytes_per_span=None if disk_before is None else (disk_after - disk_before) / max(spans, 1),
        failed=failed,
    )


def _load(
    server: Server, case: Case, templates: list[Request], seconds: float, connections: int
) -> tuple[list[float], int]:
    """Send from so many connections; return how long each acknowledged request took, and how many failed."""
    waits: list[float] = []
    failures: list[str] = []
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    end = time.perf_counter() + seconds

    def work(seed: int) -> None:
        generator = np.random.default_rng([seed, time.time_ns()])
        # A template of its own: it is renewed in place.
        own = [made.copy() for made in templates[seed % 4 :: 4]]
        number = 0
        with _sender(server, case) as send:
            for meant in _times(due, end) if case.rate else _as_they_come(end):
                body = own[number % len(own)].renewed(generator)
                number += 1
                begun = meant or time.perf_counter()
                try:
                    send(body)
                except (grpc.RpcError, httpx.HTTPError) as error:
                    failures.append(str(error))
                else:
                    waits.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(connections)]
    for thread in threads:
        thread.start()
    if case.rate:
        _schedule(due, case.rate / case.batch, end, connections)
    for thread in threads:
        thread.join()
    return waits, len(failures)


def _as_they_come(end: float) -> Iterator[float | None]:
    while time.perf_counter() < end:
        yield None


def _times(due: queue.SimpleQueue[float | None], end: float) -> Iterator[float]:
    while (meant := due.get()) is not None and time.perf_counter() < end + 30:
        yield meant


def _schedule(due: queue.SimpleQueue[float | None], requests_per_second: float, end: float, connections: int) -> None:
    meant = time.perf_counter()
    while meant < end:
        time.sleep(max(meant - time.perf_counter(), 0))
        due.put(meant)
        meant += 1 / requests_per_second
    for _ in range(connections):
        due.put(None)


@contextlib.contextmanager
def _sender(server: Server, case: Case) -> Iterator[Send]:
    if case.transport == "grpc":
        compression = grpc.Compression.Gzip if case.compression == "gzip" else grpc.Compression.NoCompression
        limits = [("grpc.max_send_message_length", 1 << 28), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.grpc.removeprefix("http://"), limits, compression) as channel:
            export = channel.unary_unary(METHOD)
            yield lambda body: export(body, timeout=60)
        return
    headers = {"Content-Type": "application/x-protobuf"}
    if case.compression == "gzip":
        headers["Content-Encoding"] = "gzip"
    with httpx.Client(base_url=server.http, headers=headers, timeout=60) as client:

        def send(body: bytes) -> None:
            content = gzip.compress(body, 1) if case.compression == "gzip" else body
            client.post("/v1/traces", content=content).raise_for_status()

        yield send


def table(results: list[Measured]) -> Table:
    """Return the results as a table."""
    made = Table(title="ingest", title_justify="left")
    heads = ("bytes", "batch", "transport", "encoding", "load", "spans/s", "CPU µs/span", "p50 ms", "p99 ms", "RSS MiB")
    for head in (*heads, "disk B/span", "failed"):
        made.add_column(head, justify="right")
    for found in results:
        case = found.case
        load = f"{case.rate:,.0f}/s" if case.rate else "closed"
        numbers = (found.spans_per_second, found.cpu_us_per_span, found.p50_ms, found.p99_ms, found.peak_rss_mib)
        cells = [_shown(number) for number in (*numbers, found.disk_bytes_per_span)]
        row = (str(case.span_bytes), str(case.batch), case.transport, case.compression, load, *cells, str(found.failed))
        made.add_row(*row)
    return made


def _shown(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def _cases(options: argparse.Namespace) -> list[Case]:
    return [
        Case(span_bytes, batch, transport, compression, options.rate)
        for span_bytes in options.span_bytes
        for batch in options.batch
        for transport in options.transport
        for compression in options.compression
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="HOST:PORT of a gRPC server, or its HTTP URL (default: our server)")
    parser.add_argument("--pid", type=int, help="the process of the target, to measure its CPU and memory")
    parser.add_argument("--span-bytes", type=int, nargs="+", default=[1400])
    parser.add_argument("--batch", type=int, nargs="+", default=[512], help="spans a request")
    parser.add_argument("--transport", nargs="+", choices=("grpc", "http"), default=["grpc"])
    parser.add_argument("--compression", nargs="+", choices=("none", "gzip"), default=["none"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of load, a case")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, help="spans a second, sent at fixed times (default: as fast as it goes)")
    parser.add_argument(
        "--open", action="store_true", help="after each closed loop 25, 50 and 75 %% of what it reached"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.target and options.pid is None:
        print("without --pid the server's CPU and memory are not measured", file=sys.stderr)
    return options


if __name__ == "__main__":
    main()
