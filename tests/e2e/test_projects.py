"""Project A sees nothing of project B: no row, config, prompt, result or removal, over API and SQL, hot and committed.

Both have the same ids and keys of everything, and all texts of B hold a mark: no answer that A gets may hold it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from client_messages import (
    PROTOBUF,
    export_bytes,
    export_request,
    exposure,
    flat_trace,
    grpc_channel,
    key_values,
    metrics,
    span,
)
from keyed_server import Client, create_key
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from registry_documents import config, prompt
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

MARK = "belongs-to-b"
TRACE_ID, SPAN_ID = bytes(range(1, 17)), bytes(range(1, 9))
COUNTS = """
    SELECT (SELECT count(*) FROM spans WHERE session_id = 'session'),
        (SELECT count(*) FROM metrics WHERE session_id = 'session'),
        (SELECT count(*) FROM exposures WHERE session_id = 'session'),
        (SELECT sum(calls) FROM session_rollup WHERE session_id = 'session')
"""
# An OTLP span over HTTP, one over gRPC, a flat trace; two metrics; an exposure; three calls.
EXPECTED = [[3, 2, 1, 3]]


@dataclass
class Two:
    """A server, and a client of each project with all scopes."""

    server: ServerProcess
    a: Client
    b: Client


def document(mark: str) -> dict[str, Any]:
    variants = [{"model": f"model-1-{mark}", "weight": 50}, {"model": f"model-2-{mark}", "weight": 50}]
    keys = ["shared", f"only-{mark}"]
    return {
        "configs": [{"key": key, "variants": variants} for key in keys],
        "prompts": [prompt(key, f"Hello {mark}") for key in keys],
        "prompt_ab_tests": [{"key": key, "variants": [{"prompt_key": key, "weight": 1}]} for key in keys],
    }


def otlp(name: str, mark: str, span_id: bytes) -> bytes:
    attributes = {
        "fallom.config_key": "shared",
        "fallom.session_id": "session",
        "fallom.customer_id": "customer",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": f"model-1-{mark}",
        "secret": mark,
    }
    sent = span(
        f"{name} {mark}", attributes, trace_id=TRACE_ID, span_id=span_id, start_time_unix_nano=1_780_000_000_000_000_000
    )
    return export_request([sent], resource={"service.name": mark}).SerializeToString()


def fill(server: ServerProcess, client: Client, mark: str) -> None:
    """Send one of everything, under ids that the other project has too."""
    client.post("/apply", document(mark))
    client.ask("POST", "/v1/traces", content=otlp("http", mark, SPAN_ID), headers=PROTOBUF).raise_for_status()
    with grpc_channel(server.grpc) as channel:
        export_bytes(channel, otlp("grpc", mark, SPAN_ID[::-1]), metadata=(("authorization", f"Bearer {client.key}"),))
    flat = flat_trace("shared", "session", customer_id="customer", model=f"model-1-{mark}", attributes={"secret": mark})
    client.post("/v1/traces", flat)
    client.post("/spans", metrics("shared", "session", score=1, text=mark))
    client.post("/sessions", exposure("shared", "session", f"model-1-{mark}"))


@pytest.fixture(scope="module", params=["hot", "committed", "after a crash"])
def two(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Two]:
    """Shared by the tests, which keep to sessions and keys of their own where they change something."""
    data_dir = tmp_path_factory.mktemp("two") / "data"
    key_a, key_b = (create_key(data_dir, project, "admin") for project in ("a", "b"))
    flush_s = "0.2" if request.param == "committed" else "3600"
    server = ServerProcess(data_dir, "--flush-interval-s", flush_s).start()
    parts = Two(server, Client(server, key_a), Client(server, key_b))
    fill(server, parts.a, "belongs-to-a")
    fill(server, parts.b, MARK)
    if request.param == "committed":
        server.wait_for_commit()
    if request.param == "after a crash":
        server.kill()
        server.start()
        parts = Two(server, Client(server, key_a), Client(server, key_b))
    yield parts
    parts.a.close()
    parts.b.close()
    server.stop()


def test_no_answer_to_one_project_holds_anything_of_the_other(two: Two) -> None:
    paths = (
        "/configs",
        "/configs/shared/version/1",
        "/prompts",
        "/prompt-ab-tests",
        "/experiments",
        "/experiments/shared/results",
        "/experiments/nothing/results",
        f"/traces/{TRACE_ID.hex()}",
    )
    for path in paths:
        mine, theirs = two.a.ask("GET", path), two.b.ask("GET", path)
        assert mine.status_code == theirs.status_code, path
        assert MARK not in mine.text, path
        assert "belongs-to-a" not in theirs.text, path
        # Else the test would see nothing where it looks.
        assert MARK in theirs.text, path


def test_sql_sees_one_projects_rows_in_every_table(two: Two) -> None:
    for client, project, mark in ((two.a, "a", "belongs-to-a"), (two.b, "b", MARK)):
        assert client.sql(COUNTS) == EXPECTED
        for table in ("spans", "metrics", "exposures", "session_rollup"):
            assert client.sql(f"SELECT DISTINCT project FROM {table}") == [[project]]
        assert client.sql(f"SELECT DISTINCT service_name FROM spans WHERE trace_id = '{TRACE_ID.hex()}'") == [[mark]]
        assert client.sql("SELECT value_string FROM metrics WHERE name = 'text'") == [[mark]]


def test_the_results_of_a_shared_key_are_of_the_callers_sessions(two: Two) -> None:
    for client, mark in ((two.a, "belongs-to-a"), (two.b, MARK)):
        text = client.ask("GET", "/experiments/shared/results").text
        assert f"model-1-{mark}" in text
        (experiment,) = [found for found in client.get("/experiments")["experiments"] if found["key"] == "shared"]
        assert (experiment["sessions"], experiment["config_version"]) == (1, 1)


def test_a_config_of_the_other_project_is_not_known(two: Two) -> None:
    theirs = f"only-{MARK}"

    assert two.a.ask("GET", f"/configs/{theirs}/version/1").status_code == 404
    assert two.a.ask("GET", f"/experiments/{theirs}/results").status_code == 404
    assert two.a.ask("POST", "/sessions", json=exposure(theirs, "s", f"model-1-{MARK}")).status_code == 404
    assert two.b.ask("POST", "/sessions", json=exposure(theirs, "s", f"model-1-{MARK}")).status_code == 200


def test_a_prompt_of_the_other_project_can_not_be_tested(two: Two) -> None:
    test = {"prompt_ab_tests": [{"key": "t", "variants": [{"prompt_key": f"only-{MARK}", "weight": 1}]}]}

    refused = two.a.ask("POST", "/apply", json=test)

    assert refused.status_code == 400
    assert "unknown prompt" in refused.text
    assert two.b.ask("POST", "/apply", json=test).status_code == 200


def test_a_change_of_one_project_makes_no_version_in_the_other(two: Two) -> None:
    for client in (two.a, two.b):
        client.post("/apply", {"configs": [config("changed", 50)]})
    before = two.b.get("/configs")

    (change,) = two.a.post("/apply", {"configs": [config("changed", 10)]})["changes"]

    assert (change["action"], change["version"]) == ("updated", 2)
    assert two.b.get("/configs") == before
    assert two.b.ask("GET", "/configs/changed/version/2").status_code == 404


def test_what_both_projects_sent_alike_is_no_duplicate(two: Two) -> None:
    for client in (two.a, two.b):
        body = otlp("again", "same", bytes(8 * [7]))
        for _ in range(2):
            client.ask("POST", "/v1/traces", content=body, headers=PROTOBUF).raise_for_status()

        assert client.sql("SELECT count(*) FROM spans WHERE name = 'again same'") == [[1]]


def test_forgetting_a_customer_of_one_project_leaves_that_of_the_other(two: Two) -> None:
    left = "SELECT count(*) FROM spans WHERE customer_id = 'leaver'"
    for client in (two.a, two.b):
        client.post("/v1/traces", flat_trace("shared", "last session", customer_id="leaver"))

    job = two.a.post("/customers/forget", {"customer_id": "leaver"})
    theirs = two.b.ask("GET", f"/customers/forget/{job['id']}")
    deadline = time.monotonic() + 30
    while job["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
        job = two.a.get(f"/customers/forget/{job['id']}")

    assert theirs.status_code == 404
    assert (job["state"], job["rows"]["spans"]) == ("done", 1)
    assert [client.sql(left) for client in (two.a, two.b)] == [[[0]], [[1]]]


def test_what_lies_in_quarantine_is_told_to_the_servers_owner_alone(two: Two) -> None:
    """A damaged file is of nobody knows which project: that it holds an id would be told to one that only asks."""
    quarantine = two.server.data_dir / "log" / "quarantine"
    quarantine.mkdir(exist_ok=True)
    (quarantine / "spans-000000000001-0.bytes").write_bytes(b"damaged rows of patient")

    job = two.a.post("/customers/forget", {"customer_id": "patient"})
    deadline = time.monotonic() + 30
    while job["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
        job = two.a.get(f"/customers/forget/{job['id']}")

    assert job["state"] == "done"
    assert "quarantine" not in job["progress"]
    assert "remove spans-000000000001-0.bytes" in two.server.log()


CATALOGUE = (
    "duckdb_views()",
    "duckdb_tables()",
    "duckdb_columns()",
    "duckdb_databases()",
    "duckdb_schemas()",
    "duckdb_sequences()",
    "duckdb_types()",
    "duckdb_functions()",
    "duckdb_variables()",
    "duckdb_prepared_statements()",
    "duckdb_temporary_files()",
    "duckdb_memory()",
    "duckdb_settings()",
    "duckdb_secrets()",
    "duckdb_logs",
    "duckdb_log_contexts()",
    "duckdb_connection_count()",
    "information_schema.tables",
    "information_schema.columns",
    "sqlite_master",
    "pg_catalog.pg_class",
    "hot_spans",
    "committed_spans",
)


def test_no_catalogue_tells_one_project_of_the_other_while_it_asks(two: Two) -> None:
    """A statement of B runs all the time, and what it defines and says is nowhere to be found."""
    ending = threading.Event()
    asked: list[int] = []

    def ask_as_b() -> None:
        client = Client(two.server, two.b.key)
        slow = f"""
            WITH held AS MATERIALIZED (SELECT name, '{MARK}' AS mark FROM spans)
            SELECT count(*), max(hash(name || mark || r.range::VARCHAR)) FROM held, range(100000) r
        """
        while not ending.is_set():
            asked.append(client.ask("POST", "/sql", json={"query": slow}).status_code)
        client.close()

    thread = threading.Thread(target=ask_as_b)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not asked and time.monotonic() < deadline:
            time.sleep(0.01)
        answers = {name: two.a.ask("POST", "/sql", json={"query": f"SELECT * FROM {name}"}) for name in CATALOGUE}
    finally:
        ending.set()
        thread.join()

    assert set(asked) == {200}
    assert [name for name, answer in answers.items() if MARK in answer.text] == []
    assert [name for name, answer in answers.items() if answer.status_code not in (200, 400)] == []
    # Of what lies in memory and on disk, its own alone is there under the names that the engine gives.
    assert answers["duckdb_views()"].status_code == 200


def test_no_statement_reads_a_file(two: Two) -> None:
    folder = two.server.data_dir
    for source in (
        f"read_parquet('{folder}/lake/**/*.parquet')",
        f"glob('{folder}/**')",
        f"'{folder}/registry.sqlite3'",
    ):
        answer = two.a.ask("POST", "/sql", json={"query": f"SELECT * FROM {source}"})

        assert answer.status_code == 400, source
        assert MARK not in answer.text


def test_a_project_can_not_be_named_by_the_client(two: Two) -> None:
    attributes = {"project": "b", "fallom.project": "b"}
    body = export_request([span("named", attributes)], resource={"project": "b"}).SerializeToString()
    headers = {**PROTOBUF, "X-Fallom-Project": "b", "X-Project": "b"}

    two.a.ask("POST", "/v1/traces?project=b", content=body, headers=headers).raise_for_status()
    two.a.post("/v1/traces", flat_trace("shared", "named", name="named", project="b"))
    with grpc_channel(two.server.grpc) as channel:
        named = export_request([span("named", attributes)]).SerializeToString()
        export_bytes(channel, named, metadata=(("authorization", f"Bearer {two.a.key}"), ("x-fallom-project", "b")))

    assert two.a.sql("SELECT count(*) FROM spans WHERE name = 'named'") == [[3]]
    assert two.b.sql("SELECT count(*) FROM spans WHERE name = 'named'") == [[0]]


def log_events(mark: str) -> bytes:
    """Return a log of what becomes a row of each table: a span, a metric, an exposure."""
    known = {"fallom.config_key": "shared", "fallom.session_id": "logged"}
    flag = {"feature_flag.key": "shared", "feature_flag.version": "1", "feature_flag.result.variant": mark}
    score = {"gen_ai.evaluation.name": "judged", "gen_ai.evaluation.score.label": mark}
    records = [
        LogRecord(event_name=name, attributes=key_values({**known, **attributes}), trace_id=TRACE_ID, span_id=SPAN_ID)
        for name, attributes in (
            ("feature_flag.evaluation", flag),
            ("gen_ai.evaluation.result", score),
            ("gen_ai.client.inference.operation.details", {"secret": mark}),
        )
    ]
    resource_logs = ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])
    return ExportLogsServiceRequest(resource_logs=[resource_logs]).SerializeToString()


def test_events_in_logs_are_rows_of_the_callers_project(two: Two) -> None:
    for client, mark in ((two.a, "belongs-to-a"), (two.b, MARK)):
        client.ask("POST", "/v1/logs", content=log_events(mark), headers=PROTOBUF).raise_for_status()

    for client, project, mark in ((two.a, "a", "belongs-to-a"), (two.b, "b", MARK)):
        where = "WHERE session_id = 'logged'"
        assert client.sql(f"SELECT project, assigned_model FROM exposures {where}") == [[project, mark]]
        assert client.sql(f"SELECT project, value_string FROM metrics {where}") == [[project, mark]]
        ((found, attributes),) = client.sql(f"SELECT project, attributes FROM spans {where}")
        assert found == project
        assert mark in attributes


def test_requests_of_two_projects_in_one_batch_stay_apart(two: Two) -> None:
    """Many at once: the pipeline takes what waits as one batch."""

    def send(client: Client, mark: str) -> None:
        with grpc_channel(two.server.grpc) as channel:
            for number in range(50):
                body = export_request([span(f"burst {mark} {number}")]).SerializeToString()
                export_bytes(channel, body, metadata=(("x-api-key", client.key),))

    threads = [threading.Thread(target=send, args=each) for each in [(two.a, "a"), (two.b, "b")] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statement = "SELECT project, split_part(name, ' ', 2), count(*) FROM spans WHERE name LIKE 'burst%' GROUP BY ALL"
    assert two.a.sql(statement) == [["a", "a", 200]]
    assert two.b.sql(statement) == [["b", "b", 200]]


def test_the_pipelines_state_is_for_admins_alone(two: Two) -> None:
    key = create_key(two.server.data_dir, "a", "ingest,read")
    deadline = time.monotonic() + 5
    answer = None
    while (answer is None or answer.status_code == 401) and time.monotonic() < deadline:
        answer = httpx.get(f"{two.server.url}/debug/pipeline", headers={"X-API-Key": key}, trust_env=False)
        time.sleep(0.05)

    assert answer is not None
    assert answer.status_code == 403
    assert two.a.ask("GET", "/debug/pipeline").status_code == 200
