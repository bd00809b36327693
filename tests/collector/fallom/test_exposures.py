"""An exposure: its fields, and each of them in a wrong form."""

from __future__ import annotations

from typing import Any

import pytest
from collector_inputs import decode

from collector.component import DecodeError
from collector.request import Format

WRONG_TEXTS: list[Any] = [None, "", True, 7, [], {}]
WRONG_INTEGERS: list[Any] = ["1", 1.0, True, [], 2**63, -(2**63) - 1]


def body(**changes: Any) -> dict[str, Any]:
    return {"config_key": "c", "config_version": 2, "session_id": "s", "assigned_model": "m"} | changes


def refused_field(document: dict[str, Any]) -> str | None:
    with pytest.raises(DecodeError) as refusal:
        decode(document, Format.EXPOSURE)
    return refusal.value.field


def test_a_client_that_knows_more_may_say_so() -> None:
    more = {"customer_id": "u", "variant_index": 1, "reason": "weight"}

    (row,) = decode(body(**more), Format.EXPOSURE).rows

    assert {name: row[name] for name in more} == more


@pytest.mark.parametrize("name", ["config_key", "session_id", "assigned_model"])
@pytest.mark.parametrize("value", WRONG_TEXTS, ids=repr)
def test_a_required_text_in_a_wrong_form_is_named(name: str, value: object) -> None:
    assert refused_field(body(**{name: value})) == name


@pytest.mark.parametrize("name", ["config_key", "session_id", "assigned_model", "config_version"])
def test_a_required_field_that_is_missing_is_named(name: str) -> None:
    document = body()
    del document[name]

    assert refused_field(document) == name


@pytest.mark.parametrize("value", [None, -1, *WRONG_INTEGERS], ids=repr)
def test_a_version_that_is_no_version_is_named(value: object) -> None:
    assert refused_field(body(config_version=value)) == "config_version"


@pytest.mark.parametrize("value", WRONG_INTEGERS, ids=repr)
def test_an_index_that_is_no_integer_is_named(value: object) -> None:
    assert refused_field(body(variant_index=value)) == "variant_index"


@pytest.mark.parametrize("name", ["customer_id", "reason"])
@pytest.mark.parametrize("value", [True, 7, [], {}], ids=repr)
def test_an_optional_text_of_another_type_is_named(name: str, value: object) -> None:
    assert refused_field(body(**{name: value})) == name
