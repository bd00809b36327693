"""The SDK against a real server, as the seeds show it."""

import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ServerProcess, environment

import fallom
from fallom import models, prompts, trace
from fallom.tracing import tracer

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("sdk")]

RULE = {"conditions": [{"field": "plan", "operator": "in", "value": ["enterprise"]}], "variantIndex": 1}
DOCUMENT = {
    "configs": [
        {"key": "my-agent", "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "gpt-4o-mini", "weight": 50}]},
        {
            "key": "team/salted",
            "hash_version": 2,
            "traffic": 60,
            "variants": {"control": {"model": "a", "weight": 30}, "new": {"model": "b", "weight": 70}},
            "targeting": {"rules": [RULE]},
        },
    ],
    "prompts": [{"key": "greeting", "system_prompt": "Be {{mood}}.", "user_template": "Hi"}],
    "prompt_ab_tests": [{"key": "greetings", "variants": [{"prompt_key": "greeting", "weight": 100}]}],
}


@pytest.fixture
def began(sdk: None, shared_server: ServerProcess) -> ServerProcess:
    shared_server.define(DOCUMENT)
    assert fallom.init(api_key="any", base_url=shared_server.url, wait_s=30)
    return shared_server


def test_the_server_recomputes_what_was_assigned(began: ServerProcess) -> None:
    for number in range(300):
        models.get("my-agent", f"session-{number}", fallback="mine")
        context = {"plan": "enterprise"} if number % 3 == 0 else None
        models.get("team/salted", f"session-{number}", customer_id="ann" if number % 2 else None, context=context)
    models.get("my-agent", "fell-back", version=99, fallback="mine")
    assert fallom.flush(60)
    rows = began.sql("SELECT * FROM exposures")
    recomputed = [row for row in rows if row["reason"] not in ("fallback", "rule")]
    assert len({(row["config_key"], row["session_id"]) for row in rows}) == 601
    assert all(row["assigned_model"] == row["computed_model"] for row in recomputed)
    assert all(row["variant_index"] == row["computed_variant_index"] for row in recomputed)
    assert {row["reason"] for row in rows} == {"weight", "rule", "outside_traffic", "fallback"}
    assert {row["config_key"] for row in rows if row["assigned_model"] == "mine"} == {"my-agent"}


def test_a_version_is_pinned_in_a_key_with_a_slash(began: ServerProcess) -> None:
    changed = {"key": "team/salted", "variants": {"only": {"model": "z", "weight": 1}}}
    began.define({"configs": [changed]})
    fallom.init(api_key="any", base_url=began.url, wait_s=30, cache_dir="off")
    assert models.get("team/salted", "s") == "z"
    models.get("team/salted", "s", version=1, fallback="mine")
    found = None
    while found in (None, "mine"):
        found = models.get("team/salted", "s", version=1, fallback="mine")
    assert found in ("a", "b")


def test_metrics_and_calls_are_of_their_session_and_prompt(began: ServerProcess) -> None:
    trace.set_session("my-agent", "talk", customer_id="ann")
    prompt = prompts.get_ab("greetings", "talk", variables={"mood": "kind"})
    assert prompt.system == "Be kind."
    tracer().start_span("chat gpt-4o", attributes={"gen_ai.operation.name": "chat"}).end()
    trace.span({"score": 0.8, "converted": True, "grade": "b"})
    trace.span({"score": 0.9}, config_key="my-agent", session_id="talk")
    assert fallom.flush(60)
    began.wait_for("SELECT count(*) FROM metrics WHERE session_id = 'talk'", 3)
    found = began.sql("SELECT value_double FROM metrics WHERE session_id = 'talk' AND name = 'score'")
    assert [row["value_double"] for row in found] == [0.9]
    (span,) = began.sql("SELECT * FROM spans WHERE session_id = 'talk'")
    assert (span["customer_id"], span["prompt_key"], span["prompt_ab_test_key"]) == ("ann", "greeting", "greetings")


def test_a_batch_job_that_ends_at_once_loses_nothing(shared_server: ServerProcess, tmp_path: Path) -> None:
    code = """
import sys
from fallom import models, trace
import fallom
fallom.init(api_key="any", base_url=sys.argv[1], cache_dir="off")
for number in range(100):
    trace.span({"score": number}, config_key="job", session_id=f"job-{number}")
"""
    command = [sys.executable, "-c", code, shared_server.url]
    subprocess.run(command, check=True, env=environment(), timeout=100, cwd=tmp_path)
    shared_server.wait_for("SELECT count(*) FROM metrics WHERE config_key = 'job'", 100)
