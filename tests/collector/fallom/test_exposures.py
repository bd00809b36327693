"""An exposure: its fields, and each of them in a wrong form."""

from __future__ import annotations

from typing import Any

import pytest
from collector_inputs import decode, stored

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


@pytest.mark.parametrize("index", [{}, {"variant_index": -1}])
@pytest.mark.parametrize("version", [{}, {"config_version": 3}, {"config_version": None}])
def test_a_fallback_needs_neither_version_nor_index(version: dict[str, Any], index: dict[str, Any]) -> None:
    document = body(reason="fallback", **index)
    del document["config_version"]

    (row,) = decode(document | version, Format.EXPOSURE).rows

    assert (row["reason"], row["variant_index"]) == ("fallback", -1)
    assert row["config_version"] == (version.get("config_version") or 0)


@pytest.mark.parametrize("index", [0, 1, -2])
def test_a_fallback_to_a_variant_is_refused(index: int) -> None:
    assert refused_field(body(reason="fallback", variant_index=index)) == "variant_index"


def test_an_assignment_of_the_servers_own_is_what_it_computed() -> None:
    made = body(customer_id="u", variant_index=1, reason="rule", source="ofrep")

    (row,) = decode(made, Format.ASSIGNMENT).rows

    computed = (row["computed_variant_index"], row["computed_model"], row["computed_reason"])
    assert computed == (row["variant_index"], row["assigned_model"], row["reason"]) == (1, "m", "rule")
    assert row["source"] == "ofrep"


def test_a_client_cannot_say_what_the_server_computed_nor_who_reported() -> None:
    (row,) = decode(body(source="ofrep", computed_model="x", computed_reason="rule"), Format.EXPOSURE).rows

    assert (row["source"], row["computed_model"], row["computed_reason"]) == ("sessions_api", None, None)


def hash_of(**changes: Any) -> int:
    (row,) = stored(decode(body(**changes), Format.EXPOSURE))
    found: int = row["content_hash"]
    return found


def test_a_report_that_says_the_same_has_the_same_hash_and_one_that_says_more_has_another() -> None:
    assert hash_of() == hash_of() == hash_of(session_id="t", config_key="d")
    said = [
        {},
        {"assigned_model": "n"},
        {"config_version": 3},
        {"customer_id": "u"},
        {"variant_index": 1},
        {"reason": "rule"},
    ]
    assert len({hash_of(**changes) for changes in said}) == len(said)


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
