"""OTLP/JSON says what the protobuf says, in every spelling that clients use; a refusal names its field."""

from __future__ import annotations

import base64
import math
from typing import Any

import orjson
import pytest
from collector_inputs import any_values, decode, doubles, texts
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.component import DecodeError
from collector.otlp import json_body
from collector.otlp.json import DEPTH_MAX, to_protobuf
from collector.request import Format

HEX_FIELDS = {"trace_id", "span_id", "parent_span_id"}
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}
SCALARS = {
    **INTEGERS,
    FieldDescriptor.CPPTYPE_DOUBLE: doubles,
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values]) | st.integers(0, 9)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=17)
    return SCALARS.get(field.cpp_type, texts)


@st.composite
def messages(draw: st.DrawFn, kind: type[Message], repeated_max: int = 2) -> Any:
    """Any message of a kind, from its descriptor alone."""
    if kind is AnyValue:
        return draw(any_values)
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=1)))
            elif draw(st.booleans()):
                setattr(message, field.name, draw(scalars(field)))
        elif field.is_repeated:
            items = messages(field.message_type._concrete_class, 1)
            getattr(message, field.name).extend(draw(st.lists(items, max_size=repeated_max)))
        elif draw(st.booleans()):
            getattr(message, field.name).CopyFrom(draw(messages(field.message_type._concrete_class, 1)))
    return message


@st.composite
def spellings(draw: st.DrawFn, message: Message) -> dict[str, Any]:
    """One of the JSON texts, as an object, that mean the message."""
    is_camel = draw(st.booleans())
    document: dict[str, Any] = {"unknownField": {"a": [None]}} if draw(st.booleans()) else {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        name = field.json_name if is_camel else field.name
        is_absent = (
            not message.HasField(field.name) if field.has_presence else not value and not isinstance(value, float)
        )
        if is_absent:
            if draw(st.booleans()):
                document[name] = None
        elif field.is_repeated:
            document[name] = [draw(spelling(field, item)) for item in value]
        else:
            document[name] = draw(spelling(field, value))
    return document


def spelling(field: FieldDescriptor, value: Any) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return spellings(value)
    if field.cpp_type in INTEGERS:
        exact_doubles = [float(value)] if abs(value) < 2**53 else []
        return st.sampled_from([value, str(value), *exact_doubles])
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        named = field.enum_type.values_by_number.get(value)
        return st.sampled_from([value, named.name] if named else [value])
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return double_spelling(value)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return st.just(value)
    if field.name in HEX_FIELDS:
        return st.sampled_from([value.hex(), value.hex().upper()])
    standard, safe = base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode()
    return st.sampled_from([standard, safe, standard.rstrip("=")])


def double_spelling(value: float) -> st.SearchStrategy[Any]:
    if math.isnan(value):
        return st.just("NaN")
    if math.isinf(value):
        return st.just("Infinity" if value > 0 else "-Infinity")
    return st.sampled_from([value, repr(value)])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_trace_request_as_json_becomes_the_bytes_that_protobuf_itself_writes(data: st.DataObject) -> None:
    message = data.draw(messages(ExportTraceServiceRequest))
    body = orjson.dumps(data.draw(spellings(message)))

    found = to_protobuf(orjson.loads(body))
    compiled = json_body.to_protobuf(body)

    assert found == message.SerializeToString(deterministic=True)
    assert compiled is None or compiled == found


@pytest.mark.parametrize("kind", [ExportLogsServiceRequest, ExportMetricsServiceRequest])
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_request_of_logs_and_metrics_as_json_becomes_the_same_message(
    kind: type[Message], data: st.DataObject
) -> None:
    message = data.draw(messages(kind))
    body = orjson.dumps(data.draw(spellings(message)))

    found = kind.FromString(to_protobuf(orjson.loads(body), kind.DESCRIPTOR))

    assert found.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_trace_request_as_json_and_as_protobuf_makes_the_same_rows(data: st.DataObject) -> None:
    message = data.draw(messages(ExportTraceServiceRequest))
    body = orjson.dumps({"resourceSpans": [], **data.draw(spellings(message))})

    as_json = decode(body, Format.JSON_TRACES)
    as_protobuf = decode(message.SerializeToString(deterministic=True), Format.OTLP_PROTOBUF)

    assert as_json.decoded.rows.equals(as_protobuf.decoded.rows)
    assert as_json.decoded.outcomes == as_protobuf.decoded.outcomes


def test_texts_of_any_size_and_keys_of_any_size_are_written_as_protobuf_writes_them() -> None:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    for size in (0, 1, 119, 127, 128, 3_999, 4_000, 16_000, 16_383, 16_384, 70_000):
        span.attributes.add(key="é" * (size // 2)).value.string_value = "ü" * size

    found = to_protobuf(MessageToDict(message))

    assert found == message.SerializeToString(deterministic=True)


def test_of_two_kinds_of_one_value_the_last_counts() -> None:
    document = attribute_with({"stringValue": "x", "intValue": "5", "boolValue": None})

    found = ExportTraceServiceRequest.FromString(to_protobuf(document))

    assert found.resource_spans[0].scope_spans[0].spans[0].attributes[0].value == AnyValue(int_value=5)


def span_with(**fields: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


def attribute_with(value: Any) -> dict[str, Any]:
    return span_with(attributes=[{"key": "k", "value": value}])


SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"
VALUE = f"{SPAN}.attributes[0].value"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"resourceSpans": {}}, "resourceSpans"),
        ({"resourceSpans": "x"}, "resourceSpans"),
        ({"resource_spans": [1]}, "resource_spans[0]"),
        ({"resourceSpans": [{"scopeSpans": 1}]}, "resourceSpans[0].scopeSpans"),
        ({"resourceSpans": [{"resource": []}]}, "resourceSpans[0].resource"),
        (span_with(traceId="xyz0"), f"{SPAN}.traceId"),
        (span_with(traceId=7), f"{SPAN}.traceId"),
        (span_with(spanId="é0"), f"{SPAN}.spanId"),
        (span_with(parent_span_id="0 "), f"{SPAN}.parent_span_id"),
        (span_with(name=1), f"{SPAN}.name"),
        (span_with(kind="client"), f"{SPAN}.kind"),
        (span_with(kind=True), f"{SPAN}.kind"),
        (span_with(kind=2**31), f"{SPAN}.kind"),
        (span_with(kind=1.5), f"{SPAN}.kind"),
        (span_with(startTimeUnixNano="soon"), f"{SPAN}.startTimeUnixNano"),
        (span_with(startTimeUnixNano="9" * 5000), f"{SPAN}.startTimeUnixNano"),
        (span_with(startTimeUnixNano=-1), f"{SPAN}.startTimeUnixNano"),
        (span_with(endTimeUnixNano=1.5), f"{SPAN}.endTimeUnixNano"),
        (span_with(endTimeUnixNano=str(2**64)), f"{SPAN}.endTimeUnixNano"),
        (span_with(endTimeUnixNano=True), f"{SPAN}.endTimeUnixNano"),
        (span_with(droppedAttributesCount=2**32), f"{SPAN}.droppedAttributesCount"),
        (span_with(status={"code": "GOOD"}), f"{SPAN}.status.code"),
        (span_with(status="OK"), f"{SPAN}.status"),
        (span_with(events=[{"timeUnixNano": []}]), f"{SPAN}.events[0].timeUnixNano"),
        (span_with(attributes={"k": 1}), f"{SPAN}.attributes"),
        (attribute_with("text"), VALUE),
        (attribute_with({"intValue": "1.5"}), f"{VALUE}.intValue"),
        (attribute_with({"intValue": 2**63}), f"{VALUE}.intValue"),
        (attribute_with({"intValue": 1e300}), f"{VALUE}.intValue"),
        (attribute_with({"boolValue": "true"}), f"{VALUE}.boolValue"),
        (attribute_with({"boolValue": 1}), f"{VALUE}.boolValue"),
        (attribute_with({"doubleValue": "much"}), f"{VALUE}.doubleValue"),
        (attribute_with({"doubleValue": True}), f"{VALUE}.doubleValue"),
        *(
            (attribute_with({"doubleValue": text}), f"{VALUE}.doubleValue")
            for text in ("1_0", " 1", "nan", "inf", "", "e")
        ),
        (attribute_with({"stringValue": 1}), f"{VALUE}.stringValue"),
        (attribute_with({"bytesValue": "a"}), f"{VALUE}.bytesValue"),
        (attribute_with({"bytesValue": "?"}), f"{VALUE}.bytesValue"),
        (attribute_with({"arrayValue": {"values": [3]}}), f"{VALUE}.arrayValue.values[0]"),
        (attribute_with({"intValue": "1_000"}), f"{VALUE}.intValue"),
        (attribute_with({"intValue": "٣"}), f"{VALUE}.intValue"),
        (attribute_with({"kvlistValue": {"values": [{"key": 1}]}}), f"{VALUE}.kvlistValue.values[0].key"),
        (span_with(attributes=[{"key": "a"}, {"key": 5, "value": {}}]), f"{SPAN}.attributes[1].key"),
        (span_with(attributes=[{"key": "a", "value": {"intValue": []}, "b": 1}]), f"{VALUE}.intValue"),
    ],
)
def test_a_refusal_names_the_field(document: dict[str, Any], field: str) -> None:
    parsed = orjson.loads(orjson.dumps(document))

    with pytest.raises(DecodeError) as refusal:
        to_protobuf(parsed)

    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"{field}: ")
    assert len(str(refusal.value)) < 250


