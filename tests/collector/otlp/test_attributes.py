"""Attribute values keep all that OTLP can say: the inverse, written here, gives them back."""

import base64

import orjson
import pytest
from client_messages import any_value, key_values
from collector_inputs import any_values, decode, export, keys, sent_attributes, span, span_row
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.request import Format


def from_python(value: object) -> AnyValue:
    """Read docs/schema.md's form back into the value that it stands for."""
    match value:
        case None | bool() | int() | float() | str():
            return any_value(value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[from_python(item) for item in value]))
        case {"$bytes": str(encoded), **others} if not others:
            return AnyValue(bytes_value=base64.b64decode(encoded))
        case {"$double": str(name), **others} if not others:
            return AnyValue(double_value=float(name))
        case {"$kvlist": list(pairs), **others} if not others:
            return AnyValue(kvlist_value=KeyValueList(values=[pair_from(key, item) for key, item in pairs]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=[pair_from(key, item) for key, item in value.items()]))
    raise TypeError(type(value))


def pair_from(key: str, value: object) -> KeyValue:
    return KeyValue(key=key, value=from_python(value))


def attributes_json(pairs: list[KeyValue]) -> str:
    """Return the attributes of a span as the decoder writes them."""
    sent = span()
    sent.attributes.extend(pairs)
    (row,) = decode(export(sent), Format.OTLP_PROTOBUF).rows
    return str(row["attributes"])


def value_json(value: AnyValue) -> str:
    """Return an attribute's value as the decoder writes it."""
    return attributes_json([KeyValue(key="k", value=value)])[len('{"k":') : -1]


def canonical(message: AnyValue) -> bytes:
    # Compared as bytes, since NaN is not equal to itself.
    return bytes(message.SerializeToString(deterministic=True))


@given(any_values)
def test_every_value_comes_back_from_its_json(value: AnyValue) -> None:
    text = value_json(value)

    assert canonical(from_python(orjson.loads(text))) == canonical(value)


@given(st.dictionaries(keys, any_values, max_size=4))
def test_a_set_of_attributes_comes_back_from_its_json(attributes: dict[str, AnyValue]) -> None:
    pairs = [KeyValue(key=key, value=value) for key, value in attributes.items()]

    sent = span()
    sent.attributes.extend(pairs)
    (row,) = decode(export(sent), Format.OTLP_PROTOBUF).rows

    found = sent_attributes(row)

    assert {key: canonical(from_python(value)) for key, value in found.items()} == {
        key: canonical(value) for key, value in attributes.items()
    }


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (None, "null"),
        ("", '""'),
        ("日\0", '"日\\u0000"'),
        (True, "true"),
        (0, "0"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (float("nan"), '{"$double":"NaN"}'),
        (float("inf"), '{"$double":"Infinity"}'),
        (float("-inf"), '{"$double":"-Infinity"}'),
        (b"", '{"$bytes":""}'),
        (b"\xff\x00", '{"$bytes":"/wA="}'),
        ([], "[]"),
        ([[None], [b"a"]], '[[null],[{"$bytes":"YQ=="}]]'),
        ({}, "{}"),
        ({"a": {"b": [1, 1.5]}}, '{"a":{"b":[1,1.5]}}'),
        ({"$bytes": "not bytes"}, '{"$kvlist":[["$bytes","not bytes"]]}'),
        ({"a": 1, "$x": 2}, '{"$kvlist":[["a",1],["$x",2]]}'),
    ],
)
def test_a_value_has_the_json_that_the_schema_documents(value: object, json: str) -> None:
    text = value_json(any_value(value))

    assert text == json


def test_a_map_with_a_key_twice_keeps_both_in_order() -> None:
    twice = AnyValue(kvlist_value=KeyValueList(values=[*key_values({"a": 1}), *key_values({"a": 2})]))

    found = orjson.loads(value_json(twice))

    assert found == {"$kvlist": [["a", 1], ["a", 2]]}


def test_of_an_attribute_that_stands_twice_the_last_counts() -> None:
    pairs = [*key_values({"a": 1, "b": 0}), *key_values({"a": 2})]

    found = orjson.loads(attributes_json(pairs))

    assert found == {"a": 2, "b": 0}


@pytest.mark.parametrize(
    "attributes",
    [
        {"input.value": "weaker", "k": 1},
        {"llm.input_messages.0.role": "user", "llm.input_messages.0.content": "weaker"},
        {"gen_ai.prompt.0.content": "weaker", "input.value": "weakest"},
    ],
)
@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"name": "gen_ai.client.inference.operation.details", "key": "gen_ai.input.messages"}, "[1]"),
        ({"name": "gen_ai.user.message", "key": "content"}, '[{"role":"user","content":"[1]"}]'),
    ],
)
def test_an_attribute_that_an_event_outranks_stays_among_the_others(
    attributes: dict[str, object], event: dict[str, str], said: str
) -> None:
    sent = span(attributes)
    sent.events.add(name=event["name"], attributes=span({event["key"]: "[1]"}).attributes)

    (row,) = decode(export(sent), Format.OTLP_PROTOBUF).rows

    assert row["input"] == said
    assert orjson.loads(row["attributes"]) == attributes
    assert row["promoted"] is None


def test_a_member_of_json_fills_only_what_nothing_stronger_does() -> None:
    usage = '{"input":5,"input_cache_read":9,"total":70}'

    row = span_row(
        {
            "langfuse.observation.usage_details": usage,
            "gen_ai.usage.cache_read_tokens": 3,
            "llm.usage.total_tokens": "60",
        }
    )

    assert (row["input_tokens"], row["cache_read_tokens"], row["total_tokens"]) == (14, 3, 60)
