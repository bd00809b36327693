"""Costs by a project's own prices, from the request on, and those of calls of before when they are priced anew."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_messages import PROTOBUF, export_request, exposure, span
from experiment_figures import session_id_in
from keyed_server import Client, create_key
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

MILLION = 1_000_000
PRICE = {"model": "custom:*", "from": "2020-01-01", "usd_per_million": {"input": 2, "output": 8}}
# Half a second is what a registry is asked after; the rest is for a machine that is busy with other tests.
APPLIED_S_MAX = 5.0
DAY_NS = 86_400 * 10**9
VARIANTS = [{"model": "custom:a", "weight": 50}, {"model": "gpt-4o", "weight": 50}]
# What the rollup says of each session, and what the spans come to.
SUMS = """
    SELECT session_id, sum(cost_count)::INT AS priced, sum(unpriced_count)::INT AS unpriced, sum(cost_sum) AS cost
    FROM session_rollup GROUP BY ALL ORDER BY ALL
"""
RECOMPUTED = """
    SELECT session_id, count(cost)::INT AS priced,
        count_if(cost IS NULL AND status_code <> 'error')::INT AS unpriced, coalesce(sum(cost), 0) AS cost
    FROM spans WHERE is_inference GROUP BY ALL ORDER BY ALL
"""


def call(session_id: str, model: str = "custom:a", *, days_ago: int = 0, reported: float | None = None) -> Any:
    """Return a call of a million input tokens."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": MILLION,
        "gen_ai.usage.output_tokens": 0,
        "fallom.session_id": session_id,
        "fallom.config_key": "test",
    }
    if reported is not None:
        attributes["gen_ai.usage.cost"] = reported
    return span("chat", attributes, start_time_unix_nano=time.time_ns() - days_ago * DAY_NS)


def send(server: ServerProcess, *spans: Any) -> None:
    status, _, answer = server.request("POST", "/v1/traces", export_request(spans).SerializeToString(), PROTOBUF)
    assert status == 200, answer


def put_price(server: ServerProcess, key: str = "ours", **fields: Any) -> None:
    body = json.dumps(PRICE | fields).encode()
    status, _, answer = server.request("PUT", f"/api/prices/{key}", body, {"Content-Type": "application/json"})
    assert status == 200, answer


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120, env=environment()
    )


def reprice(*arguments: str | Path, since: str = "2020-01-01") -> dict[str, Any]:
    done = run("reprice", "--since", since, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return dict(zip(answer["columns"], answer["rows"][0], strict=True))


def costs(server: ServerProcess) -> dict[str, float | None]:
    return {row["session_id"]: row["cost"] for row in server.sql("SELECT session_id, cost FROM spans")}


def assert_sums_follow(server: ServerProcess) -> None:
    sums, recomputed = server.sql(SUMS), server.sql(RECOMPUTED)
    assert [row | {"cost": None} for row in sums] == [row | {"cost": None} for row in recomputed]
    assert [row["cost"] for row in sums] == pytest.approx([row["cost"] for row in recomputed], rel=1e-12, abs=1e-12)


def cost_estimates(server: ServerProcess) -> list[tuple[str, float | None, int]]:
    (metric,) = [
        metric
        for metric in server.results("test")["metrics"]
        if (metric["name"], metric["statistic"], metric["estimand"]) == ("cost_usd", "mean", "per_session")
    ]
    return [(arm["key"], arm["estimate"], round(arm["coverage"], 6)) for arm in metric["variants"]]


def test_a_call_costs_what_the_project_s_own_price_says_from_the_moment_it_is_put(server: ServerProcess) -> None:
    send(server, call("before"))

    put_price(server)
    send(server, call("after"))
    put_price(server, usd_per_million={"input": 3, "output": 0}, replaces_reported=True)
    send(server, call("changed"), call("replaced", reported=0.5), call("other", "gpt-4o", reported=0.5))
    server.request("POST", "/api/prices/ours/archive", b"{}", {"Content-Type": "application/json"})
    send(server, call("archived"))

    assert costs(server) == {
        "before": None, "after": 2.0, "changed": 3.0, "replaced": 3.0, "other": 0.5, "archived": None,
    }  # fmt: skip
    sources = {
        row["session_id"]: row["price_source"] for row in server.sql("SELECT session_id, price_source FROM spans")
    }
    assert sources["after"] == "override ours@2020-01-01 v1"
    assert sources["changed"] == "override ours@2020-01-01 v2"
    assert sources["other"].startswith("genai-prices ")


def test_a_price_that_another_process_applies_counts_soon_after(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("prices: [{key: k, model: 'custom:*', from: 2020-01-01, usd_per_million: {input: 5, output: 0}}]\n")
    assert run("apply", path, "--data-dir", server.data_dir).returncode == 0
    applied = time.monotonic()

    last_unpriced = applied
    for number in range(100):
        began = time.monotonic()
        send(server, call(f"{number}"))
        if costs(server)[f"{number}"] == 5.0:
            break
        last_unpriced = began
        time.sleep(0.05)

    assert last_unpriced - applied < APPLIED_S_MAX
    again = run("export", "--data-dir", server.data_dir)
    path.write_text(again.stdout)
    assert run("diff", path, "--data-dir", server.data_dir, "--exit-code").returncode == 0


def test_calls_of_before_are_priced_anew_and_results_follow(server: ServerProcess) -> None:
    server.define({"configs": [{"key": "test", "variants": VARIANTS}]})
    sessions = [session_id_in(arm, f"s{number}") for number in range(3) for arm in range(2)]
    for number, session_id in enumerate(sessions):
        server.post("/sessions", exposure("test", session_id, VARIANTS[number % 2]["model"]))
        send(server, call(session_id, VARIANTS[number % 2]["model"]), call(session_id, days_ago=number))
    assert server.terminate() == 0
    server.start()
    send(server, call("hot"))
    before = cost_estimates(server)
    assert [estimate for _, estimate, _ in before] == [None, None]

    put_price(server)
    dry = reprice("--dry-run", "--url", server.url)
    assert set(costs(server).values()) == {None, *(cost for cost in costs(server).values() if cost != 2.0)}
    done = reprice("--url", server.url)

    assert dry == done
    assert done == {
        "spans": 10, "newly_priced": 10, "no_longer_priced": 0, "cost_before": 0.0, "cost_after": 20.0,
    }  # fmt: skip
    assert_sums_follow(server)
    per_call = {
        row["m"]: row["c"] for row in server.sql("SELECT request_model AS m, max(cost) AS c FROM spans GROUP BY 1")
    }
    assert cost_estimates(server) == [
        ("custom:a", pytest.approx(4.0), 1.0),
        ("gpt-4o", pytest.approx(2.0 + per_call["gpt-4o"]), 1.0),
    ]
    assert reprice("--url", server.url)["spans"] == 0

    put_price(server, "later", usd_per_million={"input": 20, "output": 0}, **{"from": "2025-01-01"})
    server.terminate()
    assert reprice("--data-dir", server.data_dir)["cost_after"] == 200.0
    server.start()
    assert_sums_follow(server)


def test_only_the_days_that_are_meant_are_priced_anew(server: ServerProcess) -> None:
    send(server, call("old", days_ago=9), call("new", days_ago=1))
    put_price(server)

    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 5 * 86_400))
    reprice("--url", server.url, since=day)

    assert costs(server) == {"old": None, "new": 2.0}


