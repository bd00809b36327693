"""OTLP logs and metrics with --keep-logs and --keep-metrics: durable, once, in SQL, private, forgotten, restored."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest
from client_messages import PROTOBUF, any_value, key_values
from keyed_server import create_key
from metrics_scrape import PLACES, scrape
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.e2e

KEEP = ("--keep-logs", "--keep-metrics")
TABLES = ("log_records", "metric_points")
NOW_NS = time.time_ns()
LOG_EXPORTERS: dict[str, Callable[[ServerProcess], LogRecordExporter]] = {
    "http": lambda server: HttpLogExporter(endpoint=f"{server.url}/v1/logs"),
    "grpc": lambda server: GrpcLogExporter(endpoint=server.grpc, insecure=True, compression=grpc.Compression.Gzip),
}
METRIC_EXPORTERS: dict[str, Callable[[ServerProcess], MetricExporter]] = {
    "http": lambda server: HttpMetricExporter(endpoint=f"{server.url}/v1/metrics"),
    "grpc": lambda server: GrpcMetricExporter(endpoint=server.grpc, insecure=True),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("kept") / "data", *KEEP).start()
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # Long enough that what is sent stays in the log until it is told to commit.
    server = ServerProcess(tmp_path / "data", *KEEP, "--flush-interval-s", "3600").start()
    yield server
    server.stop()


def log_request(
    body: object,
    attributes: Mapping[str, object] | None = None,
    resource: Mapping[str, object] | None = None,
    **fields: Any,
) -> bytes:
    message = ExportLogsServiceRequest()
    resource_logs = message.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values(resource or {}))
    record = LogRecord(
        attributes=key_values(attributes or {}), body=any_value(body), **({"time_unix_nano": NOW_NS} | fields)
    )
    resource_logs.scope_logs.add().log_records.append(record)
    return message.SerializeToString()


def metric_request(name: str, attributes: Mapping[str, object] | None = None, **fields: Any) -> bytes:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    point = {"time_unix_nano": NOW_NS, "as_int": 1, "attributes": key_values(attributes or {})} | fields
    metric.gauge.data_points.add(**point)
    return message.SerializeToString()


def send(server: ServerProcess, path: str, body: bytes, **headers: str) -> None:
    status, _, answer = server.request("POST", path, body, {**PROTOBUF, **headers})
    assert (status, answer) == (200, b"")


def send_both(server: ServerProcess, name: str, attributes: Mapping[str, object] | None = None) -> None:
    send(server, "/v1/logs", log_request(name, attributes))
    send(server, "/v1/metrics", metric_request(name, attributes))


def both(server: ServerProcess) -> tuple[list[str], list[str]]:
    """Return the bodies of all log records, and the names of all data points."""
    logs = server.sql("SELECT body FROM log_records ORDER BY 1")
    return [row["body"] for row in logs], [
        row["name"] for row in server.sql("SELECT name FROM metric_points ORDER BY 1")
    ]


@pytest.mark.parametrize("transport", LOG_EXPORTERS)
def test_what_the_sdk_logs_is_in_sql_at_once_and_with_its_trace(shared: ServerProcess, transport: str) -> None:
    service = f"shop-{transport}"
    provider = LoggerProvider(Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(LOG_EXPORTERS[transport](shared)))
    logger = provider.get_logger("orders", "1.2")
    with TracerProvider().get_tracer("app").start_as_current_span("call") as call:
        logger.emit(body="a line", severity_text="WARN", attributes={"order": 7, "session.id": "s-1"})
        logger.emit(body={"step": 1, "raw": b"x"}, event_name="order.placed")

    assert provider.force_flush()

    first, second = shared.sql(f"SELECT * FROM log_records WHERE service_name = '{service}' ORDER BY event_time")
    assert (first["body"], first["body_type"], first["severity_text"]) == ("a line", "string", "WARN")
    assert (first["session_id"], json.loads(first["attributes"])["order"]) == ("s-1", 7)
    assert (first["scope_name"], first["scope_version"]) == ("orders", "1.2")
    assert first["trace_id"] == second["trace_id"] == f"{call.get_span_context().trace_id:032x}"
    assert (second["event_name"], json.loads(second["body"])) == (
        "order.placed",
        {"step": 1, "raw": {"$bytes": "eA=="}},
    )
    assert "logs_protobuf" not in shared.get("/debug/pipeline")[1]["dropped"]
    provider.shutdown()


@pytest.mark.parametrize("transport", METRIC_EXPORTERS)
def test_what_the_sdk_measures_is_in_sql_at_once(shared: ServerProcess, transport: str) -> None:
    service = f"meter-{transport}"
    reader = InMemoryMetricReader()
    exponential = View(
        instrument_type=Histogram, instrument_name="e", aggregation=ExponentialBucketHistogramAggregation()
    )
    meter = MeterProvider(
        [reader], Resource({"service.name": service}), views=[exponential], shutdown_on_exit=False
    ).get_meter("app")
    meter.create_counter("calls", unit="1", description="how many").add(3, {"model": "a"})
    meter.create_histogram("h", unit="s").record(0.25)
    meter.create_histogram("e").record(4)
    meter.create_gauge("load").set(0.5)

    result = METRIC_EXPORTERS[transport](shared).export(reader.get_metrics_data())

    assert result is MetricExportResult.SUCCESS
    found = shared.sql(f"SELECT * FROM metric_points WHERE service_name = '{service}'")
    rows = {row["name"]: row for row in found}
    assert {name: row["type"] for name, row in rows.items()} == {
        "calls": "sum",
        "h": "histogram",
        "e": "exponential_histogram",
        "load": "gauge",
    }
    calls = rows["calls"]
    assert (calls["value_int"], calls["value_double"], calls["unit"], calls["description"]) == (3, 3.0, "1", "how many")
    assert (calls["temporality"], calls["is_monotonic"], calls["attributes"]) == ("cumulative", True, '{"model":"a"}')
    assert (rows["h"]["value_count"], rows["h"]["value_sum"]) == (1, 0.25)
    assert sum(json.loads(rows["h"]["distribution"])["bucket_counts"]) == 1
    assert sum(json.loads(rows["e"]["distribution"])["positive"]["bucket_counts"]) == 1
    assert rows["load"]["value_double"] == 0.5


def test_what_was_acknowledged_is_there_once_after_a_kill_and_after_its_commit(server: ServerProcess) -> None:
    send_both(server, "before")
    server.kill()
    assert {path.parent.name for path in server.segments()} == set(TABLES)

    server.start()
    send_both(server, "after")
    in_log = both(server)
    server.terminate()
    assert not server.segments()
    server.start()

    assert in_log == both(server) == (["after", "before"], ["after", "before"])


def test_rows_that_were_kept_stay_when_nothing_more_is_kept(server: ServerProcess, tmp_path: Path) -> None:
    send_both(server, "kept")
    server.kill()
    without = ServerProcess(server.data_dir, "--flush-interval-s", "3600").start()
    try:
        send_both(without, "dropped")

        assert both(without) == (["kept"], ["kept"])
        dropped = without.get("/debug/pipeline")[1]["dropped"]
        assert dropped == {"logs_protobuf": 1, "data_points_protobuf": 1}
        assert without.terminate() == 0
        assert not without.segments()
    finally:
        without.stop()


def test_a_retry_is_stored_once_also_after_a_kill_and_the_books_balance(server: ServerProcess) -> None:
    for _ in range(2):
        send_both(server, "again")
    found = scrape(server)
    for table in TABLES:
        assert found.rows("deduplicated", table) == 1
        places = sum(found.rows(place, table) for place in PLACES)
        assert found.rows("accepted", table) + found.rows("recovered", table) == places == 2
        assert server.get("/debug/pipeline")[1]["tables"][table]["rows"]["in_log"] == 1
    server.kill()
    server.start()

    send_both(server, "again")

    assert both(server) == (["again"], ["again"])
    server.terminate()
    server.start()
    send_both(server, "again")
    assert both(server) == (["again"], ["again"])


def test_items_that_are_kept_count_as_accepted_and_not_as_dropped(server: ServerProcess) -> None:
    send_both(server, "x")

    found = scrape(server)

    for kind in ("log_records", "metric_points"):
        assert found.value(f"otelcol_receiver_accepted_{kind}_total", receiver="otlp", transport="http") == 1
        labels = {"kind": kind, "receiver": "otlp", "transport": "http"}
        assert ("fallom_receiver_dropped_items_total", frozenset(labels.items())) not in found.samples


def test_a_customer_s_rows_are_forgotten_and_no_file_holds_them(server: ServerProcess) -> None:
    send_both(server, "hers", {"user.id": "ann", "session.id": "s", "note": "xq7 of ann"})
    send_both(server, "of her session", {"session.id": "s", "note": "xq7 of ann"})
    send_both(server, "bob's", {"user.id": "bob", "session.id": "s"})
    send(server, "/v1/logs", log_request("of her device", resource={"user.id": "ann"}))

    done = subprocess.run(
        [COMMAND, "forget", "--customer", "ann", "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )

    assert done.returncode == 0, done.stderr
    assert {"log_records": 3, "metric_points": 2}.items() <= dict(json.loads(done.stdout)["rows"]).items()
    assert both(server) == (["bob's"], ["bob's"])
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert [path for path in files if b"xq7 of ann" in path.read_bytes()] == []


SAID, MAIL, DENIED = "xq7said9z", "xq7.mail@example.com", "xq7denied9z"
POLICY = {"content": "drop", "redact": ["email"], "deny": ["acme.secret.*", "user.id"]}


def stored(data_dir: Path) -> str:
    """Return all that is under the data directory, as it stands and decompressed, as one text."""
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    as_they_stand = [path.read_bytes().decode("latin-1") for path in files]
    return "\n".join(
        [*as_they_stand, *(str(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet")]
    )


def test_what_a_policy_forbids_is_in_no_byte_of_log_or_lake(tmp_path: Path) -> None:
    flags = (*KEEP, "--flush-interval-s", "3600", "--privacy", json.dumps({"default": POLICY}))
    server = ServerProcess(tmp_path / "data", *flags).start()
    secret = {"acme.secret.x": DENIED, "user.id": DENIED, "note": f"to {MAIL}", "session.id": MAIL}
    content = {"gen_ai.input.messages": SAID, "gen_ai.output.messages": [{"content": SAID}]}
    try:
        bodies: tuple[tuple[object, str], ...] = (
            (f"mail {MAIL}", ""),
            (SAID, "gen_ai.user.message"),
            ({"content": SAID}, "gen_ai.something.else"),
            ({**content, "acme.secret.y": DENIED, "mail": MAIL}, "order"),
        )
        for body, event in bodies:
            for attributes in (secret, content, {"content": SAID} if event == "gen_ai.user.message" else {}):
                send(server, "/v1/logs", log_request(body, attributes, secret, event_name=event, severity_text=MAIL))
        exemplar = {"filtered_attributes": key_values(secret), "time_unix_nano": NOW_NS, "as_int": 4111111111111111}
        send(server, "/v1/metrics", metric_request(MAIL, {**secret, **content}, exemplars=[exemplar]))
        server.kill()
        in_log = stored(server.data_dir)
        server.start()
        rows = server.sql("SELECT * FROM log_records")
        points = server.sql("SELECT * FROM metric_points")
        server.terminate()
        in_lake = stored(server.data_dir)
    finally:
        server.stop()

    for secret_text in (SAID, MAIL, "xq7.mail", DENIED):
        assert secret_text not in in_log + in_lake + server.log()
    assert len(rows) == 12
    assert {row["customer_id"] for row in [*rows, *points]} == {None}
    assert {row["session_id"][:7] for row in [*rows, *points] if row["session_id"]} == {"[email:"}
    assert {row["body"] for row in rows if row["body_type"] == "string"} == {"mail [email]", None}
    assert {row["body"] for row in rows if row["event_name"] == "order"} == {'{"mail":"[email]"}'}
    assert json.loads(points[0]["exemplars"])[0] == {
        "time_unix_nano": NOW_NS,
        "value": 4111111111111111,
        "trace_id": None,
        "span_id": None,
        "attributes": {"note": "to [email]", "session.id": "[email]"},
    }


def test_a_project_sees_its_own_rows_alone(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", *KEEP)
    keys = {
        (project, scope): create_key(server.data_dir, project, scope)
        for project in ("one", "two")
        for scope in ("ingest", "read")
    }
    server.start()
    try:
        for project in ("one", "two"):
            headers = {"X-API-Key": keys[project, "ingest"]}
            send(server, "/v1/logs", log_request(project), **headers)
            send(server, "/v1/metrics", metric_request(project), **headers)
        for project in ("one", "two"):
            query = json.dumps({"query": "SELECT body FROM log_records UNION ALL SELECT name FROM metric_points"})
            headers = {"X-API-Key": keys[project, "read"], "Content-Type": "application/json"}
            _, _, answer = server.request("POST", "/sql", query.encode(), headers)
            assert json.loads(answer)["rows"] == [[project], [project]]
    finally:
        server.stop()


def test_a_backup_holds_them(server: ServerProcess, tmp_path: Path) -> None:
    send_both(server, "before")
    path = server.post("/backups", {})[1]["path"]
    send_both(server, "after")
    server.kill()

    restored = ServerProcess(Path(path), *KEEP).start()
    try:
        assert both(restored) == (["before"], ["before"])
    finally:
        restored.stop()


def test_a_resource_that_would_fill_the_memory_is_refused_and_the_server_serves_on(server: ServerProcess) -> None:
    message = ExportLogsServiceRequest()
    resource_logs = message.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values({"padding": "x" * 2**20}))
    resource_logs.scope_logs.add().log_records.extend(LogRecord(time_unix_nano=n + 1) for n in range(100_000))
    before = scrape(server).value("otelcol_process_memory_rss")

    status, _, _ = server.request("POST", "/v1/logs", message.SerializeToString(), PROTOBUF)

    assert status == 413
    send_both(server, "next")
    assert both(server) == (["next"], ["next"])
    found = scrape(server)
    assert found.value("fallom_process_memory_rss_max") - before < 800 * 2**20
