"""Custom metrics of a session: each type of value, and what is refused by name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from collector_inputs import RECEIVED_AT, decode, stored

from collector.component import DecodeError
from collector.fallom.metrics import METRICS_MAX
from collector.request import Format

WRONG: list[Any] = [None, "", True, 7, [], {}]


def body(**changes: Any) -> dict[str, Any]:
    return {"config_key": "c", "session_id": "s", "data": {"score": 1}} | changes


def refused_field(document: dict[str, Any]) -> str | None:
    with pytest.raises(DecodeError) as refusal:
        decode(document, Format.METRICS)
    return refusal.value.field


@pytest.mark.parametrize(
    ("value", "value_type", "value_double", "value_string"),
    [
        (3, "number", 3.0, None),
        (-0.5, "number", -0.5, None),
        (2**64 - 1, "number", float(2**64), None),
        (1e308, "number", 1e308, None),
        (True, "boolean", 1.0, None),
        (False, "boolean", 0.0, None),
        ("good", "string", None, "good"),
        ("", "string", None, ""),
        ("a\0b", "string", None, "a\0b"),
        ("日" * 3_500_000, "string", None, "日" * 3_500_000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_metric_of_each_type_is_one_row(
    value: object, value_type: str, value_double: float | None, value_string: str | None
) -> None:
    (row,) = stored(decode(body(data={"score": value}), Format.METRICS))

    assert row == {
        "project": "p",
        "config_key": "c",
        "session_id": "s",
        "name": "score",
        "value_type": value_type,
        "value_double": value_double,
        "value_string": value_string,
        "event_time": RECEIVED_AT,
        "received_at": RECEIVED_AT,
    }


def test_several_metrics_are_a_row_each_and_none_are_none() -> None:
    several = decode(body(data={"a": 1, "b": "x"}), Format.METRICS)
    none = decode(body(data={}), Format.METRICS)

    assert [row["name"] for row in several.rows] == ["a", "b"]
    assert none.rows == []


@pytest.mark.parametrize("name", ["config_key", "session_id"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_required_text_in_a_wrong_form_is_named(name: str, value: object) -> None:
    assert refused_field(body(**{name: value})) == name


@pytest.mark.parametrize("value", [None, "", 7, True, [], [{"a": 1}]], ids=repr)
def test_data_that_is_no_object_is_named(value: object) -> None:
    assert refused_field(body(data=value)) == "data"


@pytest.mark.parametrize("value", [None, [], {}, [1], {"value": 1}], ids=repr)
def test_a_metric_that_is_no_number_boolean_or_string_is_named(value: object) -> None:
    assert refused_field(body(data={"good": 1, "bad": value})) == "data.bad"


def test_a_metric_without_a_name_is_refused() -> None:
    assert refused_field(body(data={"": 1})) == "data"


def test_as_many_metrics_as_allowed_are_taken_and_one_more_is_refused() -> None:
    allowed = {f"m{number}": number for number in range(METRICS_MAX)}

    taken = decode(body(data=allowed), Format.METRICS)

    assert len(taken.rows) == METRICS_MAX
    assert refused_field(body(data=allowed | {"more": 1})) == "data"


def test_a_deep_value_in_a_wrong_place_is_refused_by_name() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    in_key = orjson.dumps(body(config_key=0)).replace(b'"config_key":0', b'"config_key":' + deep)

    with pytest.raises(DecodeError) as refusal:
        decode(in_key, Format.METRICS)

    assert refusal.value.field == "config_key"
