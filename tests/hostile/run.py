"""Sends malformed requests to a server of its own and tells what they did to it.

    make hostile                                          a million
    export PYTHONPATH=tests
    python -m hostile.run --requests 50000 --seed 7       the same requests each time
    python -m hostile.run --seed 7 --only http 1234       one of them, with its answer

It fails where an answer is a 5xx but 503, where none comes within ``ANSWER_S_MAX``, where the server's memory goes on
growing, and where the server ends, loses a row or no longer answers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from client_messages import flat_trace
from hostile.connections import Answer, GrpcClient, HttpClient
from hostile.messages import CONFIGS
from rich.console import Console
from server_process import ServerProcess

CONSOLE = Console(markup=False, highlight=False, soft_wrap=True)
# Of four requests one is a gRPC call, which takes a client five times as long.
CLIENTS = ("http", "http", "http", "grpc")
ROUND = 500
"""Requests of one client between two looks at a flag or a clock."""
MEMORY_GROWTH_MIB_MAX = 64
"""From the first third to the end."""
WITNESSES = 20


@dataclass(slots=True)
class Report:
    """What came back."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def add(self, client: str, number: int, answer: Answer) -> None:
        self.outcomes[f"{client} {answer.outcome}"] += 1
        self.slowest_s = max(self.slowest_s, answer.seconds)
        if answer.is_wrong and len(self.wrong) < 20:
            self.wrong.append(f"--only {client} {number}: {answer.outcome}")

    def merge(self, other: Report) -> None:
        self.outcomes += other.outcomes
        self.wrong += other.wrong
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def attack(
    server: ServerProcess, requests: int, seed: int, report: Report, *, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Send so many malformed requests by several clients at once; add what came back to the report."""
    done = 0
    rounds = [
        (CLIENTS[number % len(CLIENTS)], server.url, server.grpc, seed, number, min(ROUND, requests - number * ROUND))
        for number in range(-(-requests // ROUND))
    ]
    with multiprocessing.get_context("spawn").Pool(len(CLIENTS)) as pool:
        for part in pool.imap_unordered(_round, rounds):
            report.merge(part)
            done += part.outcomes.total()
            progress(done)


def _round(task: tuple[str, str, str, int, int, int]) -> Report:
    kind, url, grpc, seed, number, count = task
    report = Report()
    with _client(kind, url, grpc) as client:
        for index in range(number * ROUND, number * ROUND + count):
            report.add(kind, index, client.send(_chance(seed, index)))
    return report


def _client(kind: str, url: str, grpc: str) -> HttpClient | GrpcClient:
    return HttpClient(url) if kind == "http" else GrpcClient(grpc)


def _chance(seed: int, index: int) -> random.Random:
    return random.Random(seed * 1_000_000_007 + index)


def rss_mib(server: ServerProcess) -> float:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def prepare(server: ServerProcess) -> None:
    """Store what must be there in the end."""
    server.define(CONFIGS)
    for number in range(WITNESSES):
        assert server.post("/v1/traces", flat_trace("witness", f"witness {number}"))[0] == 200


def unharmed(server: ServerProcess) -> bool:
    """Whether the server still answers and has what was stored before."""
    return server.sql("SELECT count(*) AS n FROM spans WHERE config_key = 'witness'") == [{"n": WITNESSES}]


def main() -> int:
    """Run as the arguments say; 1 where anything is wrong."""
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="fallom-hostile-") as folder:
        server = ServerProcess(Path(folder) / "data", "--sql-timeout-s", "2").start()
        try:
            prepare(server)
            if arguments.only:
                kind, number = arguments.only
                with _client(kind, server.url, server.grpc) as client:
                    CONSOLE.print(client.send(_chance(seed, int(number)), show=CONSOLE.print))
                return 0
            return _attack_and_tell(server, arguments.requests, seed)
        finally:
            server.stop()


def _attack_and_tell(server: ServerProcess, requests: int, seed: int) -> int:
    CONSOLE.print(f"seed {seed}: {requests:,} requests")
    began_s = shown_s = time.monotonic()
    memory: list[tuple[int, float]] = []

    report = Report()
    told = 0

    def progress(done: int) -> None:
        nonlocal shown_s, told
        memory.append((done, rss_mib(server)))
        for line in report.wrong[told:]:
            CONSOLE.print(f"wrong: {line}")
        told = len(report.wrong)
        if time.monotonic() - shown_s >= 10:
            shown_s = time.monotonic()
            CONSOLE.print(f"{done:,} requests, {done / (shown_s - began_s):,.0f}/s, RSS {memory[-1][1]:.0f} MiB")

    attack(server, requests, seed, report, progress=progress)
    for outcome, count in report.outcomes.most_common():
        CONSOLE.print(f"{count:>10,}  {outcome}")
    CONSOLE.print(f"slowest answer {report.slowest_s:.2f} s")
    first = max(mib for done, mib in memory if done <= max(requests / 3, memory[0][0]))
    CONSOLE.print(f"memory: {first:.0f} MiB at most in the first third, {memory[-1][1]:.0f} MiB at the end")
    wrong = []
    if memory[-1][1] - first > MEMORY_GROWTH_MIB_MAX:
        wrong.append("memory grows")
    if not unharmed(server):
        wrong.append("rows are lost")
    if "Traceback" in server.log():
        tracebacks = server.log().split("Traceback (most recent call last):")
        wrong.append(f"the server's log has {len(tracebacks) - 1} tracebacks, one of them: {tracebacks[1][:8_000]}")
    for line in wrong:
        CONSOLE.print(f"wrong: {line}")
    return 1 if wrong or report.wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", nargs=2, metavar=("CLIENT", "NUMBER"), help="http or grpc, and which request")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
