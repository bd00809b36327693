"""What protobuf's parser would have to make of a body is known before it makes it."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import orjson
import pytest
from client_messages import export_request, otlp_json, span
from conformance.doors import with_hex_ids
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from mutations import mutated_bytes, mutated_json
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.component import DecodeError, TooLargeError
from collector.decoders import DECODERS
from collector.fallom.fields import VALUES_MAX, load_object
from collector.otlp.messages import ELEMENTS_MAX, count_elements, from_protobuf
from collector.request import Format, Outcome, Receipt, Request

BUCKETS = [2] * 80


def logs() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO", trace_id=b"1" * 16)
    record.body.array_value.values.add().kvlist_value.values.add(key="k").value.string_value = "é"
    record.attributes.add(key="empty")
    return message


def metrics() -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    point = metric.exponential_histogram.data_points.add(count=2)
    point.positive.bucket_counts.extend(BUCKETS)
    return message


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (ExportLogsServiceRequest(), 0),
        # Resource, scope, record; body, list, value, map, pair, value; attribute.
        (logs(), 10),
        # Resource, scope, metric, histogram, point, buckets; one list of scalars, and ten times eight of them.
        (metrics(), 6 + 1 + 10),
    ],
)
def test_messages_and_lists_of_scalars_are_counted(message: Message, count: int) -> None:
    assert count_elements(message.SerializeToString(), message.DESCRIPTOR) == count


@pytest.mark.parametrize("message", [logs(), metrics()])
def test_what_can_t_be_counted_is_what_protobuf_refuses(message: Message) -> None:
    chance, whole = random.Random(11), message.SerializeToString()
    seen = set()
    for _ in range(3_000):
        body = mutated_bytes(chance, whole)
        try:
            type(message).FromString(body)
            is_accepted = True
        except ProtobufDecodeError:
            is_accepted = False
        count = count_elements(body, message.DESCRIPTOR)
        assert count >= 0 or not is_accepted, body
        seen.add((is_accepted, count >= 0))
    assert {(True, True), (False, False)} <= seen


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        # Each two bytes are an empty resource.
        (ExportLogsServiceRequest, b"\x0a\x00" * (ELEMENTS_MAX + 1)),
        (ExportMetricsServiceRequest, b"\x0a\x00" * (ELEMENTS_MAX + 1)),
    ],
)
def test_a_body_of_too_many_messages_is_refused_unparsed(kind: type[Message], body: bytes) -> None:
    with pytest.raises(TooLargeError, match=f"at most {ELEMENTS_MAX} messages in an {kind.DESCRIPTOR.name}"):
        from_protobuf(kind)(body)


def test_scalars_of_a_byte_each_are_counted_too() -> None:
    message = metrics()
    histogram = message.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram
    histogram.data_points[0].positive.bucket_counts.extend([1] * 8 * ELEMENTS_MAX)

    with pytest.raises(TooLargeError):
        from_protobuf(ExportMetricsServiceRequest)(message.SerializeToString())


def test_a_body_of_too_many_values_in_json_is_refused_unparsed() -> None:
    enough = orjson.dumps({"a": "," * (VALUES_MAX // 2), "b": [1] * (VALUES_MAX // 4)})
    body = b'{"resourceLogs":[' + b"{}," * VALUES_MAX + b"{}]}"

    assert load_object(enough).keys() == {"a", "b"}
    with pytest.raises(TooLargeError, match="values in a body of JSON"):
        load_object(body)


# In a process of its own: only there is the peak of memory that of the body.
PEAK = """
import resource, sys
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from collector.otlp.messages import ELEMENTS_MAX, from_protobuf

read = from_protobuf(ExportLogsServiceRequest)
read(b"")
read(b"\\x0a\\x00")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
message = read(b"\\x0a\\x00" * ELEMENTS_MAX)
print(len(message.resource_logs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_as_many_messages_as_are_allowed_take_less_than_a_quarter_of_a_gigabyte() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)

    count, grown_kib = map(int, done.stdout.split())
    assert count == ELEMENTS_MAX
    assert grown_kib // (1024 if sys.platform == "darwin" else 1) < 256 * 1024


EXPORT = export_request(
    [span("a", {"text": "x", "n": 1, "l": [1.5, True], "b": b"x", "m": {"k": {"j": [1]}}}), span("b")]
)
DOCUMENTS = {
    Format.JSON_TRACES: otlp_json(EXPORT),
    Format.LOGS_JSON: with_hex_ids(MessageToDict(logs())),
    Format.DATA_POINTS_JSON: MessageToDict(metrics()),
}


@pytest.mark.parametrize("body_format", DOCUMENTS)
def test_json_made_wrong_at_random_is_taken_or_refused_and_nothing_else(body_format: Format) -> None:
    chance = random.Random(12)
    seen = set()

    for _ in range(1_500):
        body = json.dumps(mutated_json(chance, DOCUMENTS[body_format])).encode()
        (outcome,) = DECODERS[body_format]([(Request(body_format, body, "p"), Receipt(1))]).outcomes
        seen.add(type(outcome))

    assert seen == {Outcome, DecodeError}
