"""How long questions take over a lake of generated spans, asked of a real server over HTTP.

    python -m benchmarks.query [--spans 10000000] [--sessions 500000] [--days 30] [--data-dir DIR] [--rounds 12]

The lake is written by our own code, in files as commits and compaction leave them (benchmarks/lake_spans.py); one that
is in the data directory already is used again. A question is asked with other values each round, after one that is not
counted; p50 and p95 are of the time until the whole answer is there, "CPU" is the server's, the mean a question: on a
machine that others use too, it says more. Where PyPI's chdb is there, the same aggregate is asked of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from benchmarks.lake_spans import CONFIGS, Plan, config_key, document, generate
from benchmarks.servers import CLOCK_TICKS_PER_S, Server

PLAN = "plan.json"
AGGREGATE = """
SELECT request_model, count(*) AS calls, avg(duration_ns) AS latency, sum(cost) AS cost, sum(total_tokens) AS tokens
FROM {source}
WHERE start_time >= {begin} AND start_time < {end} AND date = '{day}' AND is_inference
GROUP BY request_model
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, with the values of a round, and the time that it should take at most (p95)."""

    name: str
    ask: Callable[[int], httpx.Response]
    target_ms: float | None = None


@dataclass(slots=True)
class Measured:
    """How long a question took, each time, and the CPU time of the server."""

    name: str
    target_ms: float | None
    times_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0
    refused: int = 0

    def line(self) -> str:
        """Return a line of the table."""
        p50, p95 = (quantile(self.times_ms, share) for share in (0.5, 0.95))
        target = "" if self.target_ms is None else f"{self.target_ms:6.0f}  {'yes' if p95 <= self.target_ms else 'NO'}"
        refused = f"  {self.refused} refused" if self.refused else ""
        return f"{self.name:52} {p50:8.0f} {p95:8.0f} {self.cpu_ms / len(self.times_ms):8.0f}  {target}{refused}"


def quantile(values: list[float], share: float) -> float:
    """Return a quantile of the values, the nearest that is one."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class OwnServer(Server):
    """Our server over a data directory that is there."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(flags=["--data-dir", str(data_dir)])


def prepared(data_dir: Path, plan: Plan) -> Plan:
    """Return the plan of the lake in the data directory, which is made where there is none."""
    path = data_dir / PLAN
    if path.exists():
        found = json.loads(path.read_text())
        print(f"the lake in {data_dir} is used: {found['spans']:,} spans of {found['days']} days up to {found['last']}")
        return Plan(found["spans"], found["sessions"], found["days"], datetime.fromisoformat(found["last"]).date())
    began = time.process_time()
    for day, count in generate(data_dir / "lake", plan):
        print(f"\r{day}: {count:,} spans", end="", file=sys.stderr)
    print(f"\ngenerated {plan.spans:,} spans in {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
    kept = {"spans": plan.spans, "sessions": plan.sessions, "days": plan.days, "last": plan.last.isoformat()}
    path.write_text(json.dumps(kept))
    return plan


def questions(client: httpx.Client, plan: Plan) -> Iterator[Question]:
    """Yield what is asked."""
    end = datetime(plan.last.year, plan.last.month, plan.last.day, tzinfo=UTC)
    ids = [row["trace_id"] for row in listed(client, 0, limit=500, to=end.isoformat())["traces"]]
    ids += [row["trace_id"] for row in listed(client, 0, limit=500, to=(end - timedelta(days=9)).isoformat())["traces"]]

    def traces(name: str, values: Callable[[int], dict[str, Any]], target_ms: float | None = 300) -> Question:
        return Question(f"traces: {name}", lambda place: asked_list(client, values(place)), target_ms)

    def day(place: int) -> dict[str, Any]:
        begin = end - timedelta(days=1 + place % max(plan.days - 1, 1))
        return {"from": begin.isoformat(), "to": (begin + timedelta(days=1)).isoformat()}

    yield traces("newest", lambda _: {})
    yield traces("newest of a model that failed", lambda _: {"model": "gpt-4o", "status": "error"})
    yield traces("newest of a config", lambda place: {"config": config_key(place % CONFIGS)})
    yield traces("newest of a tag and metadata", lambda _: {"tag": "beta", "metadata": "tier=pro"})
    yield traces("newest with words in the text", lambda _: {"text": "keyword", "limit": 20})
    yield traces("of a customer", lambda place: {"customer": f"customer-{1000 + 37 * place}"})
    yield traces("of a day, by cost", lambda place: {**day(place), "sort": "cost", "limit": 20})
    yield traces("of a day and config, by duration", lambda place: {
        **day(place), "config": config_key(place % CONFIGS), "sort": "duration", "limit": 20,
    })  # fmt: skip
    yield traces("of all days and a config, by cost", lambda place: {
        "config": config_key(place % CONFIGS), "sort": "cost", "limit": 20,
    })  # fmt: skip
    yield Question("traces: newest, with totals (kept ones)", lambda _: client.get("/traces"), None)
    yield Question("one trace by id", lambda place: client.get(f"/traces/{ids[place * 61 % len(ids)]}"), 50)
    yield Question("sessions: newest", lambda _: client.get("/sessions?totals=false"), 300)
    yield Question("one session", lambda place: client.get(f"/sessions/session-{1000 + 41 * place}"), None)
    yield Question("results, warm", lambda _: client.get(f"/experiments/{config_key(0)}/results"), 20)


def listed(client: httpx.Client, _: int, **values: Any) -> dict[str, Any]:
    """Return a page of traces."""
    found: dict[str, Any] = asked_list(client, values).raise_for_status().json()
    return found


def asked_list(client: httpx.Client, values: dict[str, Any]) -> httpx.Response:
    """Ask for a page of traces without totals."""
    return client.get(f"/traces?{urlencode({'totals': 'false', **values})}")


def measure(server: Server, question: Question, rounds: int, *, is_cold: bool = False) -> Measured:
    """Ask so many times."""
    measured = Measured(question.name, question.target_ms)
    if not is_cold:
        question.ask(rounds)
    before = server.cpu_seconds() or 0.0
    for place in range(rounds):
        began = time.perf_counter()
        measured.refused += question.ask(place).is_error
        measured.times_ms.append((time.perf_counter() - began) * 1000)
    measured.cpu_ms = ((server.cpu_seconds() or 0.0) - before) * 1000
    return measured


def hour(plan: Plan, place: int) -> dict[str, str]:
    """Return the bounds of an hour, as SQL has them."""
    begin = datetime(plan.last.year, plan.last.month, plan.last.day, 10, tzinfo=UTC) - timedelta(days=1 + place)
    return {
        "day": begin.date().isoformat(),
        "begin": begin.isoformat(),
        "end": (begin + timedelta(hours=1)).isoformat(),
    }


def aggregate(client: httpx.Client, plan: Plan) -> Question:
    """Return the aggregate of one hour, as a user asks it."""

    def ask(place: int) -> httpx.Response:
        bounds = hour(plan, place % max(plan.days - 1, 1))
        times = {name: f"TIMESTAMPTZ '{bounds[name]}'" for name in ("begin", "end")}
        statement = AGGREGATE.format(source="spans", day=bounds["day"], **times)
        return client.post("/sql", json={"query": statement})

    return Question("one hour's aggregate, POST /sql", ask, 150)


def chdb_aggregate(data_dir: Path, plan: Plan, rounds: int) -> Measured | None:
    """Return how long the same aggregate takes ClickHouse, in this process, over the same files; None without it."""
    try:
        import chdb
    except ImportError:
        return None
    files = data_dir / "lake" / "spans"
    measured = Measured("the same, chdb in its own process", None)
    session = chdb.session.Session()
    for place in range(-1, rounds):
        bounds = hour(plan, place % max(plan.days - 1, 1))
        times = {name: f"parseDateTime64BestEffort('{bounds[name]}', 6, 'UTC')" for name in ("begin", "end")}
        source = f"file('{files}/date=*/*.parquet', Parquet)"
        began, cpu = time.perf_counter(), time.process_time()
        session.query(AGGREGATE.format(source=source, day=bounds["day"], **times), "CSV")
        if place >= 0:
            measured.times_ms.append((time.perf_counter() - began) * 1000)
            measured.cpu_ms += (time.process_time() - cpu) * 1000
    return measured


def run(data_dir: Path, plan: Plan, rounds: int) -> None:
    """Measure, and print the table."""
    plan = prepared(data_dir, plan)
    server = OwnServer(data_dir)
    try:
        with httpx.Client(base_url=server.http, timeout=120) as client:
            client.post("/apply", json=document()).raise_for_status()
            print(f"\n{'':52} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8}  target")
            cold = Question(
                "results, cold", lambda place: client.get(f"/experiments/{config_key(place + 1)}/results"), 300
            )
            print(measure(server, cold, min(rounds, CONFIGS - 1), is_cold=True).line(), flush=True)
            for question in questions(client, plan):
                print(measure(server, question, rounds).line(), flush=True)
            own = measure(server, aggregate(client, plan), rounds)
            print(own.line(), flush=True)
    finally:
        server.stop()
    other = chdb_aggregate(data_dir, plan, rounds)
    if other is None:
        print("chdb is not there: pip install chdb for the same aggregate by ClickHouse")
    else:
        ratio = statistics.median(own.times_ms) / statistics.median(other.times_ms)
        print(f"{other.line()}\nours takes {ratio:.2f} times as long as chdb (p50)")
    print(f"CPU is counted in steps of {1000 // CLOCK_TICKS_PER_S} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--sessions", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--data-dir", type=Path, help="a lake to use again, or where to make one")
    arguments = parser.parse_args()
    plan = Plan(arguments.spans, arguments.sessions, arguments.days, datetime.now(UTC).date() - timedelta(days=1))
    if arguments.data_dir is not None:
        arguments.data_dir.mkdir(parents=True, exist_ok=True)
        run(arguments.data_dir, plan, arguments.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="fallom-query-") as folder:
        run(Path(folder), plan, arguments.rounds)


if __name__ == "__main__":
    main()
