"""The published clients, unmodified and in environments of their own, against a real server and a fake provider."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from keyed_server import Client as KeyedClient
from keyed_server import create_key
from server_process import ServerProcess

from examples.client_environments import PINS, environment
from fallom.assignment import assign

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the environments may have to be made first

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = Path(__file__).resolve().parent / "clients"
DEMO = ROOT / "examples" / "demo"
SESSIONS = 50
VISIBLE_SECONDS_MAX = 2.0
CLIENT_SECONDS_MAX = 90
COUNTS = ("sessions", "calls")
# What is compared, and over what: a call for what a call has, a session for the application's own figures.
MEANS = {
    "error_rate": "per_call",
    "input_tokens": "per_call",
    "output_tokens": "per_call",
    "score": "per_session",
    "solved": "per_session",
}
URL_ARGUMENTS = ("traces_url", "configs_url", "prompts_url")


@dataclass(frozen=True, slots=True)
class Client:
    """One published version: its environment, its traffic driver, and what it can do."""

    name: str
    traffic: str
    url_arguments: tuple[str, ...] = URL_ARGUMENTS
    has_responses: bool = False

    def key(self, purpose: str) -> str:
        """Return a config key that no other test uses."""
        return f"{purpose}-{self.name.replace('.', '-')}"


FALLOM_0_1_0 = Client("fallom-0.1.0", "traffic_0_1.py", url_arguments=("base_url",))
FALLOM_0_1_3 = Client("fallom-0.1.3", "traffic_0_1.py")
FALLOM_0_2_2 = Client("fallom-0.2.2", "traffic_0_2.py")
FALLOM_0_2_7 = Client("fallom-0.2.7", "traffic_0_2.py", has_responses=True)
ALL = (FALLOM_0_1_0, FALLOM_0_1_3, FALLOM_0_2_2, FALLOM_0_2_7)

each_client = pytest.mark.parametrize("client", ALL, ids=lambda client: client.name)
each_client_with_prompts = pytest.mark.parametrize("client", ALL[1:], ids=lambda client: client.name)
each_client_with_targeting = pytest.mark.parametrize("client", ALL[2:], ids=lambda client: client.name)


@pytest.fixture(scope="module", autouse=True)
def client_environments() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(environment, [name for name in PINS if name.startswith("fallom-")]))


@pytest.fixture
def provider_url() -> Iterator[str]:
    command = [sys.executable, str(DEMO / "fake_provider.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("ready url="), f"the fake provider did not start: {ready!r}"
        yield ready.strip().removeprefix("ready url=")
        process.terminate()


@each_client
def test_models_are_assigned_as_the_server_recomputes_them(shared_server: ServerProcess, client: Client) -> None:
    key = client.key("assign")
    variants = {
        "control": {"model": "model-a", "weight": 33.3},
        "small": {"model": "model-b", "weight": 0.7},
        "large": {"model": "model-c", "weight": 66},
    }
    shared_server.apply(json.dumps({"configs": [{"key": key, "variants": variants}]}))
    session_ids = [f"{key}-{number}" for number in range(SESSIONS)]

    models = run_assign(shared_server, client, key, [{"session_id": session_id} for session_id in session_ids])

    config = served_config(shared_server, key)
    assert models == {session_id: assign(config, session_id).model for session_id in session_ids}
    assert recorded_exposures(shared_server, key, count=SESSIONS) == {
        (session_id, config["version"], model) for session_id, model in models.items()
    }


@each_client
def test_a_pinned_version_is_served_and_recorded(shared_server: ServerProcess, client: Client) -> None:
    key = client.key("pinned")
    for models in (("old-a", "old-b"), ("new-a", "new-b")):
        variants = [{"model": model, "weight": 50} for model in models]
        shared_server.apply(json.dumps({"configs": [{"key": key, "variants": variants}]}))
    pinned = served_config(shared_server, key)["version"] - 1
    session_ids = [f"{key}-{number}" for number in range(SESSIONS)]

    models = run_assign(shared_server, client, key, [{"session_id": name} for name in session_ids], version=pinned)

    status, config = shared_server.get(f"/configs/{key}/version/{pinned}")
    assert status == 200
    assert models == {session_id: assign(config, session_id).model for session_id in session_ids}
    assert set(models.values()) == {"old-a", "old-b"}
    assert recorded_exposures(shared_server, key, count=SESSIONS) == {
        (name, pinned, models[name]) for name in session_ids
    }


@each_client_with_targeting
def test_targeting_is_evaluated_as_the_server_recomputes_it(shared_server: ServerProcess, client: Client) -> None:
    key = client.key("targeted")
    targeting = {
        "enabled": True,
        "individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 1}],
        "rules": [
            {
                "conditions": [
                    {"field": "plan", "operator": "in", "value": ["team", "enterprise"]},
                    {"field": "region", "operator": "startsWith", "value": "eu-"},
                ],
                "variantIndex": 2,
            },
            {
                "conditions": [{"field": "customerId", "operator": "endsWith", "value": "@us.example"}],
                "variantIndex": 1,
            },
        ],
    }
    variants = [{"model": model, "weight": weight} for model, weight in (("a", 80), ("b", 10), ("c", 10))]
    shared_server.apply(json.dumps({"configs": [{"key": key, "variants": variants, "targeting": targeting}]}))
    kinds: list[dict[str, Any]] = [
        {},
        {"customer_id": "vip"},
        {"customer_id": "anyone"},
        {"context": {"plan": "team", "region": "eu-west"}},
        {"context": {"plan": "team", "region": "us-east"}},
        {"context": {"plan": "team"}},
        {"customer_id": "ada@us.example"},
        {"customer_id": "vip", "context": {"plan": "team", "region": "eu-west"}},
    ]
    sessions = [{"session_id": f"{key}-{number}", **kinds[number % len(kinds)]} for number in range(SESSIONS)]

    models = run_assign(shared_server, client, key, sessions)

    config = served_config(shared_server, key)
    assert models == {session["session_id"]: assign(config, **session).model for session in sessions}
    assert models[f"{key}-1"] == "b"
    assert models[f"{key}-3"] == "c"
    assert recorded_exposures(shared_server, key, count=SESSIONS) == {
        (session_id, config["version"], model) for session_id, model in models.items()
    }


@each_client
def test_traffic_is_in_the_results_within_two_seconds(
    shared_server: ServerProcess, provider_url: str, client: Client
) -> None:
    key = client.key("traffic")
    variants = [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}]
    shared_server.apply(json.dumps({"configs": [{"key": key, "variants": variants}]}))
    metrics = {
        f"{key}-{number}": {"score": number % 5 + 0.5, "solved": number % 3 == 0, "channel": "chat"}
        for number in range(SESSIONS)
    }

    played = run_client(
        client,
        client.traffic,
        {
            "urls": dict.fromkeys(client.url_arguments, shared_server.url),
            "provider_url": provider_url,
            "config_key": key,
            "has_responses": client.has_responses,
            "sessions": [{"session_id": session_id, "metrics": values} for session_id, values in metrics.items()],
        },
    )
    models = played["models"]
    truth = pytest.approx(expected(models, metrics, served(provider_url)))
    seen = visible_by(played["delivered_at"] + VISIBLE_SECONDS_MAX, truth, lambda: measured(shared_server, key))

    assert models == {session_id: assign(served_config(shared_server, key), session_id).model for session_id in metrics}
    assert seen == truth
    assert sums_by_model(shared_server, key, client) == {
        model: {name: count for name, count in counts.items() if name in columns_of(client)}
        for model, counts in served(provider_url).items()
    }
    channels = shared_server.sql(
        f"SELECT DISTINCT value_string FROM metric_values WHERE config_key = '{key}' AND name = 'channel'"
    )
    assert {row["value_string"] for row in channels} == {"", "chat"}


@each_client
def test_a_clients_key_is_the_project_of_all_that_it_sends_and_gets(
    tmp_path: Path, provider_url: str, client: Client
) -> None:
    key = create_key(tmp_path / "data", "web", "ingest")
    owner = create_key(tmp_path / "data", "web", "admin")
    server = ServerProcess(tmp_path / "data").start()
    web = KeyedClient(server, owner)
    web.post("/apply", {"configs": [{"key": "keyed", "variants": [{"model": "gpt-4o", "weight": 1}]}]})

    played = run_client(
        client,
        client.traffic,
        {
            "urls": dict.fromkeys(client.url_arguments, server.url),
            "api_key": key,
            "provider_url": provider_url,
            "config_key": "keyed",
            "has_responses": False,
            "sessions": [{"session_id": f"s{number}", "metrics": {"score": 1}} for number in range(4)],
        },
    )
    counts = """
        SELECT (SELECT count(DISTINCT session_id) FROM spans), (SELECT count(DISTINCT session_id) FROM metrics),
            (SELECT count(DISTINCT session_id) FROM exposures)
    """
    seen = visible_by(played["delivered_at"] + VISIBLE_SECONDS_MAX, [[4, 4, 4]], lambda: web.sql(counts))
    web.close()
    server.stop()

    assert set(played["models"].values()) == {"gpt-4o"}
    assert seen == [[4, 4, 4]]


@each_client_with_prompts
def test_upstreams_integration_expectations_hold(shared_server: ServerProcess, client: Client) -> None:
    shared_server.apply((ROOT / "examples" / "upstream.yaml").read_text())
    variables = {"user_name": "Ada", "company": "Engines", "user_message": "Hello", "conversation_history": "none"}
    sessions = [f"session-{number}" for number in range(100)]
    version = served_prompt(shared_server, "email-writer")["version"]

    plain, filled, pinned, unknown, unknown_version, unknown_test, *tested = run_client(
        client,
        "prompts.py",
        [
            ["get", "email-writer"],
            ["get", "email-writer", variables],
            ["get", "email-writer", variables, version],
            ["get", "no-such-prompt"],
            ["get", "email-writer", {}, 999],
            ["get_ab", "no-such-test", "session-1"],
            *(["get_ab", "integration-test", session_id, variables] for session_id in [*sessions, *sessions]),
        ],
        FALLOM_BASE_URL=shared_server.url,
    )

    served_template = served_prompt(shared_server, "email-writer")
    assert (plain["key"], plain["version"]) == ("email-writer", version)
    assert plain["system"] == served_template["system_prompt"]
    assert plain["user"] == served_template["user_template"]
    assert filled["system"] == fill(served_template["system_prompt"], variables)
    assert filled["user"] == fill(served_template["user_template"], variables)
    assert "{{" not in filled["system"] + filled["user"]
    assert pinned == filled
    assert "no-such-prompt" in unknown["error"]
    assert "999" in unknown_version["error"]
    assert "no-such-test" in unknown_test["error"]
    assert tested[: len(sessions)] == tested[len(sessions) :]
    assert {(answer["ab_test_key"], answer["variant_index"]) for answer in tested} == {
        ("integration-test", 0),
        ("integration-test", 1),
    }
    assert {answer["key"] for answer in tested} == {"email-writer", "email-writer-friendly"}


def run_client(client: Client, driver: str, plan: Any, **variables: str) -> Any:
    """Run a driver in the client's environment and return what it prints."""
    # The drivers share the demo's way of waiting for a client's own threads.
    settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(DEMO), "NO_PROXY": "127.0.0.1", "FALLOM_API_KEY": "test"}
    result = subprocess.run(
        [str(environment(client.name)), str(DRIVERS / driver)],
        input=json.dumps(plan),
        env=settings | variables,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS_MAX,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def run_assign(
    server: ServerProcess, client: Client, key: str, sessions: list[dict[str, Any]], version: int | None = None
) -> dict[str, str]:
    plan = {"url": server.url, "config_key": key, "version": version, "sessions": sessions}
    models: dict[str, str] = run_client(client, "assign.py", plan)
    return models


def served_config(server: ServerProcess, key: str) -> dict[str, Any]:
    status, answer = server.get("/configs")
    assert status == 200
    return next(config for config in answer["configs"] if config["key"] == key)


def served_prompt(server: ServerProcess, key: str) -> dict[str, Any]:
    status, answer = server.get("/prompts")
    assert status == 200
    return next(prompt for prompt in answer["prompts"] if prompt["key"] == key)


def recorded_exposures(server: ServerProcess, key: str, *, count: int) -> set[tuple[str, int, str]]:
    """Return the exposures' session, version and model, as soon as there are ``count``, at the latest after 2 s."""
    query = f"SELECT session_id, config_version, assigned_model FROM exposures WHERE config_key = '{key}'"
    deadline = time.time() + VISIBLE_SECONDS_MAX
    while True:
        rows = server.sql(query)
        if len(rows) >= count or time.time() > deadline:
            return {(row["session_id"], row["config_version"], row["assigned_model"]) for row in rows}
        time.sleep(0.05)


def visible_by(deadline: float, truth: Any, measure: Callable[[], Any]) -> Any:
    """Return what is measured as soon as it is the truth, else the last of what was asked for before the deadline."""
    while True:
        seen = measure()
        if seen == truth or time.time() > deadline:
            return seen
        time.sleep(0.05)


def served(provider_url: str) -> dict[str, dict[str, int]]:
    """Return what the fake provider has counted, by requested model."""
    counts: dict[str, dict[str, int]] = httpx.get(f"{provider_url}/served", trust_env=False).json()
    return counts


def expected(
    models: dict[str, str], metrics: dict[str, dict[str, Any]], counts: dict[str, dict[str, int]]
) -> dict[str, float]:
    """Return what the results must say of each variant, from what the client and the provider know."""
    truth: dict[str, float] = {}
    for model, count in counts.items():
        values = [metrics[session_id] for session_id, assigned in models.items() if assigned == model]
        answered = count["calls"] - count["errors"]
        truth |= {
            f"{model} sessions": len(values),
            f"{model} calls": 2 * len(values),
            f"{model} error_rate": count["errors"] / count["calls"],
            f"{model} input_tokens": count["input_tokens"] / answered,
            f"{model} output_tokens": count["output_tokens"] / answered,
            f"{model} score": sum(value["score"] for value in values) / len(values),
            f"{model} solved": sum(value["solved"] for value in values) / len(values),
        }
    return truth


def measured(server: ServerProcess, key: str) -> dict[str, float]:
    """Return what the results say of each variant."""
    results = server.results(key)
    seen = {f"{variant['key']} {count}": variant[count] for variant in results["variants"] for count in COUNTS}
    for metric in results["metrics"]:
        if metric["estimand"] == MEANS.get(metric["name"]) and metric["statistic"] in ("mean", "ratio", "proportion"):
            seen |= {f"{variant['key']} {metric['name']}": variant["estimate"] for variant in metric["variants"]}
    return seen


def columns_of(client: Client) -> tuple[str, ...]:
    """Return the provider's counts that the client reports: 0.2.x drops cached tokens."""
    counts = ("calls", "errors", "input_tokens", "output_tokens")
    return (*counts, "cached_tokens") if client.traffic == "traffic_0_1.py" else counts


def sums_by_model(server: ServerProcess, key: str, client: Client) -> dict[str, dict[str, int]]:
    """Return the same sums over the stored spans."""
    rows = server.sql(
        "SELECT coalesce(request_model, response_model) AS model, count(*) AS calls,"
        " count(*) FILTER (status_code = 'error') AS errors, sum(input_tokens) AS input_tokens,"
        " sum(output_tokens) AS output_tokens, coalesce(sum(cache_read_tokens), 0) AS cached_tokens"
        f" FROM spans WHERE config_key = '{key}' GROUP BY ALL"
    )
    return {row["model"]: {name: int(row[name]) for name in columns_of(client)} for row in rows}


def fill(template: str, variables: dict[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: variables[found.group(1)], template)
