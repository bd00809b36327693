"""Runs of evaluations: each is stored once, whole, and read back as its rows say."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from scipy import stats
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

COUNTS = "SELECT (SELECT count(*) FROM evaluation_items) AS items, (SELECT count(*) FROM evaluation_scores) AS scores"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # Long enough that what is sent stays in the log.
    server = ServerProcess(tmp_path / "data", "--flush-interval-s", "3600").start()
    yield server
    server.stop()


def run(name: str = "run", count: int = 4) -> dict[str, Any]:
    results = [
        {
            "input": f"question {n}",
            "output": "o",
            "model": "m",
            "faithfulness": n / 10,
            "reasoning": {"faithfulness": "r"},
        }
        for n in range(count)
    ]
    return {"name": name, "results": results}


def upload(server: ServerProcess, content: dict[str, Any]) -> str:
    status, answer = server.post("/api/sdk-evals", content)
    assert status == 200, answer
    return str(answer["run_id"])


def counts(server: ServerProcess) -> tuple[int, int]:
    (row,) = server.sql(COUNTS)
    return row["items"], row["scores"]


def test_a_run_that_is_sent_again_is_stored_once_also_after_a_crash_and_a_commit(server: ServerProcess) -> None:
    ids = [upload(server, run()), upload(server, run())]
    server.kill()
    server.start()
    ids.append(upload(server, run()))
    server.terminate()
    assert not server.segments()
    server.start()
    ids.append(upload(server, run()))

    assert len(set(ids)) == 1
    assert counts(server) == (4, 4)
    assert upload(server, run(name="another")) not in ids
    assert counts(server) == (8, 8)


def test_a_run_that_is_sent_many_times_at_once_is_stored_once(server: ServerProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: upload(server, run(count=200)), range(16)))

    assert len(set(ids)) == 1
    assert counts(server) == (200, 200)


def test_what_a_crash_left_of_a_run_is_completed_by_the_next_attempt(server: ServerProcess) -> None:
    run_id = upload(server, run())
    server.kill()
    # As if it had died between the two appends.
    shutil.rmtree(server.data_dir / "log" / "evaluation_scores")
    server.start()
    assert counts(server) == (4, 0)

    again = upload(server, run())

    assert again == run_id
    assert counts(server) == (4, 4)


def test_the_accounting_of_rows_holds(server: ServerProcess) -> None:
    upload(server, run())
    upload(server, run())

    tables = server.get("/debug/pipeline")[1]["tables"]

    assert [tables[name]["rows"]["accepted"] for name in ("evaluation_items", "evaluation_scores")] == [4, 4]


def test_the_interval_is_over_sessions_where_items_name_them(server: ServerProcess) -> None:
    sessions = {"a": [0.1, 0.2, 0.3], "b": [0.9], "c": [0.5, 0.6]}
    results = [
        {"input": "q", "model": model, "completeness": score, "metadata": {"session_id": session} if named else None}
        for model, named in (("by session", True), ("by item", False))
        for session, scores in sessions.items()
        for score in scores
    ]

    found = server.get(f"/api/evals/{upload(server, {'name': 'run', 'results': results})}")[1]["scores"]

    by_item, by_session = found
    scores = [score for of_session in sessions.values() for score in of_session]
    mean = sum(scores) / 6
    half = stats.t.ppf(0.975, 5) * stats.sem(scores)
    assert (by_item["n"], by_item["units"]) == (6, 6)
    assert by_item["mean"] == pytest.approx(mean)
    assert by_item["interval"] == pytest.approx([mean - half, mean + half])
    # The delta method over three sessions of unequal size.
    residuals = [sum(each) - mean * len(each) for each in sessions.values()]
    error = math.sqrt(3 / 2 * sum(residual**2 for residual in residuals)) / 6
    # Few sessions count as those that weigh: K_eff = (Σn)²/Σn².
    half = stats.t.ppf(0.975, 6**2 / (3**2 + 1**2 + 2**2) - 1) * error
    assert (by_session["n"], by_session["units"]) == (6, 3)
    assert by_session["mean"] == pytest.approx(mean)
    assert by_session["interval"] == pytest.approx([mean - half, mean + half])


def test_one_score_has_no_interval_and_equal_ones_neither(server: ServerProcess) -> None:
    results = [{"input": "q", "bias": 0.5}, {"input": "r", "toxicity": 0.2}, {"input": "s", "toxicity": 0.2}]

    found = server.get(f"/api/evals/{upload(server, {'name': 'run', 'results': results})}")[1]["scores"]

    assert [(score["metric"], score["status"], score["mean"], score["interval"]) for score in found] == [
        ("bias", "insufficient_data", 0.5, None),
        ("toxicity", "zero_variance", 0.2, None),
    ]


def test_runs_and_items_come_in_pages(server: ServerProcess) -> None:
    ids = [upload(server, run(name=f"run {number}")) for number in range(5)]

    seen: list[str] = []
    before = ""
    while True:
        status, page = server.get(f"/api/evals?limit=2{before}")
        assert status == 200, page
        seen += [each["run_id"] for each in page["runs"]]
        if page["next_before"] is None:
            break
        before = "&before=" + page["next_before"].replace("+", "%2B")
    items = server.get(f"/api/evals/{ids[0]}/items?limit=3")[1]
    rest = server.get(f"/api/evals/{ids[0]}/items?limit=3&first={items['next_first']}")[1]

    assert seen == ids[::-1]
    assert [item["item"] for item in (*items["items"], *rest["items"])] == [0, 1, 2, 3]
    assert rest["next_first"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/evals/none", 404),
        ("/api/evals/none/items", 404),
        ("/api/evals?limit=0", 400),
        ("/api/evals?limit=1001", 400),
        ("/api/evals?before=yesterday", 400),
        ("/api/evals?before=0001-01-01T00:00:00%2B14:00", 400),
        ("/api/evals/none/items?first=-1", 400),
    ],
)
def test_what_is_asked_wrongly_is_refused(shared_server: ServerProcess, path: str, status: int) -> None:
    assert shared_server.get(path)[0] == status


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 1, "results": []}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_run_is_refused(shared_server: ServerProcess, content: bytes) -> None:
    status, headers, body = shared_server.request("POST", "/api/sdk-evals", content)

    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(body)["error"]["code"] == "invalid_argument"


def test_a_compressed_run_is_taken(shared_server: ServerProcess) -> None:

    body = gzip.compress(json.dumps(run(name="compressed", count=1_000)).encode())

    answer = httpx.post(f"{shared_server.url}/api/sdk-evals", content=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 200
    assert shared_server.get(f"/api/evals/{answer.json()['run_id']}")[1]["items"] == 1_000


def test_another_method_is_refused(shared_server: ServerProcess) -> None:
    status, headers, _ = shared_server.request("GET", "/api/sdk-evals")

    assert (status, headers["allow"]) == (405, "POST")
