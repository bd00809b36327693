"""An alert's body: what it may say, and that a refusal quotes no secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.api.alert import MASK, Alert, masked
from schemas.api.problems import problems_of

SECRET = "0123456789abcdef"
KINDS = "'guardrail', 'srm', 'error_jump', 'finished' or 'recommendation'"
URL = "https://hooks.example.com/a"


def alert(**fields: Any) -> Alert:
    return Alert.model_validate({"key": "on-call", "webhook": {"url": URL}, **fields})


def problems(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        alert(**fields)
    return [str(problem) for problem in problems_of(caught.value.errors(include_url=False), model=Alert)]


def test_all_experiments_are_those_of_none_named() -> None:
    assert alert(experiments="all") == alert()
    assert alert().covers("any")
    assert [alert(experiments=["a"]).covers(key) for key in ("a", "b")] == [True, False]


def test_what_is_as_by_default_is_left_out() -> None:
    spelt = alert(experiments="all", on=["guardrail", "srm", "error_jump", "finished"], description="", tags=[])

    assert spelt.model_dump(exclude_none=True) == {"key": "on-call", "webhook": {"url": URL}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"webhook": None}, "needs webhook, email, or both: whom should it tell?"),
        ({"experiments": []}, "experiments: must not be empty: leave it out, or write all"),
        ({"experiments": "checkout"}, "experiments: must be a list, got 'checkout'"),
        ({"experiments": ["a", "a"]}, "experiments[1]: duplicate 'a', first in experiments[0]"),
        ({"on": []}, "on: must not be empty, got an empty list"),
        ({"on": ["srm", "srm"]}, "on[1]: duplicate 'srm', first in on[0]"),
        ({"on": ["slow"]}, f"on[0]: must be one of {KINDS}, got 'slow'"),
        ({"email": {"to": []}}, "email.to: must not be empty, got an empty list"),
        ({"email": {"to": ["a@b.c", "a@b.c"]}}, "email.to[1]: duplicate address 'a@b.c', first in email.to[0]"),
        ({"key": "a\nb"}, "key: must not hold control characters, nor begin or end with white space, got 'a\\nb'"),
    ],
)
def test_what_can_t_be_is_refused_with_its_reason(fields: dict[str, Any], problem: str) -> None:
    assert problems(**fields) == [problem]


@pytest.mark.parametrize(
    "address",
    ["", "ann", "@b.c", "ann@", "ann@b.c\nBcc: eve@x.y", "ann@b.c, eve@x.y", "<ann@b.c>", "ann @b.c", "ä@b.c", 1],
)
def test_what_is_no_address_is_refused(address: object) -> None:
    (problem,) = problems(email={"to": [address]})

    assert problem.startswith("email.to[0]: must be an e-mail address such as ann@example.com, got ")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hidden/",
        "file:///hidden",
        "//hidden/",
        "https://",
        "https://hidden:0/",
        "https://hidden:99999/",
        "https://user:pass@hidden/",
        "https://hidden/#fragment",
        "https://hidden/a b",
        "https://hidden/\n",
        "https://hidden/" + "x" * 2_048,
        "https://hiddenä/",
        7,
    ],
)
def test_what_is_no_url_is_refused_without_quoting_it(url: object) -> None:
    (problem,) = problems(webhook={"url": url})

    assert problem.startswith("webhook.url: must ")
    assert "hidden" not in problem
    assert "pass@" not in problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://10.0.0.1/", "https://[::1]:8443/a?b=c", URL])
def test_any_address_may_be_told(url: str) -> None:
    found = alert(webhook={"url": url}).webhook

    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    "secret", ["hunter2", "hunter2" * 200, "hunter2\nhunter2hunter2", 1234567890123456, ["hunter2"]]
)
def test_what_is_no_secret_is_refused_without_quoting_it(secret: object) -> None:
    (problem,) = problems(webhook={"url": URL, "secret": secret})

    assert problem.startswith("webhook.secret: must be ")
    assert "hunter2" not in problem
    assert "1234" not in problem


def test_a_secret_is_in_no_text_of_the_alert() -> None:
    secretive = alert(webhook={"url": URL, "secret": SECRET})

    assert SECRET not in repr(secretive)
    assert masked(secretive.model_dump())["webhook"] == {"url": URL, "secret": MASK}
    assert masked({"email": {"to": []}}) == {"email": {"to": []}}
