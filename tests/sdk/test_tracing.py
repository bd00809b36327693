"""Spans of an application reach a server with their session on them, whoever made the provider."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ServerProcess, environment

pytestmark = pytest.mark.e2e

OWN_PROVIDER = """
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
provider, exporter = TracerProvider(), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))
otel.set_tracer_provider(provider)
"""
CALL = """
import fallom, sys
from fallom.context import PromptTag, SessionContext, set_prompt_tag, use_session
from fallom.tracing import tracer
fallom.init(api_key="any", base_url=sys.argv[1])
with use_session(SessionContext("agent", "session-1", "user-1", {"plan": "pro"}, ["a", "b"])):
    set_prompt_tag(PromptTag("greeting", 3, "greetings", 1))
    with tracer().start_as_current_span("GET /db"):
        for _ in range(2):
            tracer().start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_call_has_its_session_and_its_prompt_once_and_is_sent_at_the_end_of_the_process(
    server: ServerProcess,
) -> None:
    run(CALL, server.url)
    server.wait_for("SELECT count(*) FROM spans", 3)
    rows = server.sql("SELECT * FROM spans ORDER BY start_time")
    assert {(row["config_key"], row["session_id"], row["customer_id"]) for row in rows} == {
        ("agent", "session-1", "user-1")
    }
    assert {json.loads(row["metadata"])["plan"] for row in rows} == {"pro"}
    assert [row["prompt_key"] for row in rows] == [None, "greeting", None]
    assert [row["prompt_variant_index"] for row in rows] == [None, 1, None]


def test_a_provider_that_is_there_is_joined_and_keeps_its_own_exporter(server: ServerProcess) -> None:
    after = """
with otel.get_tracer("database").start_as_current_span("SELECT"):
    pass
assert otel.get_tracer_provider() is provider
print([span.name for span in exporter.get_finished_spans()])
"""
    printed = run(OWN_PROVIDER + CALL + after, server.url)
    assert printed.strip() == str(["chat", "chat", "GET /db", "SELECT"])
    server.wait_for("SELECT count(*) FROM spans", 3)
    # What has no session, and is no call to a model, is not sent.
    assert server.sql("SELECT count(*) AS n FROM spans WHERE name = 'SELECT'")[0]["n"] == 0


def test_without_a_key_there_is_one_warning_and_nothing_else(tmp_path: Path) -> None:
    code = """
import fallom, logging
fallom.init()
from fallom.tracing import tracer
assert not tracer().start_span("chat").is_recording()
assert fallom.flush()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment() | {"HOME": str(tmp_path)}
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1), done.stderr
    assert "FALLOM_API_KEY" in done.stderr
