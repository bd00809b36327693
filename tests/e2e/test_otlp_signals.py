"""OpenTelemetry's own exporters of logs and metrics, its exporters of OTLP/JSON, and their retries: a real server."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from server_process import ServerProcess

from examples.client_environments import environment

pytestmark = pytest.mark.e2e

CLIENTS = Path(__file__).parent / "clients"
LOG_EXPORTERS: dict[str, Callable[[ServerProcess], LogRecordExporter]] = {
    "http": lambda server: HttpLogExporter(endpoint=f"{server.url}/v1/logs"),
    "grpc": lambda server: GrpcLogExporter(endpoint=server.grpc, insecure=True),
    "grpc-gzip": lambda server: GrpcLogExporter(endpoint=server.grpc, insecure=True, compression=grpc.Compression.Gzip),
}
METRIC_EXPORTERS: dict[str, Callable[[ServerProcess], MetricExporter]] = {
    "http": lambda server: HttpMetricExporter(endpoint=f"{server.url}/v1/metrics"),
    "grpc": lambda server: GrpcMetricExporter(endpoint=server.grpc, insecure=True),
}
SPAN_EXPORTERS: dict[str, Callable[[ServerProcess], SpanExporter]] = {
    "http": lambda server: HttpSpanExporter(endpoint=f"{server.url}/v1/traces"),
    "grpc": lambda server: GrpcSpanExporter(endpoint=server.grpc, insecure=True),
}


def dropped(server: ServerProcess) -> dict[str, int]:
    found: dict[str, int] = server.get("/debug/pipeline")[1]["dropped"]
    return found


@pytest.mark.parametrize("transport", LOG_EXPORTERS)
def test_genai_events_that_the_sdk_logs_are_rows_and_its_other_records_are_counted(
    shared_server: ServerProcess, transport: str
) -> None:
    config_key = f"flags-{transport}"
    before = dropped(shared_server).get("logs_protobuf", 0)
    tracer = TracerProvider().get_tracer("app")
    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(LOG_EXPORTERS[transport](shared_server)))
    logger = provider.get_logger("events")
    with tracer.start_as_current_span("call") as call:
        session = {"fallom.config_key": config_key, "fallom.session_id": "s-1"}
        flag = {"feature_flag.key": config_key, "feature_flag.version": "2", "feature_flag.result.variant": "gpt-4o"}
        score = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5}
        logger.emit(event_name="feature_flag.evaluation", attributes={**flag, "feature_flag.context.id": "s-1"})
        logger.emit(event_name="gen_ai.evaluation.result", attributes={**score, **session})
        logger.emit(
            event_name="gen_ai.user.message", body={"content": "Hi", "parts": [1, b"x"]}, attributes={**session}
        )
        logger.emit(body="a line", severity_text="INFO")

    assert provider.force_flush()

    where = f"WHERE config_key = '{config_key}' AND session_id = 's-1'"
    exposures = shared_server.sql(f"SELECT config_version, assigned_model, source FROM exposures {where}")
    metrics = shared_server.sql(f"SELECT name, value_double FROM metrics {where}")
    (event,) = shared_server.sql(f"SELECT * FROM spans {where}")
    assert exposures == [{"config_version": 2, "assigned_model": "gpt-4o", "source": "feature_flag.evaluation"}]
    assert metrics == [{"name": "relevance", "value_double": 0.5}]
    assert (event["name"], event["operation"], event["is_inference"]) == ("gen_ai.user.message", "event", False)
    assert event["trace_id"] == f"{call.get_span_context().trace_id:032x}"
    assert event["parent_span_id"] == f"{call.get_span_context().span_id:016x}"
    assert event["service_name"] == "shop"
    content = json.loads(event["attributes"])["gen_ai.event.content"]
    assert content == {"content": "Hi", "parts": [1, {"$bytes": "eA=="}]}
    assert dropped(shared_server)["logs_protobuf"] - before == 1
    provider.shutdown()


@pytest.mark.parametrize("transport", METRIC_EXPORTERS)
def test_metrics_that_the_sdk_sends_are_taken_and_counted(shared_server: ServerProcess, transport: str) -> None:
    before = dropped(shared_server).get("data_points_protobuf", 0)
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("app")
    meter.create_counter("calls").add(1, {"model": "a"})
    meter.create_histogram("seconds").record(0.25)
    meter.create_observable_gauge("load", [lambda _: []])

    result = METRIC_EXPORTERS[transport](shared_server).export(reader.get_metrics_data())

    assert result is MetricExportResult.SUCCESS
    assert dropped(shared_server)["data_points_protobuf"] - before == 2


@pytest.mark.timeout(600)  # the environment may have to be made first
def test_what_the_exporters_of_otlp_json_send_is_taken_and_stored(shared_server: ServerProcess) -> None:
    attributes: dict[str, Any] = {"text": "é", "int": 2**53 + 1, "double": 0.5, "list": [1, 2], "true": True}
    plan = json.dumps({"url": shared_server.url, "attributes": attributes})

    done = subprocess.run(
        [environment("otlp-json"), CLIENTS / "otlp_json.py"], input=plan, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    assert sent["results"] == dict.fromkeys(("spans", "logs", "metrics"), "SUCCESS")
    rows = {row["name"]: row for row in shared_server.sql(f"SELECT * FROM spans WHERE trace_id = '{sent['trace_id']}'")}
    assert rows.keys() == {"parent", "child", "gen_ai.choice"}
    assert json.loads(rows["child"]["attributes"]) == attributes
    assert json.loads(rows["child"]["events"])[0]["attributes"] == {"index": 3}
    assert rows["child"]["parent_span_id"] == rows["gen_ai.choice"]["parent_span_id"] == rows["parent"]["span_id"]
    assert {"data_points_json": 2}.items() <= dropped(shared_server).items()


@pytest.mark.parametrize("transport", SPAN_EXPORTERS)
def test_a_refused_batch_is_sent_again_by_the_sdk_and_stored_once(tmp_path: Path, transport: str) -> None:
    # Somebody else's body takes all the room for a while: refused first, then taken.
    server = ServerProcess(tmp_path / "data", "--in-flight-bytes-max", "300000").start()
    try:
        holding = held_open(server, 290_000)
        release = threading.Timer(1.5, holding)
        release.start()
        exporter = SPAN_EXPORTERS[transport](server)
        began = time.monotonic()

        result = exporter.export(finished_span("again", "x" * 50_000))

        assert result is SpanExportResult.SUCCESS
        assert time.monotonic() - began > 1
        assert server.sql("SELECT count(*) AS n FROM spans WHERE name = 'again'") == [{"n": 1}]
        release.join()
    finally:
        server.stop()


def held_open(server: ServerProcess, size_bytes: int) -> Callable[[], None]:
    """Send so much of a body and no more, so that it takes the server's room; return what ends it."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"POST /v1/traces HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 299000\r\n\r\n"
    )
    connection.sendall(head.encode() + b" " * size_bytes)
    time.sleep(0.3)
    return connection.close


def finished_span(name: str, text: str) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.get_tracer("app").start_span(name, attributes={"text": text}).end()
    return list(kept.get_finished_spans())