def test_a_value_nested_too_deep_is_refused() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(DEPTH_MAX):
        value = {"arrayValue": {"values": [value]}}

    with pytest.raises(DecodeError, match=f"nested deeper than {DEPTH_MAX}"):
        to_protobuf(attribute_with(value))


def test_a_deep_value_in_a_wrong_place_is_refused_by_name() -> None:
    deep = orjson.loads(b"[" * 1000 + b"]" * 1000)

    with pytest.raises(DecodeError) as refusal:
        to_protobuf(span_with(name=deep))

    assert refusal.value.field == f"{SPAN}.name"


def test_an_empty_object_in_a_value_is_present_and_null_is_absent() -> None:
    document = span_with(
        attributes=[
            {"key": "list", "value": {"arrayValue": {}, "stringValue": None}},
            {"key": "none", "value": {"stringValue": None}},
            {"key": "text", "value": {"stringValue": ""}},
        ]
    )

    found = ExportTraceServiceRequest.FromString(to_protobuf(document))

    attributes = found.resource_spans[0].scope_spans[0].spans[0].attributes
    assert [pair.value.WhichOneof("value") for pair in attributes] == ["array_value", None, "string_value"]


@pytest.mark.parametrize("digits", [1, 15, 17, 29, 31, 33, 35])
def test_half_a_byte_never_makes_an_id_right(digits: int) -> None:
    document = span_with(traceId="a" * digits, spanId="a" * digits, parentSpanId="a" * digits)

    found = ExportTraceServiceRequest.FromString(to_protobuf(document)).resource_spans[0].scope_spans[0].spans[0]

    assert len(found.trace_id) not in (0, 16)
    assert len(found.span_id) not in (0, 8)
    assert len(found.parent_span_id) not in (0, 8)
