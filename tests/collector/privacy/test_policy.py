"""The policy: what is not known or can't work is refused, with what could have been meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collector.privacy.expressions import is_anchored
from collector.privacy.keyed_hash import read_key
from collector.privacy.policy import PrivacyPolicy


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"contents": "drop"}, "no such setting: got 'contents' (did you mean 'content'?); there are: content, "),
        ({"content": "drp"}, "no such choice: got 'drp' (did you mean 'drop'?); there are: keep, drop, hash, mask"),
        ({"redact": ["email", "credit_card"]}, "(did you mean 'payment_card'?)"),
        ({"patterns": {"a": "("}}, "a: not a regular expression: missing ): (, got '('"),
        ({"patterns": {"a": "(?<=x)y"}}, "RE2 has no look-around"),
        ({"patterns": {"a": r"(x)\1"}}, "not a regular expression"),
        ({"patterns": {"a": "x*"}}, "it matches the empty text"),
        ({"patterns": {"a": "((((x{100}){100}){100}){100})"}}, "not a regular expression"),
        ({"patterns": {"a": "x" * 2_001}}, "at most 2000 characters allowed, got 2001"),
        ({"patterns": {"A b": "x"}}, "a pattern's name has letters a to z"),
        ({"patterns": {f"p{n}": "x" for n in range(101)}}, "at most 100 own patterns allowed, got 101"),
        ({"deny": ["*"]}, "got '*'"),
        ({"deny": ["a*b"]}, "got 'a*b'"),
        ({"content_attributes": [""]}, "got ''"),
    ],
    ids=str,
)
def test_what_can_t_be_meant_is_refused(policy: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PrivacyPolicy.model_validate(policy)

    assert told in str(caught.value)


@pytest.mark.parametrize("expression", ["^a", "a$", r"\Aa", r"a\z", "(?m)^a", "a|b$"])
def test_an_expression_that_looks_at_the_ends_is_known(expression: str) -> None:
    assert is_anchored(expression)


@pytest.mark.parametrize("expression", ["a", r"\$5", r"\^a", "[^a]b", r"\ba\b", r"\\A", "zA"])
def test_one_that_does_not_is_known_too(expression: str) -> None:
    assert not is_anchored(expression)


def test_the_key_is_made_once_and_is_for_the_server_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"

    key = read_key(path)

    assert read_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")

    with pytest.raises(ValueError, match="16 to 64 bytes of a key expected, got 5"):
        read_key(tmp_path / "key")
