"""Compiled, OTLP/JSON becomes the bytes that Python makes of it, or is left to Python."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from otlp_decoder.guards import guarded

from collector.component import CollectorError
from collector.otlp import json_body
from collector.otlp.compiled.memory import PADDING, Workspace
from collector.otlp.json import to_protobuf


def document(**fields: Any) -> dict[str, Any]:
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat", **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def attribute(value: Any) -> dict[str, Any]:
    return document(attributes=[{"key": "k", "value": value}])


def in_python(body: bytes) -> bytes | None:
    try:
        loaded = orjson.loads(body)
        return to_protobuf(loaded) if isinstance(loaded, dict) else None
    except (CollectorError, orjson.JSONDecodeError):
        return None


USUAL = {
    "ids": document(parentSpanId="00f067aa0ba902b7"),
    "no parent": document(parentSpanId=""),
    "upper case": document(parentSpanId="00F067AA0BA902B7"),
    "snake case": {"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": "ab" * 16, "kind": 3}]}]}]},
    "times": document(startTimeUnixNano="1795262400000000000", endTimeUnixNano=1795262401000000000),
    "no time": document(startTimeUnixNano="0", endTimeUnixNano=0),
    "status": document(status={"code": 2, "message": "failed"}, droppedAttributesCount=0, flags=257),
    "any order": {"resourceSpans": [{"scopeSpans": [{"spans": [], "scope": {"version": "1", "name": "n"}}]}]},
    "null": document(status=None, attributes=None, events=[None]),
    "unknown": document(unknown={"a": [1, {"b": None}]}, **{"": 1, "k": 2}),
    "text": attribute({"stringValue": "a é 日本 🎉"}),
    "empty text": attribute({"stringValue": ""}),
    "escapes": attribute({"stringValue": '"\\/\b\f\n\r\t\x00\x1f\x7f'}),
    "long text": attribute({"stringValue": 'word "' * 5_000}),
    "integer": attribute({"intValue": "42"}),
    "negative": attribute({"intValue": "-42"}),
    "integer as number": attribute({"intValue": -42}),
    "leading noughts": attribute({"intValue": "-0042"}),
    "double": attribute({"doubleValue": 0.7}),
    "double of many digits": attribute({"doubleValue": 0.30000000000000004}),
    "negative double": attribute({"doubleValue": -1234.5678}),
    "whole double": attribute({"doubleValue": 3}),
    "bool": attribute({"boolValue": False}),
    "nothing": attribute({}),
    "list": attribute({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {}]}}),
    "map": attribute({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}),
    "event": document(events=[{"timeUnixNano": "5", "name": "e", "attributes": [{"key": "k", "value": {}}]}]),
    "link": document(links=[{"traceId": "ab" * 16, "spanId": "cd" * 8}]),
    "empty": {"resourceSpans": []},
    "null for all": {"resourceSpans": None},
}


@pytest.mark.parametrize("spelling", ["compact", "spaced", "ascii"])
@pytest.mark.parametrize("name", USUAL)
def test_what_clients_send_is_encoded_as_python_encodes_it(name: str, spelling: str) -> None:
    body = {
        "compact": lambda: orjson.dumps(USUAL[name]),
        "spaced": lambda: f" \n{json.dumps(USUAL[name], indent=2, ensure_ascii=False)}\r\n".encode(),
        "ascii": lambda: json.dumps(USUAL[name]).encode(),
    }[spelling]()

    found = json_body.to_protobuf(body)

    assert found is not None
    assert found == to_protobuf(orjson.loads(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name":"a flat trace"}',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[]',
        b'{"resourceSpans":[]}}',
        b'{"resourceSpans":[],"resource_spans":[]}',
        b'{"resourceSpans":[],"x":1e999}',
        b'{"resourceSpans":[],"x":"\xff"}',
        b'{"resourceSpans":[],"x":"\\ud800"}',
        b'{"resource\\u0053pans":[]}',
        orjson.dumps(document(traceId="ab")),
        orjson.dumps(document(traceId="zz" * 16)),
        orjson.dumps(document(kind="SPAN_KIND_CLIENT")),
        orjson.dumps(document(startTimeUnixNano="18446744073709551615")),
        orjson.dumps(document(startTimeUnixNano="-1")),
        orjson.dumps(document(name=5)),
        orjson.dumps(attribute({"stringValue": "a", "intValue": "5"})),
        orjson.dumps(attribute({"intValue": 5.0})),
        orjson.dumps(attribute({"intValue": ""})),
        orjson.dumps(attribute({"intValue": "-"})),
        orjson.dumps(attribute({"doubleValue": -0.0})),
        orjson.dumps(attribute({"doubleValue": 1e-9})),
        orjson.dumps(attribute({"doubleValue": "NaN"})),
        orjson.dumps(attribute({"bytesValue": "YQ=="})),
        orjson.dumps(attribute(json.loads('{"arrayValue":{"values":[' * 40 + "]}}" * 40))),
    ],
)
def test_what_is_rare_or_wrong_is_left_to_python(body: bytes) -> None:
    assert json_body.to_protobuf(body) is None


def test_any_change_of_a_body_is_encoded_as_python_encodes_it_or_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory that ends where the page ends: a load or store beyond kills the process.
    def guarded_bytes(_workspace: Workspace, _name: str, size_bytes: int) -> NDArray[np.uint8]:
        return guarded(size_bytes + PADDING)

    monkeypatch.setattr(Workspace, "bytes", guarded_bytes)
    chance = random.Random(6)
    bodies = [json.dumps(each, ensure_ascii=False).encode() for name, each in USUAL.items() if name != "long text"]
    encoded = 0
    for _ in range(6_000):
        body = changed(chance.choice(bodies), chance)
        found = json_body.to_protobuf(body)
        if found is not None:
            encoded += 1
            assert found == in_python(body), body

    assert encoded > 500


PIECES = (
    b'"',
    b"\\",
    b"\\u00e9",
    b"\\ud83d",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"-",
    b"0",
    b"1.5",
    b" ",
    b"\xc3",
    b"null",
)


def changed(body: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(body))
    match chance.randrange(4):
        case 0:
            return body[:place]
        case 1:
            return body[:place] + body[place + 1 + chance.randrange(6) :]
        case 2:
            return body[:place] + chance.choice(PIECES) + body[place:]
        case _:
            return body[:place] + chance.choice(PIECES) + body[place + 1 :]
