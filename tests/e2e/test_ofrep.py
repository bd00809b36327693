"""OpenFeature's remote evaluation: by its own provider, and by the protocol's description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_process import ClientProcess
from keyed_server import create_key
from server_process import ServerProcess

from fallom.assignment import assign
from storage.registry.api_keys import Rates

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the environment may have to be made first

FLAGS = "/ofrep/v1/evaluate/flags"
TARGETING = {
    "individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 2}],
    "rules": [{"conditions": [{"field": "plan", "operator": "in", "value": ["pro", "team"]}], "variantIndex": 1}],
}
VARIANTS = {
    "control": {"model": "a", "weight": 50},
    "fast": {"model": "b", "weight": 49.5},
    "rare": {"model": "c", "weight": 0.5},
}
REASONS = {"weight": "SPLIT", "rule": "TARGETING_MATCH", "individual_target": "TARGETING_MATCH"}


@pytest.fixture(scope="module")
def defined(shared_server: ServerProcess) -> ServerProcess:
    shared_server.define(
        {
            "configs": [
                {"key": "agent", "variants": VARIANTS, "targeting": TARGETING},
                {"key": "group/agent", "variants": [{"model": "custom:m", "weight": 100}]},
            ]
        }
    )
    return shared_server


@pytest.fixture(scope="module")
def provider(defined: ServerProcess) -> Iterator[ClientProcess]:
    with ClientProcess("openfeature", "ofrep_provider.py", {"url": defined.url, "api_key": "any"}) as process:
        yield process


def question(session_id: str | None = "s", flag: str = "agent", **context: Any) -> dict[str, Any]:
    return {"flag": flag, "default": "mine", "targeting_key": session_id, "context": context}


def sent(
    server: ServerProcess, body: object, path: str = f"{FLAGS}/agent", **headers: str
) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, answer = server.request("POST", path, raw, {name.replace("_", "-"): v for name, v in headers.items()})
    return status, json.loads(answer)


def test_the_provider_gets_what_a_client_works_out(defined: ServerProcess, provider: ClientProcess) -> None:
    config = next(config for config in defined.get("/configs")[1]["configs"] if config["key"] == "agent")
    contexts: list[dict[str, Any]] = [{}, {"plan": "pro"}, {"plan": "free"}, {"customerId": "vip"}]
    for number in range(40):
        name, context = f"session-{number}", contexts[number % 4]

        found = provider.ask(question(name, **context))

        expected = assign(config, name, context=context)
        assert (found["value"], found["variant"]) == (expected.model, expected.variant_key)
        assert found["reason"] == REASONS[expected.reason]
        assert found["metadata"] == {
            "version": 1,
            "variant_index": expected.variant_index,
            "reason": expected.reason,
            "recorded": True,
        }


@pytest.mark.parametrize(
    ("asked", "error_code"),
    [
        (question(flag="nowhere"), "FLAG_NOT_FOUND"),
        (question(None), "TARGETING_KEY_MISSING"),
        (question(""), "TARGETING_KEY_MISSING"),
    ],
)
def test_the_provider_gets_its_default_and_is_told_why(
    provider: ClientProcess, asked: dict[str, Any], error_code: str
) -> None:
    found = provider.ask(asked)

    assert (found["value"], found["reason"], found["error_code"]) == ("mine", "ERROR", error_code)


def test_a_key_with_a_slash_is_a_flag(provider: ClientProcess) -> None:
    assert provider.ask(question(flag="group/agent"))["value"] == "custom:m"


def test_a_context_that_no_rule_can_use_hurts_nobody(provider: ClientProcess) -> None:
    assert provider.ask(question(nested={"a": [1]}, nothing=None, many=[[1]], plan="pro"))["value"] == "b"


def test_an_evaluation_is_an_exposure_stored_once(defined: ServerProcess, provider: ClientProcess) -> None:
    for _ in range(3):
        provider.ask(question("exposed", customerId="u", plan="pro"))

    rows = defined.sql(
        "SELECT config_key, config_version, customer_id, assigned_model, variant_index, reason, source"
        " FROM exposures WHERE session_id = 'exposed'"
    )
    assert rows == [
        {
            "config_key": "agent",
            "config_version": 1,
            "customer_id": "u",
            "assigned_model": "b",
            "variant_index": 1,
            "reason": "rule",
            "source": "ofrep",
        }
    ]


def test_an_evaluation_need_not_be_stored(defined: ServerProcess) -> None:
    status, answer = sent(defined, {"context": {"targetingKey": "unseen"}}, X_Fallom_Record="false")

    assert (status, answer["metadata"]["recorded"]) == (200, False)
    assert defined.sql("SELECT count(*) AS n FROM exposures WHERE session_id = 'unseen'") == [{"n": 0}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        ({}, "TARGETING_KEY_MISSING"),
        ({"context": {}}, "TARGETING_KEY_MISSING"),
        ({"context": []}, "INVALID_CONTEXT"),
        ({"context": {"targetingKey": 7}}, "INVALID_CONTEXT"),
    ],
)
@pytest.mark.parametrize("path", [f"{FLAGS}/agent", FLAGS])
def test_a_wrong_request_is_refused_in_the_protocols_form(
    defined: ServerProcess, path: str, body: object, code: str
) -> None:
    status, answer = sent(defined, body, path)

    assert (status, answer["errorCode"]) == (400, code)
    assert answer["errorDetails"]
    assert answer.get("key") == ("agent" if path != FLAGS else None)


@pytest.mark.parametrize("path", [f"{FLAGS}/agent", FLAGS])
def test_a_body_that_is_too_large_is_refused(defined: ServerProcess, path: str) -> None:
    assert sent(defined, {"context": {"targetingKey": "x" * 300_000}}, path)[0] == 413


def test_the_bulk_call_evaluates_all_flags_and_stores_nothing(defined: ServerProcess) -> None:
    status, answer = sent(defined, {"context": {"targetingKey": "bulk", "plan": "team"}}, FLAGS)

    assert status == 200
    flags = {flag["key"]: flag for flag in answer["flags"]}
    assert flags.keys() == {"agent", "group/agent"}
    assert (flags["agent"]["value"], flags["agent"]["reason"]) == ("b", "TARGETING_MATCH")
    assert defined.sql("SELECT count(*) AS n FROM exposures WHERE session_id = 'bulk'") == [{"n": 0}]


def test_the_bulk_answer_has_an_etag_that_changes_with_the_answer(server: ServerProcess) -> None:
    def ask(session_id: str, **headers: str) -> tuple[int, str, bytes]:
        body = json.dumps({"context": {"targetingKey": session_id}}).encode()
        status, found, answer = server.request("POST", FLAGS, body, headers)
        return status, found["etag"], answer

    define = [{"configs": [{"key": "c", "variants": [{"model": model, "weight": 1}]}]} for model in "ab"]
    server.define(define[0])
    _, etag, _ = ask("s")

    assert ask("s", **{"If-None-Match": etag}) == (304, etag, b"")
    assert ask("s", **{"If-None-Match": f'"other", W/{etag}'})[0] == 304
    assert ask("s", **{"If-None-Match": '"other"'})[0] == 200
    server.define(define[1])
    status, changed, _ = ask("s", **{"If-None-Match": etag})
    assert (status, changed != etag) == (200, True)


def test_a_key_is_needed_and_its_spent_rate_is_told_as_the_protocol_has_it(tmp_path: Path) -> None:
    key = create_key(tmp_path / "data", "web", "admin")
    slow = create_key(tmp_path / "data", "web", rates=Rates(1, 0))
    server = ServerProcess(tmp_path / "data").start()
    try:
        body = {"context": {"targetingKey": "s"}}
        define = {"configs": [{"key": "agent", "variants": [{"model": "m", "weight": 1}]}]}
        server.request(
            "POST",
            "/apply",
            json.dumps(define).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        statuses = [sent(server, body, Authorization=f"Bearer {slow}")[0] for _ in range(10)]

        assert sent(server, body)[0] == 401
        assert sent(server, body, X_API_Key=key)[0] == 200
        assert statuses[0] == 200
        assert set(statuses[1:]) <= {200, 429}
        assert 429 in statuses
        with ClientProcess("openfeature", "ofrep_provider.py", {"url": server.url, "api_key": slow}) as process:
            answers = [process.ask(question()) for _ in range(6)]
        assert {answer["value"] for answer in answers} <= {"m", "mine"}
        assert answers[-1]["error_code"] == "GENERAL"
    finally:
        server.stop()