@pytest.fixture
def large(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with two thousand calls of twenty days, each day a file."""
    server = ServerProcess(tmp_path / "data").start()
    for days_ago in range(20):
        send(server, *(call(f"s{number % 10}", days_ago=days_ago) for number in range(100)))
    assert server.terminate() == 0
    yield server.start()
    server.stop()


def test_a_server_that_is_killed_in_the_middle_goes_on_when_it_is_asked_again(large: ServerProcess) -> None:
    put_price(large)
    counted = []
    for number in range(3):
        large.post("/reprice", {"since": "2020-01-01"})
        time.sleep(0.15 * number)
        large.kill()
        large.start()
        large.wait_for("SELECT sum(calls)::INT FROM session_rollup", 2_000)
        counted.append(large.sql("SELECT count(cost) AS n FROM spans")[0]["n"])
        wait_until_sums_follow(large)
    assert counted == sorted(counted)

    reprice("--url", large.url)

    assert large.sql("SELECT count(cost) AS n, sum(cost) AS c FROM spans") == [{"n": 2_000, "c": 4_000.0}]
    assert_sums_follow(large)


def wait_until_sums_follow(server: ServerProcess) -> None:
    """Wait until upkeep has done what was begun: at most its first round."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return assert_sums_follow(server)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def test_calls_that_come_in_meanwhile_are_priced_and_counted_once(large: ServerProcess) -> None:
    stopping, sent = threading.Event(), []

    def keep_sending() -> None:
        while not stopping.is_set():
            send(large, call(f"s{len(sent) % 10}"))
            sent.append(1)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        put_price(large)
        reprice("--url", large.url)
    finally:
        stopping.set()
        sender.join()

    assert large.sql("SELECT count(*) AS n, count(cost) AS priced FROM spans") == [
        {"n": 2_000 + len(sent), "priced": 2_000 + len(sent)}
    ]
    assert len(sent) > 10
    assert_sums_follow(large)


def test_prices_and_repricing_are_the_project_s_own_and_an_admin_s(tmp_path: Path) -> None:
    keys = [create_key(tmp_path / "data", *of) for of in (("a", "admin"), ("b", "admin"), ("a", "read"))]
    server = ServerProcess(tmp_path / "data").start()
    a, b, reader = (Client(server, key) for key in keys)

    assert reader.ask("PUT", "/api/prices/p", json=PRICE).status_code == 403
    assert reader.ask("POST", "/reprice", json={"since": "2026-01-01"}).status_code == 403
    assert a.ask("PUT", "/api/prices/p", json=PRICE).status_code == 200
    assert [one["key"] for one in reader.ask("GET", "/api/prices").json()["resources"]] == ["p"]
    assert b.ask("GET", "/api/prices").json()["resources"] == []
    begun = a.ask("POST", "/reprice", json={"since": "2026-01-01"})
    assert begun.status_code == 202
    assert b.ask("GET", f"/reprice/{begun.json()['id']}").status_code == 404
    server.stop()


@pytest.mark.parametrize("body", [{}, {"since": "yesterday"}, {"since": "2026-01-01", "project": "b"}, []])
def test_a_request_to_reprice_that_is_not_understood_is_refused(shared_server: ServerProcess, body: object) -> None:
    status, answer = shared_server.post("/reprice", body)

    assert status == 400
    assert answer["error"]["message"]


def test_a_command_that_can_t_be_meant_so_says_why(tmp_path: Path) -> None:
    assert "since" in run("reprice").stderr
    assert "is no data directory" in run("reprice", "--since", "2026-01-01", "--data-dir", tmp_path / "none").stderr
    assert "leave --project out" in run(
        "reprice", "--since", "2026-01-01", "--project", "p", "--url", "http://127.0.0.1:1"
    ).stderr  # fmt: skip
