"""Points 9 to 11: what becomes of the spans in a request, and of their values."""

import json
import secrets
from typing import Any

import pytest
from client_messages import Pairs, export_request, span, stored_attributes
from conformance.doors import DOORS, HTTP_JSON, TRACES, Door, HttpDoor, Target
from conformance.points import point

pytestmark = pytest.mark.e2e
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
json_door = pytest.mark.parametrize("door", [HTTP_JSON], ids=lambda door: door.name)
UNUSABLE = [
    ({"trace_id": bytes(16)}, "traceId"),
    ({"span_id": bytes(8)}, "spanId"),
    ({"trace_id": b"\1" * 15}, "traceId"),
    ({"span_id": b"\1" * 9}, "spanId"),
    ({"trace_id": b""}, "traceId"),
    ({"span_id": b""}, "spanId"),
]


def attributes_of(target: Target, name: str) -> dict[str, Any]:
    """Return what was stored of the one span of this name."""
    (row,) = target.sql(f"SELECT attributes FROM spans WHERE name = '{name}'")
    found: dict[str, Any] = json.loads(row["attributes"])
    return found


@point(9)
@each_door
@pytest.mark.parametrize(("fields", "words"), UNUSABLE)
def test_a_span_with_unusable_ids_is_rejected_alone_with_its_reason(
    target: Target, door: Door, fields: dict[str, bytes], words: str
) -> None:
    body = door.encode(export_request([span(), span(**fields), span()]))

    answer = door.send(target, body, TRACES)

    assert answer.code in (200, "OK")
    partial = answer.response.partial_success  # type: ignore[union-attr]
    assert partial.rejected_spans == 1
    assert words in partial.error_message


@point(9)
@each_door
def test_the_spans_beside_a_rejected_one_are_stored(target: Target, door: Door) -> None:
    name = secrets.token_hex(8)
    body = door.encode(export_request([span(name), span(name, trace_id=bytes(16)), span(name)]))

    door.send(target, body, TRACES)

    assert target.sql(f"SELECT count(*) AS n FROM spans WHERE name = '{name}'") == [{"n": 2}]


VALUES = {
    "text": "é🎉\u0000",
    "empty text": "",
    "empty value": None,
    "true": True,
    "false": False,
    "zero": 0,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "double": 0.1,
    "whole double": 3.0,
    "minus zero": -0.0,
    "not a number": float("nan"),
    "infinite": float("-inf"),
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "list": ["a", 1, 2.5, None, b"x", ["nested"], {"k": [1]}],
    "empty list": [],
    "map": {"a": {"b": {"c": [True, b"\xff"]}}, "": 1},
    "empty map": {},
    "key twice": Pairs((("k", 1), ("k", 2))),
}


@point(11)
@each_door
def test_every_kind_of_value_comes_back_as_it_was_sent(target: Target, door: Door) -> None:
    name = secrets.token_hex(8)

    door.send(target, door.encode(export_request([span(name, VALUES)])), TRACES)

    assert attributes_of(target, name) == stored_attributes(VALUES)


def send(target: Target, door: HttpDoor, attributes: list[dict[str, Any]] | None = None, **fields: Any) -> str:
    """Send one span with these fields, as they are spelled here; return its name."""
    name = secrets.token_hex(8)
    ids = {"traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8)}
    sent = {**ids, "name": name, "startTimeUnixNano": "1795262400000000000", "attributes": attributes or [], **fields}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]}).encode()
    answer = door.send(target, body, TRACES)
    assert (answer.code, answer.content) == (200, b"{}")
    return name


@point(10)
@json_door
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_ids_are_hex_digits_in_any_case(target: Target, door: HttpDoor, case: Any) -> None:
    trace_id, span_id = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"

    name = send(target, door, traceId=case(trace_id), spanId=case(span_id))

    found = target.sql(f"SELECT trace_id, span_id FROM spans WHERE name = '{name}'")
    assert found == [{"trace_id": trace_id, "span_id": span_id}]


@point(10)
@json_door
def test_unknown_fields_are_ignored_and_null_is_absent(target: Target, door: HttpDoor) -> None:
    name = send(target, door, unknown={"a": [1]}, kind=None, events=None, status=None, parentSpanId=None)

    (row,) = target.sql(f"SELECT kind, events, status_code, parent_span_id FROM spans WHERE name = '{name}'")
    assert row == {"kind": "unspecified", "events": None, "status_code": "unset", "parent_span_id": None}


@point(10)
@json_door
@pytest.mark.parametrize("kind", [3, "SPAN_KIND_CLIENT"])
def test_enums_are_numbers_or_names(target: Target, door: HttpDoor, kind: object) -> None:
    name = send(target, door, kind=kind, status={"code": "STATUS_CODE_ERROR" if kind != 3 else 2})

    (row,) = target.sql(f"SELECT kind, status_code FROM spans WHERE name = '{name}'")
    assert row == {"kind": "client", "status_code": "error"}


@point(10)
@json_door
def test_64_bit_integers_are_text_or_numbers(target: Target, door: HttpDoor) -> None:
    values = {"text": "9223372036854775807", "number": -5, "zero": "0"}

    attributes = [{"key": key, "value": {"intValue": value}} for key, value in values.items()]
    name = send(target, door, attributes, startTimeUnixNano=1_795_262_400_000_000_001)

    assert attributes_of(target, name) == {"text": 2**63 - 1, "number": -5, "zero": 0}


@point(10)
@json_door
def test_doubles_are_numbers_or_nan_and_infinity(target: Target, door: HttpDoor) -> None:
    values = [0.5, 3, "NaN", "Infinity", "-Infinity"]

    name = send(target, door, [{"key": str(n), "value": {"doubleValue": value}} for n, value in enumerate(values)])

    found = attributes_of(target, name)
    assert found == stored_attributes({"0": 0.5, "1": 3.0, "2": float("nan"), "3": float("inf"), "4": float("-inf")})


@point(10)
@json_door
def test_bytes_are_base64(target: Target, door: HttpDoor) -> None:
    name = send(target, door, [{"key": "b", "value": {"bytesValue": "AP/+"}}])

    assert attributes_of(target, name) == stored_attributes({"b": b"\x00\xff\xfe"})


@point(10)
@json_door
def test_names_in_snake_case_are_taken_too(target: Target, door: HttpDoor) -> None:
    name = secrets.token_hex(8)
    sent = {"trace_id": "1" * 32, "span_id": "2" * 16, "name": name, "start_time_unix_nano": "1795262400000000000"}
    sent["attributes"] = [{"key": "k", "value": {"string_value": "v"}}]  # type: ignore[assignment]
    body = json.dumps({"resource_spans": [{"scope_spans": [{"spans": [sent]}]}]}).encode()

    assert door.send(target, body, TRACES).content == b"{}"
    assert attributes_of(target, name) == {"k": "v"}
