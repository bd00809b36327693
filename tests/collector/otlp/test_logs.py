"""GenAI events in OTLP logs become rows; other records, and all data points, are read, counted and dropped."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from client_messages import any_value, key_values
from collector_inputs import RECEIVED_AT, SPAN_ID, START_UNIX_NANO, TRACE_ID
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.component import CollectorError, DecodeError
from collector.decoders import DECODERS
from collector.processors import process
from collector.request import Decoded, Format, Outcome, Receipt, Request

RECEIPT = Receipt(int(RECEIVED_AT.timestamp()) * 1_000_000)
MESSAGES = json.dumps([{"role": "user", "content": "Hello"}])
FLAG = {
    "feature_flag.key": "my-agent",
    "feature_flag.version": "3",
    "feature_flag.result.variant": "gpt-4o",
    "feature_flag.result.reason": "split",
    "feature_flag.context.id": "session-1",
}
EVALUATION = {
    "gen_ai.evaluation.name": "relevance",
    "gen_ai.evaluation.score.value": 0.75,
    "fallom.config_key": "my-agent",
    "gen_ai.conversation.id": "session-1",
}


def record(
    event_name: str, attributes: Mapping[str, object] | None = None, body: object = None, **fields: Any
) -> LogRecord:
    values: dict[str, Any] = {"time_unix_nano": START_UNIX_NANO - 5_000, "trace_id": TRACE_ID, "span_id": SPAN_ID}
    made = LogRecord(event_name=event_name, attributes=key_values(attributes or {}), **(values | fields))
    if body is not None:
        made.body.CopyFrom(any_value(body))
    return made


def request(*records: LogRecord) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.extend(key_values({"service.name": "app"}))
    scope = resource.scope_logs.add()
    scope.scope.name = "events"
    scope.log_records.extend(records)
    return message


def decoded(*messages: ExportLogsServiceRequest, headers: Mapping[str, str] | None = None) -> Decoded:
    bodies = [message.SerializeToString() for message in messages]
    return DECODERS[Format.LOGS_PROTOBUF](
        [(Request(Format.LOGS_PROTOBUF, body, "p", headers or {}), RECEIPT) for body in bodies]
    )


def rows_of(found: Decoded) -> dict[str, list[dict[str, Any]]]:
    """The rows by table, as they reach the exporter; tables without rows left out."""
    batches = [(found.table, found.rows), *found.also]
    return {table: process(table, rows).to_pylist() for table, rows in batches if rows.num_rows}


def test_a_flag_s_evaluation_is_an_exposure() -> None:
    found = decoded(request(record("feature_flag.evaluation", FLAG)))

    (row,) = rows_of(found)["exposures"]
    assert {name: value for name, value in row.items() if value is not None} == {
        "project": "p",
        "config_key": "my-agent",
        "config_version": 3,
        "session_id": "session-1",
        "assigned_model": "gpt-4o",
        "reason": "weight",
        "content_hash": row["content_hash"],
        "source": "feature_flag.evaluation",
        "event_time": row["event_time"],
        "received_at": RECEIVED_AT,
    }
    assert (RECEIVED_AT - row["event_time"]).total_seconds() == pytest.approx(5e-6)
    assert found.outcomes == [Outcome(1)]


@pytest.mark.parametrize(
    ("word", "reason", "index"),
    [
        ("SPLIT", "weight", None),
        ("targeting_match", "rule", None),
        ("default", "fallback", -1),
        ("error", "fallback", -1),
        ("static", None, None),
        ("our own", None, None),
    ],
)
def test_openfeatures_reasons_are_stored_in_our_words(word: str, reason: str | None, index: int | None) -> None:
    found = decoded(request(record("feature_flag.evaluation", FLAG | {"feature_flag.result.reason": word})))

    (row,) = rows_of(found)["exposures"]
    assert (row["reason"], row["variant_index"]) == (reason, index)


@pytest.mark.parametrize("missing", [key for key in FLAG if key != "feature_flag.result.reason"])
def test_an_evaluation_that_does_not_say_what_an_exposure_needs_is_dropped(missing: str) -> None:
    found = decoded(request(record("feature_flag.evaluation", {k: v for k, v in FLAG.items() if k != missing})))

    assert rows_of(found) == {}
    assert found.outcomes == [Outcome(0, dropped=1)]


def test_an_evaluation_s_result_is_a_metric_of_its_session() -> None:
    label = {**EVALUATION, "gen_ai.evaluation.score.label": "good"}
    del label["gen_ai.evaluation.score.value"]

    found = decoded(request(record("gen_ai.evaluation.result", EVALUATION), record("gen_ai.evaluation.result", label)))

    metrics = rows_of(found)["metrics"]
    shown = [(row["name"], row["value_type"], row["value_double"], row["value_string"]) for row in metrics]
    assert shown == [("relevance", "number", 0.75, None), ("relevance", "string", None, "good")]
    assert {(row["config_key"], row["session_id"]) for row in metrics} == {("my-agent", "session-1")}
    assert found.outcomes == [Outcome(2)]


def test_a_session_may_be_named_by_the_headers_of_fallom() -> None:
    bare = {key: value for key, value in EVALUATION.items() if key.startswith("gen_ai.evaluation")}
    headers = {"x-fallom-config-key": "my-agent", "x-fallom-session-id": "s"}

    found = decoded(request(record("gen_ai.evaluation.result", bare)), headers=headers)

    assert rows_of(found)["metrics"][0]["session_id"] == "s"


def test_a_genai_event_is_a_span_without_duration_under_its_span_that_counts_as_no_call() -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.input.messages": MESSAGES,
        "fallom.session_id": "s",
        "fallom.kind": "llm",
    }

    found = decoded(request(record("gen_ai.client.inference.operation.details", attributes)))

    (row,) = rows_of(found)["spans"]
    assert row["name"] == "gen_ai.client.inference.operation.details"
    assert (row["trace_id"], row["parent_span_id"]) == (TRACE_ID.hex(), SPAN_ID.hex())
    assert (row["operation"], row["is_inference"], row["duration_ns"]) == ("event", False, 0)
    assert row["computed_cost"] is None
    assert (row["input"], row["session_id"], row["service_name"]) == (MESSAGES, "s", "app")
    assert row["scope_name"] == "events"


def test_the_body_of_an_event_stands_among_its_attributes() -> None:
    found = decoded(request(record("", {"event.name": "gen_ai.user.message"}, {"content": "Hi", "role": "user"})))

    (row,) = rows_of(found)["spans"]
    assert json.loads(row["attributes"])["gen_ai.event.content"] == {"content": "Hi", "role": "user"}


def test_an_event_that_is_sent_again_is_the_same_span_and_another_is_not() -> None:
    first, other = record("gen_ai.choice", {"index": 0}), record("gen_ai.choice", {"index": 1})

    rows = rows_of(decoded(request(first), request(first), request(other)))["spans"]

    ids = [(row["span_id"], row["content_hash"]) for row in rows]
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[2][0]


@pytest.mark.parametrize(
    "plain",
    [
        record("", {"event.name": 5}, "a line"),
        record("session.start"),
        record("gen_ai.choice", trace_id=b""),
        record("gen_ai.choice", trace_id=bytes(16)),
        record("gen_ai.choice", trace_id=b"short"),
    ],
)
def test_other_records_are_counted_and_dropped(plain: LogRecord) -> None:
    found = decoded(request(plain, plain))

    assert rows_of(found) == {}
    assert found.outcomes == [Outcome(0, dropped=2)]


def test_a_request_that_is_malformed_fails_alone() -> None:
    good = request(record("feature_flag.evaluation", FLAG)).SerializeToString()
    received = [(Request(Format.LOGS_PROTOBUF, body, "p"), RECEIPT) for body in (good, b"\xff\xff", good[:-3], good)]

    found = DECODERS[Format.LOGS_PROTOBUF](received)

    assert [type(outcome) for outcome in found.outcomes] == [Outcome, DecodeError, DecodeError, Outcome]
    assert len(rows_of(found)["exposures"]) == 2


def as_otlp_json(message: ExportLogsServiceRequest) -> bytes:
    document = MessageToDict(message, use_integers_for_enums=True)
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for each in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    each[name] = base64.b64decode(each[name]).hex()
    return json.dumps(document).encode()


def test_logs_as_json_make_the_rows_that_they_make_as_protobuf() -> None:
    message = request(
        record("feature_flag.evaluation", FLAG),
        record("gen_ai.evaluation.result", EVALUATION),
        record("gen_ai.user.message", {"a": [1, b"x", {"k": 2.5}]}, {"content": "Hi"}),
        record("other"),
    )

    as_json = DECODERS[Format.LOGS_JSON]([(Request(Format.LOGS_JSON, as_otlp_json(message), "p"), RECEIPT)])

    assert rows_of(as_json) == rows_of(decoded(message))
    assert as_json.outcomes == [Outcome(3, dropped=1)]


def test_data_points_of_all_kinds_are_counted_and_dropped() -> None:
    message = ExportMetricsServiceRequest()
    metrics = message.resource_metrics.add().scope_metrics.add().metrics
    for kind, count in (("gauge", 1), ("sum", 2), ("histogram", 3), ("exponential_histogram", 4), ("summary", 5)):
        points = getattr(metrics.add(name=kind), kind).data_points
        for _ in range(count):
            points.add()
    metrics.add(name="empty")
    documents = {
        Format.DATA_POINTS_PROTOBUF: message.SerializeToString(),
        Format.DATA_POINTS_JSON: json.dumps(MessageToDict(message)).encode(),
    }

    for body_format, body in documents.items():
        found = DECODERS[body_format]([(Request(body_format, body, "p"), RECEIPT)])
        assert found.outcomes == [Outcome(0, dropped=15)]
        assert found.rows.num_rows == 0


@pytest.mark.parametrize(
    ("body_format", "body", "words"),
    [
        (Format.DATA_POINTS_PROTOBUF, b"\xff", "not an ExportMetricsServiceRequest"),
        (Format.LOGS_PROTOBUF, b"\x0a\x05abc", "not an ExportLogsServiceRequest"),
        (Format.LOGS_JSON, b"[]", "a JSON object expected"),
        (Format.LOGS_JSON, b'{"resourceLogs": 5}', "resourceLogs: a list expected"),
        (Format.DATA_POINTS_JSON, b'{"resourceMetrics": [{"scopeMetrics": {}}]}', r"resourceMetrics\[0\].scopeMetrics"),
    ],
)
def test_what_is_malformed_is_refused(body_format: Format, body: bytes, words: str) -> None:
    (outcome,) = DECODERS[body_format]([(Request(body_format, body, "p"), RECEIPT)]).outcomes

    with pytest.raises(CollectorError, match=words):
        raise outcome if isinstance(outcome, CollectorError) else AssertionError
