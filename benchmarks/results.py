"""How long the results of one experiment take over very many sessions, asked of a real server over HTTP.

    python -m benchmarks.results [--sessions 5000000] [--calls 20] [--days 30] [--data-dir DIR] [--rounds 5]

What the results rest on is written as commits leave it, the sums of sessions and the exposures: not the spans, of which
there would be ``--calls`` times as many, so quantiles are of no calls. All sessions are in one experiment. "cold" is
asked of a server that has just started, "warm" again, "changed" after one more call. CPU is the server's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from analytics.experiments.assignments import dealt, digests
from benchmarks.lake_spans import ROW_GROUP_ROWS, TABLES_BY_NAME, add, rows_of
from benchmarks.query import OwnServer
from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from schemas.table import TIMESTAMP
from storage.lake import Lake

KEY = "large"
CONFIG = {
    "key": KEY,
    "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}],
}
SEED = 11
COLD_MAX_MS, WARM_MAX_MS = 2_000, 50


def generate(data_dir: Path, sessions: int, calls: int, days: int) -> Iterator[date]:
    """Write the lake, a day at a time."""
    lake = Lake(data_dir / "lake")
    for table in TABLES_BY_NAME.values():
        lake.create(table)
    generator = np.random.default_rng(SEED)
    last = datetime.now(UTC).date() - timedelta(days=1)
    of_day = np.array_split(np.arange(sessions), days)
    for place, numbers in enumerate(of_day):
        day = last - timedelta(days=days - 1 - place)
        names = np.array([f"session-{number:08d}" for number in numbers])
        parts = [names[start : start + ROW_GROUP_ROWS] for start in range(0, len(names), ROW_GROUP_ROWS)]
        add(lake, SESSION_ROLLUP, day, [sums(generator, part, calls, day) for part in parts])
        add(lake, EXPOSURES, None, [exposures(part, day) for part in parts])
        yield day


def sums(generator: np.random.Generator, names: Any, calls: int, day: date) -> pa.Table:
    """Return the rollup of a day's sessions, of so many calls each on average."""
    count = len(names)
    made = generator.poisson(calls - 1, count) + 1
    latency_ms = made * generator.lognormal(6.5, 0.5, count)
    tokens = made * generator.integers(50, 3_000, (2, count))
    start = np.full(count, np.datetime64(day, "us").astype(np.int64))
    index, _ = dealt(CONFIG, digests(CONFIG, names.tolist()))
    return rows_of(
        SESSION_ROLLUP,
        count,
        {
            "project": ["default"] * count,
            "config_key": [KEY] * count,
            "session_id": names,
            "date": pa.array([day] * count, pa.date32()),
            "model": np.array(["gpt-4o", "gpt-4o-mini"])[index],
            "calls": made,
            "errors": generator.binomial(made, 0.02),
            "latency_count": made,
            "latency_ms_sum": latency_ms,
            "latency_ms_sumsq": latency_ms**2,
            "time_to_first_token_count": made,
            "time_to_first_token_ms_sum": latency_ms / 5,
            "time_to_first_token_ms_sumsq": (latency_ms / 5) ** 2,
            "tokens_count": made,
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "total_tokens": tokens.sum(axis=0),
            "cost_count": made,
            "cost_sum": tokens.sum(axis=0) * 1e-5,
            "unpriced_count": np.zeros(count, np.int64),
            "first_time": pa.array(start).view(TIMESTAMP),
            "last_time": pa.array(start).view(TIMESTAMP),
        },
    )


def exposures(names: Any, day: date) -> pa.Table:
    """Return one exposure a session, by the hash."""
    count = len(names)
    index, _ = dealt(CONFIG, digests(CONFIG, names.tolist()))
    start = pa.array(np.full(count, np.datetime64(day, "us").astype(np.int64))).view(TIMESTAMP)
    return rows_of(
        EXPOSURES,
        count,
        {
            "project": ["default"] * count,
            "config_key": [KEY] * count,
            "config_version": [1] * count,
            "session_id": names,
            "assigned_model": np.array(["gpt-4o", "gpt-4o-mini"])[index],
            "variant_index": index,
            "reason": ["weight"] * count,
            "source": ["sessions_api"] * count,
            "event_time": start,
            "received_at": start,
            "content_hash": np.arange(count),
        },
    )


def run(data_dir: Path, rounds: int) -> None:
    """Measure, and print a line for each kind of question."""
    times: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": [], "changed": []}
    peak_mib = 0.0
    for round_number in range(rounds):
        server = OwnServer(data_dir)
        try:
            with httpx.Client(base_url=server.http, timeout=300) as client:
                client.post("/apply", json={"configs": [CONFIG]}).raise_for_status()
                times["cold"].append(asked(server, client))
                times["warm"] += [asked(server, client) for _ in range(5)]
                one_more(client, round_number)
                times["changed"].append(asked(server, client))
            peak_mib = max(peak_mib, server.rss_mib("VmHWM") or 0.0)
        finally:
            server.stop()
    for name, found in times.items():
        elapsed, cpu = ([each[place] for each in found] for place in (0, 1))
        print(
            f"{name:8} p50 {statistics.median(elapsed):8.1f} ms, worst {max(elapsed):8.1f} ms,"
            f" CPU {statistics.mean(cpu):8.1f} ms"
        )
    print(f"wanted on 2 idle cores: cold {COLD_MAX_MS} ms, warm {WARM_MAX_MS} ms; peak memory {peak_mib:.0f} MiB")


def asked(server: OwnServer, client: httpx.Client) -> tuple[float, float]:
    """Return the time and the CPU time of one question, ms."""
    before, began = server.cpu_seconds() or 0.0, time.perf_counter()
    client.get(f"/experiments/{KEY}/results").raise_for_status()
    elapsed = time.perf_counter() - began
    return elapsed * 1000, ((server.cpu_seconds() or 0.0) - before) * 1000


def one_more(client: httpx.Client, number: int) -> None:
    """Expose one more session."""
    body = {"config_key": KEY, "config_version": 1, "session_id": f"one-more-{number}", "assigned_model": "gpt-4o"}
    client.post("/sessions", json=body).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=5_000_000)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, help="a lake to use again, or where to make one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fallom-results-") as folder:
        data_dir = arguments.data_dir or Path(folder)
        if not (data_dir / "lake").exists():
            for day in generate(data_dir, arguments.sessions, arguments.calls, arguments.days):
                print(f"\r{day}", end="", file=sys.stderr)
            print(file=sys.stderr)
        run(data_dir, arguments.rounds)


if __name__ == "__main__":
    main()
