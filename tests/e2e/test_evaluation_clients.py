"""Evaluations and datasets of the published 0.2.x clients, unmodified, with a real server and a judge on loopback."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from judge_provider import judge
from keyed_server import Client, create_key
from server_process import ServerProcess, environment

from examples.client_environments import environment as client_environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the environments may have to be made first

DRIVER = Path(__file__).resolve().parent / "clients" / "evals.py"
CLIENT_SECONDS_MAX = 90
NAMES = ("fallom-0.2.2", "fallom-0.2.7")
ENTRIES = [
    {"input": "good question", "output": "good answer", "systemMessage": "be brief", "metadata": {"session_id": "s1"}},
    {"input": "bad question", "output": "bad answer", "metadata": {"session_id": "s2", "config_key": "agent"}},
    {"input": "odd question", "output": "odd answer"},
]
SCORES = {"good answer": 0.9, "bad answer": 0.1, "odd answer": None, "answer of": 0.5}

each_client = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", autouse=True)
def client_environments() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(client_environment, NAMES))


@pytest.fixture(scope="module")
def judge_url() -> Iterator[str]:
    with judge(SCORES) as url:
        yield url


def run(server: ServerProcess, name: str, judge_url: str, *calls: Any, api_key: str = "any") -> list[dict[str, Any]]:
    plan = {"base_url": server.url, "api_key": api_key, "judge_url": judge_url, "calls": calls}
    done = subprocess.run(
        [client_environment(name), DRIVER],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
        timeout=CLIENT_SECONDS_MAX,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def define(server: ServerProcess, key: str, entries: list[dict[str, Any]]) -> None:
    status, answer = server.post(f"/api/datasets/{key}", {"name": "Golden", "entries": entries})
    assert status == 200, answer


def run_named(server: ServerProcess, name: str) -> dict[str, Any]:
    (found,) = [run for run in server.get("/api/evals?limit=1000")[1]["runs"] if run["name"] == name]
    status, answer = server.get(f"/api/evals/{found['run_id']}")
    assert status == 200, answer
    return answer


def figures(run: dict[str, Any]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (score["model"], score["metric"]): (score["mean"], score["n"], score["failed"], score["not_sent"])
        for score in run["scores"]
    }


@each_client
def test_a_dataset_of_the_server_is_evaluated_and_its_scores_are_stored(
    shared_server: ServerProcess, name: str, judge_url: str
) -> None:
    key, run_name = f"evaluated-{name}", f"evaluation by {name}"
    define(shared_server, key, ENTRIES)

    metrics = ["faithfulness", "toxicity"]
    call = ["evaluate", {"dataset": key, "metrics": metrics, "name": run_name, "description": "nightly"}]
    (answer,) = run(shared_server, name, judge_url, call)

    assert [result["faithfulness"] for result in answer["value"]["results"]] == [0.9, 0.1, None]
    found = run_named(shared_server, run_name)
    assert (found["items"], found["dataset_size"], found["models"]) == (3, 3, ["production"])
    assert (found["judge_model"], found["description"]) == ("openai/gpt-4o-mini", "nightly")
    assert figures(found) == {("production", metric): (0.5, 2, 1, 0) for metric in metrics}
    items = shared_server.get(f"/api/evals/{found['run_id']}/items")[1]["items"]
    assert [item["input"] for item in items] == [entry["input"] for entry in ENTRIES]
    assert items[0]["scores"][0] == {
        "metric": "faithfulness",
        "score": 0.9,
        "status": "ok",
        "reasoning": "as told",
    }
    assert items[2]["scores"][0]["status"] == "failed"
    # 0.2.2 does not send what the entries' metadata say.
    sessions = ["s1", "s2", None] if name == "fallom-0.2.7" else [None, None, None]
    assert [item["session_id"] for item in items] == sessions
    rows = shared_server.sql(
        f"SELECT avg(score) AS mean FROM evaluation_scores WHERE run_name = '{run_name}' AND metric = 'toxicity'"
    )
    assert rows == [{"mean": 0.5}]


@each_client
def test_models_are_compared_and_one_that_is_down_counts_as_errors(
    shared_server: ServerProcess, name: str, judge_url: str
) -> None:
    key, run_name = f"compared-{name}", f"comparison by {name}"
    define(shared_server, key, ENTRIES[:2])

    (answer,) = run(
        shared_server, name, judge_url, ["compare", {"dataset": key, "metrics": ["completeness"], "name": run_name}]
    )

    assert [result["completeness"] for result in answer["value"]["openai/gpt-4o"]] == [0.5, 0.5]
    found = run_named(shared_server, run_name)
    assert found["models"] == ["broken", "openai/gpt-4o", "production"]
    assert (found["items"], found["errors"]) == (6, 2)
    assert figures(found) == {
        ("production", "completeness"): (0.5, 2, 0, 0),
        ("openai/gpt-4o", "completeness"): (0.5, 2, 0, 0),
    }
    rows = shared_server.sql(
        "SELECT model, count(error) AS errors, sum(input_tokens) AS tokens, count(latency_ms) AS timed "
        f"FROM evaluation_items WHERE run_name = '{run_name}' GROUP BY model ORDER BY model"
    )
    assert rows == [
        {"model": "broken", "errors": 2, "tokens": None, "timed": 0},
        {"model": "openai/gpt-4o", "errors": 0, "tokens": 22, "timed": 2},
        {"model": "production", "errors": 0, "tokens": None, "timed": 0},
    ]


@each_client
def test_a_metric_of_ones_own_is_told_as_judged_and_not_sent(
    shared_server: ServerProcess, name: str, judge_url: str
) -> None:
    run_name = f"own metric by {name}"
    define(shared_server, f"own-{name}", ENTRIES[:1])

    arguments = {"dataset": f"own-{name}", "metrics": [], "custom": True, "name": run_name}
    (answer,) = run(shared_server, name, judge_url, ["evaluate", arguments])

    assert answer["value"]["results"][0]["reasoning"] == {"brand": "as told"}
    assert figures(run_named(shared_server, run_name)) == {("production", "brand"): (None, 0, 0, 1)}


@each_client
def test_datasets_are_loaded_by_version(shared_server: ServerProcess, name: str, judge_url: str) -> None:
    key = f"versions-{name}"
    define(shared_server, key, ENTRIES[:1])
    define(shared_server, key, ENTRIES[1:])

    loaded, first, pulled, missing = run(
        shared_server,
        name,
        judge_url,
        ["load", {"dataset_key": key}],
        ["load", {"dataset_key": key, "version": 1}],
        ["pull", {"alias": key}],
        ["load", {"dataset_key": "nowhere"}],
    )

    assert [item["input"] for item in loaded["value"]] == ["bad question", "odd question"]
    assert first["value"] == [
        {
            "input": "good question",
            "output": "good answer",
            "system_message": "be brief",
            "metadata": {"session_id": "s1"},
        }
    ]
    assert (pulled["value"]["name"], pulled["value"]["version"]) == ("Golden", 2)
    assert pulled["value"]["goldens"][0]["expected_output"] == "bad answer"
    assert missing == {"error": "Dataset 'nowhere' not found"}


def test_a_key_needs_read_for_datasets_and_ingest_for_runs(server: ServerProcess, judge_url: str) -> None:
    both, ingest = (create_key(server.data_dir, scopes=scopes) for scopes in ("ingest,read", "ingest"))
    admin = Client(server, create_key(server.data_dir, scopes="admin"))
    wait_until_keys_count(admin)
    admin.post("/api/datasets/golden", {"entries": ENTRIES[:1]})
    evaluate = ["evaluate", {"dataset": "golden", "metrics": ["toxicity"], "name": "with both"}]

    refused = run(server, "fallom-0.2.7", judge_url, evaluate, api_key=ingest)
    taken = run(server, "fallom-0.2.7", judge_url, evaluate, api_key=both)

    assert refused == [{"error": "Access denied to dataset 'golden'"}]
    assert "value" in taken[0]
    assert [run["name"] for run in admin.get("/api/evals")["runs"]] == ["with both"]
    admin.close()


def wait_until_keys_count(client: Client) -> None:
    deadline = time.monotonic() + 5
    while client.ask("GET", "/api/evals", headers={"Authorization": "Bearer none"}).status_code != 401:
        assert time.monotonic() < deadline, "the server does not take notice of its keys"
        time.sleep(0.05)
