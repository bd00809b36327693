"""The redactor: no wrapping hides a match, and what is not a match stays as it was."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.privacy.keyed_hash import KeyedHash
from collector.privacy.patterns import PATTERNS
from collector.privacy.redactor import Redactor

HASH = KeyedHash(b"k" * 32, "p")
NAMES = [pattern.name for pattern in PATTERNS]
REDACTOR = Redactor(NAMES, {"badge": r"\bBADGE-[0-9]{4}\b"}, HASH)
SECRETS = ["john@example.com", "4111111111111111", "+49 30 1234567", "BADGE-1234", "123-45-6789"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("before", ["", "\n", "\t", '"', "\\", "é ", "x\u00a0", "\x00"])
@pytest.mark.parametrize("wraps", range(4))
def test_json_in_json_hides_nothing(secret: str, before: str, wraps: int) -> None:
    text = before + secret
    for _ in range(wraps):
        text = json.dumps({"a": [text]})

    new = REDACTOR.text(text)

    assert secret not in new
    for _ in range(wraps):
        new = json.loads(new)["a"][0]
    assert new.startswith(before)
    assert new[len(before) :].startswith("[")


@pytest.mark.parametrize("secret", SECRETS)
def test_json_that_was_cut_off_hides_nothing(secret: str) -> None:
    for whole in (json.dumps({"text": f"\n{secret}"}), json.dumps({"text": secret}).replace("@", r"\u0040")):
        assert secret not in REDACTOR.text(whole[:-2]).replace(r"\u0040", "@")


def test_of_a_key_twice_in_json_both_values_are_searched() -> None:
    assert "john@" not in REDACTOR.text('{"a":"john@example.com","a":"ok"}')


def test_keys_numbers_and_bytes_are_searched() -> None:
    value = {"john@example.com": 1, "n": 4111111111111111, "b": {"$bytes": base64.b64encode(b"\xff a@b.de").decode()}}

    new = REDACTOR.value(value)

    assert new["[email]"] == 1
    assert new["n"] == "[payment_card]"
    assert base64.b64decode(new["b"]["$bytes"]) == b"\xff [email]"


@pytest.mark.parametrize(
    ("value", "new"),
    [
        (4111111111111111.0, "[payment_card]"),
        (4111111111111112.0, 4111111111111112.0),
        (4111111111111111.5, 4111111111111111.5),
        (float("1e300"), float("1e300")),
    ],
)
def test_a_double_that_is_a_whole_number_is_searched(value: float, new: object) -> None:
    assert REDACTOR.value({"n": [value]}) == {"n": [new]}


def test_keys_that_become_alike_are_all_kept() -> None:
    assert REDACTOR.value({"a@b.de": 1, "c@d.de": 2}) == {"$kvlist": [["[email]", 1], ["[email]", 2]]}


def test_what_is_nested_too_deep_to_be_searched_is_not_kept() -> None:
    value: Any = "john@example.com"
    for _ in range(500):
        value = [value]

    assert "john" not in json.dumps(REDACTOR.value(value))
    assert "john" not in REDACTOR.text(json.dumps(value))


def test_an_identifier_gets_a_pseudonym_that_tells_it_from_others_and_is_the_project_s_own() -> None:
    john, again, jane = (REDACTOR.identifier(text) for text in ("john@x.de", "john@x.de", "jane@x.de"))
    elsewhere = Redactor(NAMES, {}, KeyedHash(b"k" * 32, "another project")).identifier("john@x.de")

    assert john == again
    assert len({john, jane, elsewhere}) == 3
    assert john.startswith("[email:")


def test_an_expression_with_an_anchor_sees_each_text_by_itself() -> None:
    redactor = Redactor([], {"pin": "^[0-9]{4}$"}, HASH)

    assert redactor.value({"a": "1234", "b": "x 1234", "c": '{"d":"5678"}'}) == {
        "a": "[pin]",
        "b": "x 1234",
        "c": '{"d":"[pin]"}',
    }


_harmless = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('abc \n"\\é{}[]:,.', max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_harmless, st.sampled_from(SECRETS), st.integers(0, 3))
def test_a_secret_anywhere_in_a_value_is_found_and_json_stays_json(value: Any, secret: str, wraps: int) -> None:
    only = Redactor(["email", "us_ssn"], {"badge": r"\bBADGE-[0-9]{4}\b"}, HASH)
    if only.value("~" + secret) == "~" + secret:
        secret = SECRETS[0]
    text = json.dumps([value, {"k": f" {secret} "}])
    for _ in range(wraps):
        text = json.dumps({"wrapped": text})

    new = only.text(text)

    assert secret not in new
    for _ in range(wraps):
        new = json.loads(new)["wrapped"]
    assert json.loads(new)[0] == value
