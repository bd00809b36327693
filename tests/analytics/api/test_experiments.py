"""Experiments over the management API: declared, held to their start, ended with a decision, and exported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from registry_documents import config, prompt, prompt_test

from analytics.api import errors, experiment_end, management, registry
from analytics.experiments.arms import prompt_experiment_of
from storage.registry.registry import Registry
from storage.registry.resources import ConfigVersion

PATH = "/api/experiments/cheaper"


@pytest.fixture
def client(registry_url: str) -> Iterator[TestClient]:
    opened = Registry(registry_url)
    app = FastAPI()
    app.include_router(experiment_end.router(opened))
    app.include_router(management.router(opened))
    app.include_router(registry.router(opened))
    errors.install(app)
    with TestClient(app) as client:
        client.put("/api/configs/summarizer", json=config())
        yield client
    opened.close()


def experiment(**fields: Any) -> dict[str, Any]:
    return {"key": "cheaper", "config": "summarizer", "control": "a", **fields}


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def message(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def test_an_experiment_is_declared_changed_rolled_back_and_archived(client: TestClient) -> None:
    first = client.put(PATH, json=experiment(), params={"note": "costs"})
    second = client.put(PATH, json=experiment(alpha=0.01), headers={"If-Match": first.headers["ETag"]})
    stale = client.put(PATH, json=experiment(alpha=0.02), headers={"If-Match": first.headers["ETag"]})
    back = client.post(f"{PATH}/rollback", json={"version": 1})

    assert [answer.json().get("action") for answer in (first, second, back)] == ["created", "updated", "updated"]
    assert (stale.status_code, stale.json()["current"]["version"]) == (412, 2)
    assert "alpha: changed after the start" in second.json()["warnings"][0]
    change = client.get(f"{PATH}/versions/2").json()["differences"]
    assert change == [{"path": "alpha", "change": "added", "after": 0.01}]
    assert client.post(f"{PATH}/archive", json={}).status_code == 200
    assert client.get("/api/experiments").json()["resources"] == []
    assert client.get("/api/export").json()["experiments"] == []
    assert client.put(PATH, json=experiment()).status_code == 409


def test_what_is_looked_at_must_be_there(client: TestClient) -> None:
    client.post(
        "/apply", json={"prompts": [prompt()], "prompt_ab_tests": [prompt_test(prompt_key="welcome", weight=1)]}
    )

    assert message(client.put(PATH, json=experiment(control="c"))) == (
        "control: no variant 'c' in the config 'summarizer': there are 'a', 'b'"
    )
    assert "unknown config 'other': define it" in message(client.put(PATH, json=experiment(config="other")))
    assert "looks at the config of its own key" in message(client.put(PATH, json={"key": "cheaper"}))
    assert "write prompt_ab_test: welcome-test" in message(client.put(PATH, json=experiment(config="welcome-test")))
    tested = {"prompt_ab_test": "welcome-test", "control": "welcome"}
    assert client.put(PATH, json=tested).status_code == 200
    assert "there are 'welcome'" in message(client.put(PATH, json=tested | {"control": "w"}))


def test_a_prompt_of_a_fixed_version_is_named_as_the_results_name_it(client: TestClient) -> None:
    test = prompt_test(prompt_key="welcome", prompt_version=1)
    client.post("/apply", json={"prompts": [prompt()], "prompt_ab_tests": [test]})
    tested = {"prompt_ab_test": "welcome-test", "control": "welcome@1"}

    made = prompt_experiment_of("welcome-test", [ConfigVersion(1, datetime.now(UTC), test)])

    assert made is not None
    assert [arm.key for arm in made.arms] == ["welcome@1"]
    assert client.put(PATH, json=tested).status_code == 200
    assert "there are 'welcome@1'" in message(client.put(PATH, json=tested | {"control": "welcome"}))


def test_a_document_may_define_both(client: TestClient) -> None:
    given = {"experiments": [{"key": "new", "control": "b"}], "configs": [config("new")]}
    wrong = {"experiments": [experiment(control="x"), {"key": "y"}], "configs": [config("z")]}

    assert [change["kind"] for change in client.post("/apply", json=given).json()["changes"]] == [
        "config",
        "experiment",
    ]
    control, unknown = message(client.post("/apply", json=wrong)).splitlines()
    assert control == "experiments[0].control: no variant 'x' in the config 'summarizer': there are 'a', 'b'"
    assert unknown.startswith("experiments[1].config: unknown config 'y': an experiment looks at the config of its own")
    assert client.get("/api/configs/z").status_code == 404


def test_what_the_sequences_rest_on_holds_once_it_runs(client: TestClient) -> None:
    client.put("/api/configs/other", json=config("other"))
    planned = experiment(start=in_days(1), n_star=100)
    assert client.put(PATH, json=planned).status_code == 200
    assert client.put(PATH, json=planned | {"n_star": 200}).status_code == 200
    assert client.put(PATH, json=planned | {"n_star": 300, "start": in_days(-1)}).status_code == 200

    assert "(was 300): declare another experiment" in message(client.put(PATH, json=experiment(n_star=400)))
    assert "(was 300)" in message(client.post(f"{PATH}/rollback", json={"version": 1}))
    assert "(was the config 'summarizer')" in message(client.put(PATH, json=experiment(n_star=300, config="other")))


def test_the_end_is_kept_with_its_decision(client: TestClient) -> None:
    client.put(PATH, json=experiment())
    tag = client.get(PATH).headers["ETag"]

    body = {"action": "ship", "variant": "b", "reason": "cheaper", "learnt": "small is enough", "conclude": True}
    ended = client.post(f"{PATH}/end", json=body, headers={"If-Match": tag})

    assert ended.status_code == 200, ended.text
    found = client.get(PATH).json()
    decision = found["body"]["decision"]
    assert found["body"]["status"] == "ended"
    assert found["note"] == "ended: ship"
    assert {name: decision[name] for name in ("action", "variant", "reason", "learnt", "by")} == {
        "action": "ship",
        "variant": "b",
        "reason": "cheaper",
        "learnt": "small is enough",
        "by": "local",
    }
    assert abs(datetime.fromisoformat(found["body"]["ended_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    weights = [variant["weight"] for variant in client.get("/api/configs/summarizer").json()["body"]["variants"]]
    assert weights == [0, 100]
    assert "ended at" in message(client.post(f"{PATH}/end", json=body), 409)


def test_a_file_of_before_does_not_undo_the_end_and_a_roll_back_does(client: TestClient) -> None:
    client.put(PATH, json=experiment(status="running"))
    client.post(f"{PATH}/end", json={"action": "no_difference"})

    again = client.put(PATH, json=experiment(status="running"))

    assert again.json()["action"] == "unchanged"
    assert "a roll-back opens it again" in again.json()["warnings"][0]
    assert client.put(PATH, json=experiment(notes="later")).json()["version"] == 3
    assert client.get(PATH).json()["body"]["decision"]["action"] == "no_difference"
    assert client.post(f"{PATH}/rollback", json={"version": 1}).status_code == 200
    assert client.get(PATH).json()["body"] == experiment(status="running")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"action": "ship"}, "variant: is required to ship"),
        ({"action": "ship", "variant": "x"}, "decision.variant: no variant 'x' in the config 'summarizer'"),
        ({"action": "no_difference", "conclude": True}, "conclude: needs the action ship or rollback"),
        ({"action": "ship", "variant": "b", "ended_at": "2999-01-01T00:00:00Z"}, "ended_at: must not be in the future"),
        ({"action": "ship", "variant": "b", "reson": ""}, "reson: unknown key, did you mean 'reason'?"),
        ({}, "action: is required"),
    ],
)
def test_an_end_that_can_t_be_meant_so_changes_nothing(client: TestClient, body: dict[str, Any], problem: str) -> None:
    client.put(PATH, json=experiment())

    assert message(client.post(f"{PATH}/end", json=body)).startswith(problem)

    assert client.get(PATH).json()["version"] == 1
    assert client.get("/api/configs/summarizer").json()["version"] == 1


def test_one_that_has_not_begun_is_not_ended(client: TestClient) -> None:
    client.put(PATH, json=experiment(start=in_days(1)))

    assert "has not begun: archive it" in message(client.post(f"{PATH}/end", json={"action": "invalid"}))


def test_a_roll_back_to_the_control_concludes_with_it(client: TestClient) -> None:
    client.put(PATH, json=experiment(control="b"))

    client.post(f"{PATH}/end", json={"action": "rollback", "conclude": True})

    assert client.get(PATH).json()["body"]["decision"]["variant"] == "b"
    weights = [variant["weight"] for variant in client.get("/api/configs/summarizer").json()["body"]["variants"]]
    assert weights == [0, 100]


def test_a_config_under_test_is_not_archived_before_the_end(client: TestClient) -> None:
    client.put(PATH, json=experiment())
    assert "used by the experiment 'cheaper'" in message(client.post("/api/configs/summarizer/archive", json={}), 409)

    client.post(f"{PATH}/end", json={"action": "inconclusive"})
    assert client.post("/api/configs/summarizer/archive", json={}).status_code == 200

    # The record goes elsewhere without its config.
    exported = client.get("/api/export").json()
    assert exported["configs"] == []
    assert {change["action"] for change in client.post("/apply", json=exported).json()["changes"]} == {"unchanged"}


def test_a_config_that_loses_a_control_is_told_so(client: TestClient) -> None:
    client.put(PATH, json=experiment())
    without = {"key": "summarizer", "variants": [{"model": "b", "weight": 1}]}

    (changed,) = client.post("/apply", json={"configs": [without]}).json()["changes"]

    assert "'a' is not there, the control of the experiment 'cheaper'" in changed["warnings"][0]


def test_a_name_that_is_nearly_a_measured_one_is_told(client: TestClient) -> None:
    made = client.put(PATH, json=experiment(metrics=[{"name": "latency", "role": "primary"}]))

    assert made.json()["warnings"] == [
        "metrics[0].name: 'latency' is taken for a custom metric: was 'latency_ms' meant?"
    ]


def test_a_draft_of_an_experiment_holds_from_its_publication_on(client: TestClient) -> None:
    assert client.put(f"{PATH}/draft", json=experiment()).status_code == 200
    assert client.get(PATH).status_code == 404

    assert client.post(f"{PATH}/publish", json={}).status_code == 200

    assert client.get(PATH).json()["body"] == experiment()


def test_keys_leave_room_for_the_end(client: TestClient) -> None:
    document = {"experiments": [{"key": "a/end", "config": "summarizer"}], "configs": [config("week/end")]}

    assert message(client.post("/apply", json=document)) == (
        "experiments[0].key: must not end in /end: under /api/ that is the end of experiment 'a'; got 'a/end'"
    )
    assert client.post("/apply", json=document | {"experiments": []}).status_code == 200


def test_one_whose_config_is_gone_is_not_put_back(client: TestClient) -> None:
    client.put(PATH, json=experiment())
    client.post(f"{PATH}/archive", json={})
    assert client.post("/api/configs/summarizer/archive", json={}).status_code == 200

    assert "config 'summarizer' is archived: restore it first" in message(client.post(f"{PATH}/restore", json={}))

    client.post("/api/configs/summarizer/restore", json={})
    assert client.post(f"{PATH}/restore", json={}).status_code == 200
