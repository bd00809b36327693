"""The named patterns: what they find, and what looks like it and is not."""

from __future__ import annotations

import time

import pytest

from collector.privacy.keyed_hash import KeyedHash
from collector.privacy.patterns import PATTERNS
from collector.privacy.redactor import Redactor

HASH = KeyedHash(b"k" * 32, "p")
ALL = Redactor([pattern.name for pattern in PATTERNS], {}, HASH)
TRUE = {
    "email": [
        "john@example.com",
        "j.o'neil+news@mail.example.co.uk",
        "jörg@müller.de",
        "a_b@x-y.io",
        "john%40example.com",
        "john＠example.com",
    ],
    "phone": [
        "+49 30 1234567",
        "+49 (0)30 123-4567",
        "+14155552671",
        "0049 30 1234567",
        "(415) 555-2671",
        "415-555-2671",
        "415.555.2671",
        "1-415-555-2671",
        "030/12345678",
        "0171 12345678",
    ],
    "payment_card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "3782 822463 10005",
        "6011000990139424",
        "3530111333300000",
        "4222222222222",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111.1111.1111.1111",
    ],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO9386011117947"],
    "us_ssn": ["123-45-6789"],
    "ip_address": ["10.0.0.12", "2001:db8::1", "fe80::1", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"],
    "api_key": [
        "sk-proj-abcdefghij0123456789",
        "sk-ant-api03-abcdefghij0123456789",
        "sk_live_abcdefghij012345",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijkl_x",
        "glpat-abcdefghij0123456789",
        "xoxb-123456789012-abcdefghij",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "Bearer abcdefghijklmnop.qrstuv-12345",
    ],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN"],
    "private_key": [
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA",
    ],
    "url_password": ["hunter2"],
}
FALSE = [
    "0af7651916cd43dd8448eb211c80319c",
    "b7ad6b7169203331",
    "550e8400-e29b-41d4-a716-446655440000",
    "1795262400000000000",
    "1795262400000",
    "2026-11-21T02:40:52.231Z",
    "2026-11-21 02:40:52+00:00",
    "21.11.2026 14:30",
    "0.4111111111111111",
    "-73.98765432109876",
    "4.111111111111111e-05",
    "1e+10000000",
    "gpt-4o-2024-08-06",
    "claude-sonnet-4-5-20250929",
    "text-embedding-3-small",
    "temperature 0.7, 128000 tokens, 512 256 1024",
    "4111111111111112",
    "1234567890123456",
    "0000000000000000",
    "id4111111111111111x",
    "000-12-3456 666-12-3456 123-00-4567",
    "GB82WEST12345698765433",
    "std::vector<int> a::b 12:34:56",
    "v1.2.3 999.1.1.1 1.2.3.4.5",
    "@decorator user@localhost @media",
    "sk-short eyJx.y AKIA123",
    "https://example.com:8080/path?at=@x",
    "price: $1,234,567.89",
    "ISBN 978-3-16-148410-0",
    "-----BEGIN CERTIFICATE-----",
    "chatcmpl-9xYz0123456789abcdefghij",
    "call_abcdefghij0123456789ABCD",
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in TRUE.items() for text in texts])
def test_a_pattern_finds(name: str, text: str) -> None:
    only = Redactor([name], {}, HASH)
    before, after = ("https://user:", "@host/x") if name == "url_password" else ("say: ", ", please")

    assert only.text(before + text + after) in (f"{before}[{name}]{after}", f"{before}[{name}]")
    assert text not in ALL.text(before + text + after)


@pytest.mark.parametrize("text", FALSE)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert ALL.text(text) == text
    assert ALL.text(f"say: {text}, please") == f"say: {text}, please"


def test_every_pattern_has_examples() -> None:
    assert set(TRUE) == {pattern.name for pattern in PATTERNS}


def test_several_in_a_row_are_each_found() -> None:
    assert ALL.text("1234 4111 1111 1111 1111 5500000000000004") == "1234 [payment_card] [payment_card]"
    assert ALL.text("a@b.de,c@d.de a@b.de") == "[email],[email] [email]"


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000 + "@", "1" * 1_000_000, "1 " * 500_000, "+1" * 500_000, "a:" * 500_000, "eyJaaaaaaaa." * 80_000],
    ids=["letters", "digits", "groups", "plus", "colons", "tokens"],
)
def test_no_text_takes_more_than_time_linear_in_its_length(text: str) -> None:
    began = time.process_time()

    ALL.text(text)

    # About 10 ns a byte and 10 µs a candidate; what grows with the square would take minutes.
    assert time.process_time() - began < 20


@pytest.mark.parametrize("expression", [r"(a*)*b", r"(a|aa)+$", r"(.*){1,50}x", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_an_own_expression_that_others_can_t_bear_is_linear_too(expression: str) -> None:
    redactor = Redactor([], {"own": expression}, HASH)
    began = time.process_time()

    redactor.text("a" * 20_000 + "!")

    assert time.process_time() - began < 10
