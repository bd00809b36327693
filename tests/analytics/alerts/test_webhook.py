"""Alerts by webhook, to a real receiver: signed, within a time, without following anything."""

from __future__ import annotations

import socket
import time

import pytest
from alert_receivers import SECRET, webhook_receiver

from analytics.alerts.webhook import post
from schemas.api.alert import Webhook


def test_a_post_is_signed_by_the_secret_over_its_time_and_body() -> None:
    with webhook_receiver(204) as receiver:
        outcome = post(Webhook(url=receiver.url, secret=SECRET), "d1", b'{"a":1}')

        (posted,) = receiver.posted
    assert outcome.state == "delivered"
    assert (posted.delivery, posted.body) == ("d1", b'{"a":1}')
    assert posted.is_signed()
    assert not posted.is_signed("another secret of 20")


def test_without_a_secret_nothing_is_signed() -> None:
    with webhook_receiver() as receiver:
        post(Webhook(url=receiver.url), "d1", b"{}")

        assert "x-fallom-signature" not in receiver.posted[0].headers


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((status, "delivered") for status in (200, 201, 202, 204)),
        *((status, "retry") for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, "refused") for status in (400, 401, 403, 404, 410, 413, 422)),
    ],
)
def test_the_status_says_whether_it_was_taken_comes_again_or_is_refused(status: int, state: str) -> None:
    with webhook_receiver(status) as receiver:
        outcome = post(Webhook(url=receiver.url), "d1", b"{}")

    assert outcome.state == state
    assert outcome.error == ("" if state == "delivered" else f"HTTP {status}")


def test_a_redirect_is_not_followed() -> None:
    with webhook_receiver() as elsewhere, webhook_receiver(302, headers={"Location": elsewhere.url}) as receiver:
        outcome = post(Webhook(url=receiver.url, secret=SECRET), "d1", b"{}")

        assert elsewhere.posted == []
    assert outcome.state == "refused"
    assert "redirects are not followed" in outcome.error


def test_a_receiver_may_say_when_to_come_again() -> None:
    with webhook_receiver(503, headers={"Retry-After": "120"}) as receiver:
        assert post(Webhook(url=receiver.url), "d1", b"{}").retry_after_s == 120
    with webhook_receiver(429, headers={"Retry-After": "99999999"}) as receiver:
        assert post(Webhook(url=receiver.url), "d1", b"{}").retry_after_s == 3600


def test_a_receiver_that_drips_its_answer_is_left_after_the_time() -> None:
    with webhook_receiver(drip_s=0.1) as receiver:
        begun_s = time.monotonic()
        outcome = post(Webhook(url=receiver.url), "d1", b"{}", timeout_s=0.5)

    assert (outcome.state, outcome.error) == ("retry", "no answer within 0.5 s")
    assert time.monotonic() - begun_s < 10


def test_where_nobody_listens_it_comes_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    outcome = post(Webhook(url=url), "d1", b"{}")

    assert (outcome.state, outcome.error) == ("retry", "can't be reached (ConnectError)")
