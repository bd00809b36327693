"""Log records and data points that are kept: every field in its column, what is sent again once, and memory bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from client_messages import any_value, key_values, stored_attributes
from collector_inputs import RECEIVED_AT, SPAN_ID, START_UNIX_NANO, TRACE_ID, any_values
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from otlp_decoder.conversions import to_python

from collector.component import CollectorError, TooLargeError
from collector.decoders import DECODERS, decoders
from collector.otlp.kept import KEPT_BYTES_MAX, KEPT_ROWS_MAX
from collector.pipeline import Pipeline
from collector.request import Decoded, Format, Outcome, Receipt, Request
from schemas.log_records import LOG_RECORDS
from schemas.metric_points import METRIC_POINTS

RECEIPT = Receipt(int(RECEIVED_AT.timestamp()) * 1_000_000)
KEPT = decoders(keep_logs=True, keep_metrics=True)
RESOURCE = {"service.name": "shop", "host.id": b"\0\xff"}


def record(body: object = None, attributes: Mapping[str, object] | None = None, **fields: Any) -> LogRecord:
    made = LogRecord(attributes=key_values(attributes or {}), **({"time_unix_nano": START_UNIX_NANO} | fields))
    if body is not None:
        made.body.CopyFrom(any_value(body))
    return made


def logs(*records: LogRecord, resource: Mapping[str, object] = RESOURCE) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    resource_logs = message.resource_logs.add()
    resource_logs.resource.attributes.extend(key_values(resource))
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name, scope_logs.scope.version = "app.log", "1"
    scope_logs.log_records.extend(records)
    return message


def metrics(*found: Metric, resource: Mapping[str, object] = RESOURCE) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    resource_metrics = message.resource_metrics.add()
    resource_metrics.resource.attributes.extend(key_values(resource))
    scope_metrics = resource_metrics.scope_metrics.add()
    scope_metrics.scope.name = "meter"
    scope_metrics.metrics.extend(found)
    return message


def decoded(*messages: Message, receipt: Receipt = RECEIPT, headers: Mapping[str, str] | None = None) -> Decoded:
    is_logs = isinstance(messages[0], ExportLogsServiceRequest)
    body_format = Format.LOGS_PROTOBUF if is_logs else Format.DATA_POINTS_PROTOBUF
    return KEPT[body_format](
        [(Request(body_format, each.SerializeToString(), "p", headers or {}), receipt) for each in messages]
    )


def rows(found: Decoded) -> list[dict[str, Any]]:
    batches = dict([(found.table, found.rows), *found.also])
    table = batches.get("log_records", batches.get("metric_points"))
    assert isinstance(table, pa.RecordBatch)
    return list(table.to_pylist())


def one(message: Message, **options: Any) -> dict[str, Any]:
    (row,) = rows(decoded(message, **options))
    return {name: value for name, value in row.items() if value is not None}


def test_each_field_of_a_record_has_its_column() -> None:
    row = one(
        logs(
            record(
                "it broke",
                {"code": 7, "session.id": "s-1", "user.id": "ann", "fallom.config_key": "agent"},
                observed_time_unix_nano=START_UNIX_NANO + 1,
                severity_number=17,
                severity_text="ERROR",
                event_name="app.failure",
                trace_id=TRACE_ID,
                span_id=SPAN_ID,
                flags=0x301,
                dropped_attributes_count=2,
            )
        )
    )

    content_hash, event_time, date = row.pop("content_hash"), row.pop("event_time"), row.pop("date")
    assert row == {
        "project": "p",
        "time_unix_nano": START_UNIX_NANO,
        "observed_time_unix_nano": START_UNIX_NANO + 1,
        "severity_number": 17,
        "severity_text": "ERROR",
        "event_name": "app.failure",
        "body": "it broke",
        "body_type": "string",
        "trace_id": TRACE_ID.hex(),
        "span_id": SPAN_ID.hex(),
        "trace_flags": 1,
        "service_name": "shop",
        "scope_name": "app.log",
        "scope_version": "1",
        "config_key": "agent",
        "session_id": "s-1",
        "customer_id": "ann",
        "attributes": '{"code":7,"session.id":"s-1","user.id":"ann","fallom.config_key":"agent"}',
        "resource_attributes": '{"service.name":"shop","host.id":{"$bytes":"AP8="}}',
        "dropped_attributes_count": 2,
        "received_at": RECEIPT.received_at,
    }
    assert isinstance(content_hash, int)
    assert int(event_time.timestamp()) == START_UNIX_NANO // 10**9
    assert date == event_time.date()


@given(any_values)
def test_any_body_and_any_attribute_come_back_without_loss(value: AnyValue) -> None:
    made = record()
    made.body.CopyFrom(value)
    made.attributes.add(key="a").value.CopyFrom(value)
    kind = value.WhichOneof("value")
    expected = json.loads(json.dumps(to_python(value)))

    row = one(logs(made))

    assert json.loads(row["attributes"]) == {"a": expected}
    assert row.get("body_type") == (kind and kind.removesuffix("_value"))
    if kind == "string_value":
        assert row["body"] == expected
    elif kind is not None:
        assert json.loads(row["body"]) == expected


def test_a_record_without_a_time_is_of_its_receipt_and_bad_ids_are_none() -> None:
    row = one(logs(record("x", time_unix_nano=0, trace_id=b"short", span_id=bytes(8))))

    assert row["event_time"] == RECEIPT.received_at
    assert not {"time_unix_nano", "trace_id", "span_id"} & row.keys()


def test_times_beyond_what_a_column_holds_are_held_there() -> None:
    row = one(logs(record("x", time_unix_nano=2**64 - 1)))

    assert row["time_unix_nano"] == 2**63 - 1
    assert (row["date"] - RECEIPT.received_at.date()).days == 2


def test_a_header_and_the_resource_name_the_session_where_the_record_does_not() -> None:
    resource = {"session.id": "of the resource", "user.id": "of the resource"}
    headers = {"x-fallom-session-id": "of the header"}

    row = one(logs(record("x", {"user.id": "own"}), resource=resource), headers=headers)

    assert (row["session_id"], row["customer_id"]) == ("of the header", "own")
    assert one(logs(record("x"), resource=resource))["customer_id"] == "of the resource"


def test_what_feeds_another_table_is_not_kept_twice() -> None:
    event = record("Hi", event_name="gen_ai.user.message", trace_id=TRACE_ID, span_id=SPAN_ID)
    without_trace = record("Hi", event_name="gen_ai.user.message")

    found = decoded(logs(event, without_trace, record("line")))

    assert [row["body"] for row in rows(found)] == ["Hi", "line"]
    assert (found.table, found.rows.num_rows) == ("spans", 1)
    assert found.outcomes == [Outcome(3)]


def test_without_the_settings_records_and_points_are_counted_alone() -> None:
    point = Metric(name="m", gauge={"data_points": [{"as_int": 1}]})
    for body_format, message in (
        (Format.LOGS_PROTOBUF, logs(record("x"))),
        (Format.DATA_POINTS_PROTOBUF, metrics(point)),
    ):
        received = [(Request(body_format, message.SerializeToString(), "p"), RECEIPT)]
        for decode in (DECODERS[body_format], decoders()[body_format]):
            found = decode(received)
            assert (found.outcomes, found.rows.num_rows, list(found.also)) == ([Outcome(0, dropped=1)], 0, [])


@pytest.mark.parametrize("make", [lambda: logs(record("x"), record("x"), record("y")), lambda: metrics(*points())])
def test_a_retry_has_the_hashes_of_the_first_and_what_is_twice_in_one_request_has_two(make: Any) -> None:
    first, again = (
        [row["content_hash"] for row in rows(decoded(make(), receipt=Receipt(RECEIPT.unix_us + n)))] for n in (0, 9)
    )

    assert first == again
    assert len(set(first)) == len(first) > 1


def test_records_without_a_time_are_never_taken_for_each_other() -> None:
    first, later = (
        one(logs(record("x", time_unix_nano=0)), receipt=Receipt(RECEIPT.unix_us + n))["content_hash"] for n in (0, 9)
    )

    assert first != later


def test_of_another_resource_scope_or_metric_is_another_hash() -> None:
    base = one(logs(record("x")))["content_hash"]
    gauge = {"data_points": [{"as_int": 1, "time_unix_nano": START_UNIX_NANO}]}

    assert one(logs(record("x"), resource={"service.name": "other"}))["content_hash"] != base
    hashes = {
        one(metrics(metric))["content_hash"]
        for metric in (Metric(name="a", gauge=gauge), Metric(name="b", gauge=gauge), Metric(name="a", sum=gauge))
    }
    assert len(hashes) == 3


def points() -> list[Metric]:
    at = {"start_time_unix_nano": START_UNIX_NANO - 5, "time_unix_nano": START_UNIX_NANO}
    exemplar = {"time_unix_nano": 3, "as_int": 4, "trace_id": TRACE_ID, "span_id": SPAN_ID}
    exemplar["filtered_attributes"] = key_values({"k": "v"})
    number = {**at, "as_int": 2**53 + 1, "attributes": key_values({"model": "a"}), "exemplars": [exemplar]}
    buckets = {"offset": -1, "bucket_counts": [1, 2]}
    measured = {**at, "count": 3, "sum": 0.5, "min": 0.0, "max": 0.25}
    exponential = {**at, "count": 3, "scale": 2, "zero_count": 1, "zero_threshold": 0.5, "positive": buckets}
    quantiles = [{"quantile": 0.5, "value": float("nan")}]
    return [
        Metric(name="g", unit="By", description="d", gauge={"data_points": [{**at, "as_double": float("inf")}]}),
        Metric(name="s", sum={"data_points": [number], "aggregation_temporality": 2, "is_monotonic": True}),
        Metric(
            name="h",
            metadata=key_values({"m": 1}),
            histogram={
                "data_points": [{**measured, "bucket_counts": [1, 2], "explicit_bounds": [0.1]}],
                "aggregation_temporality": 1,
            },
        ),
        Metric(name="e", exponential_histogram={"data_points": [exponential], "aggregation_temporality": 1}),
        Metric(name="q", summary={"data_points": [{**at, "count": 2**64 - 1, "sum": 9, "quantile_values": quantiles}]}),
        Metric(name="stale", gauge={"data_points": [{**at, "flags": 1}]}),
        Metric(name="nothing"),
    ]


def test_each_kind_of_point_has_its_columns() -> None:
    found = decoded(metrics(*points()))
    shared = {"project", "date", "name", "event_time", "is_missing", "received_at", "content_hash"}
    shared |= {name for name in METRIC_POINTS.schema.names if name.endswith(("_unix_nano", "attributes"))}
    own = [name for name in METRIC_POINTS.schema.names if name not in shared | {"service_name", "scope_name"}]
    by_name = {row["name"]: {name: row[name] for name in own if row[name] is not None} for row in rows(found)}

    assert found.outcomes == [Outcome(6)]
    exemplars = json.loads(by_name["s"].pop("exemplars"))
    distributions = {
        name: json.loads(row.pop("distribution")) for name, row in by_name.items() if "distribution" in row
    }
    assert by_name == {
        "g": {"description": "d", "unit": "By", "type": "gauge", "value_double": float("inf")},
        "s": {
            "type": "sum",
            "temporality": "cumulative",
            "is_monotonic": True,
            "value_double": float(2**53),
            "value_int": 2**53 + 1,
        },
        "h": {
            "type": "histogram",
            "temporality": "delta",
            "value_count": 3,
            "value_sum": 0.5,
            "value_min": 0.0,
            "value_max": 0.25,
            "metadata": '{"m":1}',
        },
        "e": {"type": "exponential_histogram", "temporality": "delta", "value_count": 3},
        "q": {"type": "summary", "value_count": 2**63 - 1, "value_sum": 9.0},
        "stale": {"type": "gauge"},
    }
    assert exemplars == [
        {
            "time_unix_nano": 3,
            "value": 4,
            "trace_id": TRACE_ID.hex(),
            "span_id": SPAN_ID.hex(),
            "attributes": {"k": "v"},
        }
    ]
    assert distributions == {
        "h": {"bucket_counts": [1, 2], "explicit_bounds": [0.1]},
        "e": {
            "scale": 2,
            "zero_count": 1,
            "zero_threshold": 0.5,
            "positive": {"offset": -1, "bucket_counts": [1, 2]},
            "negative": {"offset": 0, "bucket_counts": []},
        },
        "q": {"quantile_values": [{"quantile": 0.5, "value": {"$double": "NaN"}}]},
    }
    missing = {row["name"]: row["is_missing"] for row in rows(found)}
    assert missing == {"g": False, "s": False, "h": False, "e": False, "q": False, "stale": True}


def test_json_is_kept_as_protobuf_is() -> None:
    for body_format, message in (
        (Format.LOGS_JSON, logs(record("x", {"a": [1, "b"]}))),
        (Format.DATA_POINTS_JSON, metrics(Metric(name="m", gauge={"data_points": [{"as_double": 0.5}]}))),
    ):
        body = json.dumps(MessageToDict(message)).encode()
        found = KEPT[body_format]([(Request(body_format, body, "p"), RECEIPT)])

        assert rows(found) == rows(decoded(message))


def test_a_malformed_request_fails_alone() -> None:
    for body_format, message in ((Format.LOGS_PROTOBUF, logs(record("x"))), (Format.DATA_POINTS_PROTOBUF, metrics())):
        bodies = [message.SerializeToString(), b"\xff" * 9, message.SerializeToString()]
        found = KEPT[body_format]([(Request(body_format, body, "p"), RECEIPT) for body in bodies])

        assert [isinstance(each, CollectorError) for each in found.outcomes] == [False, True, False]


@pytest.mark.parametrize("kind", ["logs", "metrics"])
def test_a_resource_repeated_for_each_row_beyond_the_limit_is_refused(kind: str) -> None:
    resource = {"service.name": "s", "padding": "x" * 2**20}
    count = KEPT_BYTES_MAX // 2**20 + 9
    if kind == "logs":
        message: Message = logs(*(record("x") for _ in range(count)), resource=resource)
    else:
        gauge = {"data_points": [{"as_int": number} for number in range(count)]}
        message = metrics(Metric(name="m", gauge=gauge), resource=resource)
    body_format = Format.LOGS_PROTOBUF if kind == "logs" else Format.DATA_POINTS_PROTOBUF
    held_bytes = pa.total_allocated_bytes()

    (outcome,) = KEPT[body_format]([(Request(body_format, message.SerializeToString(), "p"), RECEIPT)]).outcomes

    assert isinstance(outcome, TooLargeError)
    assert "send it in parts" in str(outcome)
    assert pa.total_allocated_bytes() - held_bytes < 2**20


@given(st.lists(st.text(max_size=20), max_size=30))
def test_rows_of_many_requests_come_in_their_order(texts: list[str]) -> None:
    found = decoded(logs(), *(logs(record(text)) for text in texts))

    kept = dict(found.also).get("log_records")
    assert (kept["body"].to_pylist() if kept else []) == texts


def test_the_rows_are_of_the_tables_schemas() -> None:
    assert dict(decoded(logs(record("x"))).also)["log_records"].schema.equals(LOG_RECORDS.schema)
    assert decoded(metrics()).rows.schema.equals(METRIC_POINTS.schema)


def test_attributes_are_written_as_those_of_spans_are() -> None:
    attributes = {"d": 0.5, "nan": float("nan"), "b": b"x", "l": [1, {"k": None}], "m": {"$a": 1}, "i": -(2**63)}

    row = one(logs(record("x", attributes)))

    assert json.loads(row["attributes"]) == stored_attributes(attributes)


def test_requests_that_are_too_much_together_are_taken_one_by_one() -> None:
    resource = {"service.name": "s", "padding": "x" * 2**20}
    count = KEPT_BYTES_MAX // 2**20 * 2 // 3
    message = logs(*(record("x", time_unix_nano=number + 1) for number in range(count)), resource=resource)
    exported: list[int] = []

    class Counting:
        def consume(self, table: str, batch: pa.RecordBatch) -> int:
            exported.append(batch.num_rows)
            return int(batch.num_rows)

    pipeline = Pipeline(Counting(), decoders=KEPT)
    body = message.SerializeToString()
    futures = [pipeline.submit(Request(Format.LOGS_PROTOBUF, body, "p")) for _ in range(2)]
    pipeline.start()

    outcomes = [future.result(60) for future in futures]

    pipeline.stop()
    assert outcomes == [Outcome(count)] * 2
    assert exported == [count] * 2


@given(
    st.sampled_from(["logs", "metrics"]), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1)
)
def test_a_body_made_wrong_at_random_is_taken_or_refused(kind: str, changes: list[tuple[int, int]]) -> None:
    message: Message = logs(record({"a": [1]}, {"b": 2}, event_name="e")) if kind == "logs" else metrics(*points())
    body = bytearray(message.SerializeToString())
    for place, byte in changes:
        body[place % len(body)] = byte
    body_format = Format.LOGS_PROTOBUF if kind == "logs" else Format.DATA_POINTS_PROTOBUF

    found = KEPT[body_format]([(Request(body_format, bytes(body), "p"), RECEIPT)])

    (outcome,) = found.outcomes
    kept = found.rows.num_rows + sum(rows.num_rows for _, rows in found.also)
    assert isinstance(outcome, CollectorError) or outcome.accepted == kept


@pytest.mark.parametrize(("more", "is_refused"), [(0, False), (1, True)])
def test_a_request_has_a_limit_of_rows(more: int, is_refused: bool) -> None:
    gauge = {"data_points": [{} for _ in range(KEPT_ROWS_MAX + more)]}

    (outcome,) = decoded(metrics(Metric(name="m", gauge=gauge))).outcomes

    assert isinstance(outcome, TooLargeError) == is_refused
