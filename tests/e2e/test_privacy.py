"""Privacy before the disk: of what a policy forbids no byte is under the data directory, in the log or in the lake."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from client_messages import key_values
from collector_inputs import flat_trace
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from server_process import COMMAND, ServerProcess, environment

from schemas.dialects import DIALECTS, FAMILIES

pytestmark = pytest.mark.e2e

SAID = "xq7said9z"
MAIL = "xq7.mail@example.com"
DENIED = "xq7denied9z"
POLICY = {
    "content": "drop",
    "content_attributes": ["acme.said"],
    "redact": ["email"],
    "patterns": {"badge": r"\bXQ7-[0-9]{3}\b"},
    "deny": ["acme.secret.*", "http.request.header.authorization"],
}
SECRETS = (SAID, MAIL, "xq7.mail", DENIED, "XQ7-123")
TEXT = f"mail {MAIL}, badge\nXQ7-123"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(
        tmp_path / "data", "--privacy", json.dumps({"default": POLICY}), "--flush-interval-s", "3600"
    )
    yield server
    server.stop()


def spans() -> ExportTraceServiceRequest:
    """Return a span for each dialect, and the secrets wherever each may stand."""
    request = ExportTraceServiceRequest()
    denied = {"acme.secret.a": DENIED, "acme.secret.b": [DENIED], "http.request.header.authorization": DENIED}
    for number, dialect in enumerate(DIALECTS, 1):
        content = {source.key: SAID for source in dialect.sources if source.column in ("input", "output")}
        families = {f"{family.prefix}0.content": SAID for family in FAMILIES}
        others = {source.key: TEXT for source in dialect.sources if not source.key.startswith("x-")}
        attributes = {**others, **families, **content, **denied, "acme.said": SAID, "deep": {"a": [{TEXT: TEXT}]}}
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.extend(key_values({"service.name": TEXT, "host": TEXT, **denied}))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = dialect.scope or TEXT
        scope_spans.scope.attributes.extend(key_values({"a": TEXT, **denied}))
        message = Span.Event(name="gen_ai.user.message", attributes=key_values({"content": SAID}))
        failure = Span.Event(name=TEXT, attributes=key_values({"exception.message": TEXT, **denied}))
        link = Span.Link(trace_id=b"1" * 16, span_id=b"1" * 8, attributes=key_values({"a": TEXT, **denied}))
        span = scope_spans.spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8, "big"),
            name=TEXT,
            trace_state=TEXT,
            start_time_unix_nano=1_795_262_400_000_000_000,
            end_time_unix_nano=1_795_262_401_000_000_000,
            attributes=key_values(attributes),
            events=[message, failure],
            links=[link],
        )
        span.status.message = TEXT
    return request


def in_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    document = MessageToDict(request)
    for number, resource_spans in enumerate(document["resourceSpans"], 1):
        (span,) = resource_spans["scopeSpans"][0]["spans"]
        span |= {"traceId": "ab" * 16, "spanId": f"{number:016x}"}
        span["links"][0] |= {"traceId": "cd" * 16, "spanId": "ef" * 8}
    return document


def flat() -> dict[str, Any]:
    raw = {
        "fallom.raw.request": json.dumps({"messages": [{"content": SAID}]}),
        "fallom.raw.response": json.dumps({"text": SAID}),
    }
    texts = dict.fromkeys(("config_key", "session_id", "customer_id", "name", "model", "error_message"), TEXT)
    return flat_trace(**texts, attributes={**raw, "a": TEXT, "acme.secret": 1, "acme.secret.x": DENIED}, tags=[TEXT])


def log_records() -> list[dict[str, Any]]:
    """Return a message, a flag's evaluation and an evaluation's result, as OTLP logs have them."""
    ids = {"traceId": "ab" * 16, "spanId": "12" * 8, "timeUnixNano": "1795262400000000000"}

    def record(name: str, body: str, attributes: dict[str, str]) -> dict[str, Any]:
        pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
        return {**ids, "eventName": name, "body": {"stringValue": body}, "attributes": pairs}

    who = {"session.id": TEXT, "user.id": MAIL, "fallom.config_key": "agent"}
    flag = {"feature_flag.key": "agent", "feature_flag.version": "1", "feature_flag.result.variant": TEXT}
    result = {
        "gen_ai.evaluation.name": TEXT,
        "gen_ai.evaluation.score.label": TEXT,
        "gen_ai.evaluation.explanation": SAID,
    }
    return [
        record("gen_ai.user.message", SAID, {**who, "gen_ai.input.messages": SAID, "acme.secret.x": DENIED, "a": TEXT}),
        record("feature_flag.evaluation", SAID, {**who, **flag, "feature_flag.context.id": TEXT}),
        record("gen_ai.evaluation.result", SAID, {**who, **result}),
    ]


def send_all(server: ServerProcess) -> None:
    request = spans()
    status, _, body = server.request(
        "POST", "/v1/traces", request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
    )
    assert (status, body) == (200, b"")
    for content in (in_json(request), flat()):
        assert server.post("/v1/traces", content)[0] == 200
    for record in log_records():
        document = {"resourceLogs": [{"scopeLogs": [{"scope": {"name": TEXT}, "logRecords": [record]}]}]}
        assert server.post("/v1/logs", document)[0] == 200
    metric = {"config_key": TEXT, "session_id": TEXT, "data": {"feedback": TEXT, "score": 5}}
    assert server.post("/spans", metric)[0] == 200
    server.define({"configs": [{"key": "agent", "variants": [{"model": "m", "weight": 100}]}]})
    exposure = {"config_key": "agent", "config_version": 1, "session_id": TEXT, "customer_id": MAIL}
    assert server.post("/sessions", {**exposure, "assigned_model": "m", "reason": TEXT})[0] == 200


def stored(data_dir: Path) -> str:
    """Return all that is under the data directory, as it stands and decompressed, as one text."""
    found = []
    for path in data_dir.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1"))
            if path.suffix == ".parquet":
                found.append(str(pq.ParquetFile(path).read().to_pylist()))
    return "\n".join(found)


def test_what_is_redacted_is_in_no_byte_of_log_or_lake(server: ServerProcess) -> None:
    server.start()
    send_all(server)
    for table, rows in (("spans", 2 * len(DIALECTS) + 2), ("metrics", 3), ("exposures", 2)):
        server.wait_for(f"SELECT count(*) FROM {table}", rows)
    assert server.segments()
    server.kill()
    in_log = stored(server.data_dir)

    server.start()
    server.terminate()
    in_lake = stored(server.data_dir)

    assert "[email]" in in_log
    assert not server.segments()
    assert "[email]" in in_lake
    for secret in SECRETS:
        assert secret not in in_log
        assert secret not in in_lake
        assert secret not in server.log()


def test_a_trace_is_whole_but_for_what_was_redacted_and_a_retry_is_stored_once(server: ServerProcess) -> None:
    server.start()
    for _ in range(2):
        send_all(server)

    answer = server.get(f"/traces/{(b't' * 16).hex()}")[1]

    assert len(answer["spans"] if isinstance(answer, dict) else answer) == len(DIALECTS)
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 2 * len(DIALECTS) + 2}]
    sessions = (
        "SELECT count(DISTINCT session_id) AS n FROM (SELECT session_id FROM {} UNION ALL SELECT session_id FROM {})"
    )
    assert server.sql(sessions.format("metrics", "exposures")) == [{"n": 1}]


def test_a_customer_whose_id_is_redacted_can_be_forgotten_by_it(server: ServerProcess) -> None:
    server.start()
    trace = flat_trace(customer_id=MAIL)
    assert server.post("/v1/traces", trace)[0] == 200
    (row,) = server.sql("SELECT customer_id FROM spans")
    assert row["customer_id"].startswith("[email:")

    done = subprocess.run(
        [COMMAND, "forget", "--customer", MAIL, "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )

    assert done.returncode == 0, done.stderr
    assert ["spans", 1] in json.loads(done.stdout)["rows"]
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 0}]


def forget(data_dir: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "forget", "--customer", MAIL, "--data-dir", data_dir, "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )


def test_without_a_server_too_where_the_policy_is_named(tmp_path: Path) -> None:
    config = tmp_path / "fallom.toml"
    config.write_text('[privacy.default]\nredact = ["email"]\n')
    server = ServerProcess(tmp_path / "data", "--config", str(config)).start()
    assert server.post("/v1/traces", flat_trace(customer_id=MAIL))[0] == 200
    server.kill()

    without = forget(server.data_dir)
    key = (server.data_dir / "privacy.key").rename(tmp_path / "key")
    keyless = forget(server.data_dir, "--config", config)
    config.write_text(f'privacy_key_file = "{key}"\n{config.read_text()}')
    done = forget(server.data_dir, "--config", config)

    assert ["spans", 0] in json.loads(without.stdout)["rows"]
    assert "name the server's settings by --config" in without.stderr
    assert (keyless.returncode, "without the key that they were made with" in keyless.stderr) == (1, True)
    assert not (server.data_dir / "privacy.key").exists()
    assert done.returncode == 0, done.stderr
    assert ["spans", 1] in json.loads(done.stdout)["rows"]
    server = ServerProcess(server.data_dir, "--config", str(config)).start()
    try:
        assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 0}]
    finally:
        server.stop()


def test_a_policy_that_can_t_be_meant_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "fallom.toml").write_text('[privacy.default]\nredact = ["e-mail"]\n')

    done = subprocess.run(
        [COMMAND, "serve", "--config", tmp_path / "fallom.toml", "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
    )

    assert done.returncode == 2
    assert "privacy.default.redact: no such pattern: got 'e-mail' (did you mean 'email'?)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
