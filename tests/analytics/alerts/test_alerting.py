"""From results to a delivery: raised once, delivered until it is taken, by whichever server comes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alert_receivers import SECRET, WebhookReceiver, mail_receiver, webhook_receiver
from alert_results import RUNNING, results_of

from analytics.alerts.deliverer import BACKOFF_S_MAX, LEASE, Deliverer
from analytics.alerts.mail import MailServer, mail_server
from analytics.alerts.raiser import AlertRaiser
from analytics.alerts.sending import Sender
from schemas.api.registry import RegistryDocument
from storage.alerts import outbox as outboxes
from storage.alerts.conditions import ORPHAN_AGE
from storage.alerts.outbox import KEPT, Delivery, Outbox, Status
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import UNSIGNED

BAD = results_of(errors=(0.05, 0.08))
GOOD = results_of()
ONLY_GUARDRAILS = ["guardrail"]


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


class Server:
    """One of the servers on a registry: its raiser and its deliverer, without their threads."""

    def __init__(self, url: str, name: str, clock: Clock, mail: MailServer | None = None) -> None:
        self.registry = Registry(url)
        self.outbox = Outbox(self.registry)
        self.deliverer = Deliverer(self.outbox, Sender(self.registry, mail).send, now=clock)
        self.raiser = AlertRaiser(self.registry, name, url="https://fallom.example/", now=clock)

    def look(self, results: dict[str, Any], key: str = "checkout") -> None:
        self.raiser("default", key, RUNNING, results)

    def deliver(self) -> int:
        return self.deliverer.deliver_due()

    @property
    def deliveries(self) -> list[Status]:
        return self.outbox.listed("default")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as made:
        yield made


@pytest.fixture
def server(registry_url: str, clock: Clock) -> Iterator[Server]:
    made = Server(registry_url, "one", clock)
    yield made
    made.registry.close()


def declare(server: Server, url: str, **more: Any) -> None:
    alert = {"key": "on-call", "on": ONLY_GUARDRAILS, "webhook": {"url": url, "secret": SECRET}, **more}
    server.registry.apply("default", RegistryDocument.model_validate({"alerts": [alert]}))


def test_a_breach_is_posted_once_with_its_figures_and_a_link(server: Server, receiver: WebhookReceiver) -> None:
    declare(server, receiver.url)

    for _ in range(3):
        server.look(BAD)
        server.deliver()

    (posted,) = receiver.posted
    assert posted.is_signed()
    content = posted.content
    assert content["id"] == posted.delivery == server.deliveries[0].id
    assert (content["alert"], content["experiment"], content["kind"]) == ("on-call", "checkout", "guardrail")
    assert content["variant"] == "b"
    assert content["message"].startswith("checkout: the guardrail error_rate (ratio per call) of b is worse than a's")
    assert content["text"] == content["message"]
    assert content["figures"]["lift"]["estimate"] == pytest.approx(0.6)
    assert content["link"] == "https://fallom.example/experiments/checkout/results"
    (status,) = server.deliveries
    assert (status.state, status.attempts, status.error) == ("delivered", 1, "")


def test_it_is_posted_again_when_it_has_gone_and_come_back(server: Server, receiver: WebhookReceiver) -> None:
    declare(server, receiver.url)

    for results in (BAD, BAD, GOOD, GOOD, BAD, BAD):
        server.look(results)
        server.deliver()

    assert len(receiver.posted) == 2
    assert len({posted.delivery for posted in receiver.posted}) == 2


def test_what_is_known_is_not_told_again_after_a_restart(
    registry_url: str, server: Server, clock: Clock, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    server.look(BAD)
    server.deliver()
    server.registry.close()

    restarted = Server(registry_url, "one", clock)
    restarted.look(BAD)

    assert restarted.deliver() == 0
    restarted.registry.close()


def test_only_what_an_alert_is_about_is_told(server: Server, receiver: WebhookReceiver) -> None:
    declare(server, receiver.url, experiments=["checkout"], on=["srm", "finished"])

    server.look(results_of(srm={"sequential_p": 1e-6}))
    server.look(results_of(srm={"sequential_p": 1e-6}), key="another")

    assert [(each.experiment, each.kind) for each in server.deliveries] == [("checkout", "srm")]


def test_an_alert_that_is_declared_later_tells_of_what_holds(server: Server, receiver: WebhookReceiver) -> None:
    declare(server, receiver.url)
    server.look(BAD)
    later = {"key": "later", "on": ONLY_GUARDRAILS, "webhook": {"url": receiver.url}}
    server.registry.apply("default", RegistryDocument.model_validate({"alerts": [later]}))

    for _ in range(2):
        server.look(BAD)

    assert sorted(each.alert for each in server.deliveries) == ["later", "on-call"]


def test_what_fails_comes_again_later_each_time_under_the_same_id(server: Server, clock: Clock) -> None:
    with webhook_receiver(500, 503, 429, 200) as receiver:
        declare(server, receiver.url)
        server.look(BAD)
        waits = []
        for _ in range(4):
            assert server.deliver() == 1
            assert server.deliver() == 0
            (status,) = server.deliveries
            if status.next_at is not None:
                waits.append((status.next_at - clock.now).total_seconds())
                clock.now = status.next_at

        assert len({posted.delivery for posted in receiver.posted}) == 1
        assert len({posted.body for posted in receiver.posted}) == 1
        assert all(posted.is_signed() for posted in receiver.posted)
    assert (status.state, status.attempts) == ("delivered", 4)
    assert all(low <= wait <= high for wait, low, high in zip(waits, (5, 10, 20), (15, 30, 60), strict=True))


def test_after_a_day_it_is_given_up_with_its_last_error(server: Server, clock: Clock) -> None:
    with webhook_receiver(500) as receiver:
        declare(server, receiver.url)
        server.look(BAD)
        (status,) = server.deliveries
        while status.next_at is not None:
            assert status.next_at - clock.now <= timedelta(seconds=1.5 * BACKOFF_S_MAX)
            clock.now = status.next_at
            server.deliver()
            (status,) = server.deliveries

    assert (status.state, status.error) == ("given_up", "HTTP 500")
    assert timedelta(hours=20) < clock.now - status.created_at <= timedelta(days=1)


def test_what_is_refused_is_given_up_at_once(server: Server) -> None:
    with webhook_receiver(410) as receiver:
        declare(server, receiver.url)
        server.look(BAD)

        server.deliver()

    (status,) = server.deliveries
    assert (status.state, status.attempts, status.error) == ("given_up", 1, "HTTP 410")


def test_who_dies_between_claim_and_delivery_is_stood_in_for_under_the_same_id(
    registry_url: str, server: Server, clock: Clock, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    server.look(BAD)
    (lost,) = server.outbox.claim(10, clock.now, LEASE)
    other = Server(registry_url, "two", clock)

    assert other.deliver() == 0
    clock.pass_by(LEASE)
    assert other.deliver() == 1

    assert [posted.delivery for posted in receiver.posted] == [lost.id]
    # The first one was not dead, only slow: what it says now is not heard.
    server.outbox.retry(lost, "too late", clock.now)
    (status,) = server.deliveries
    assert (status.state, status.attempts) == ("delivered", 2)
    other.registry.close()


def test_two_servers_at_once_send_it_once(
    registry_url: str, server: Server, clock: Clock, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    other = Server(registry_url, "two", clock)
    barrier = threading.Barrier(2)

    def run(one: Server) -> None:
        barrier.wait()
        for _ in range(5):
            one.look(BAD)
            one.deliver()

    threads = [threading.Thread(target=run, args=(one,)) for one in (server, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(receiver.posted) == 1
    other.registry.close()


def test_what_one_server_saw_another_that_does_not_see_it_leaves(
    registry_url: str, server: Server, clock: Clock, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    other = Server(registry_url, "two", clock)

    for _ in range(4):
        server.look(BAD)
        other.look(GOOD)
        clock.pass_by(ORPHAN_AGE / 2)
    assert len(server.deliveries) == 1

    # The first one is gone for good: the other may clear what it left, and raise it anew.
    clock.pass_by(ORPHAN_AGE)
    other.look(GOOD)
    other.look(BAD)
    assert len(server.deliveries) == 2
    other.registry.close()


def test_the_secret_and_the_place_are_those_of_the_time_of_sending(server: Server) -> None:
    with webhook_receiver() as before, webhook_receiver() as after:
        declare(server, before.url)
        server.look(BAD)
        moved = {"url": after.url, "secret": "another secret of 20"}
        Management(server.registry, "alert").put(
            "default", "on-call", {"on": ONLY_GUARDRAILS, "webhook": moved}, UNSIGNED
        )

        server.deliver()

        assert before.posted == []
        assert after.posted[0].is_signed("another secret of 20")


def test_an_alert_that_is_archived_sends_nothing_more(server: Server, receiver: WebhookReceiver) -> None:
    declare(server, receiver.url)
    server.look(BAD)
    Management(server.registry, "alert").archive("default", "on-call", UNSIGNED)

    server.deliver()
    server.look(results_of(errors=(0.05, 0.08), versions=(2,)))

    assert receiver.posted == []
    (status,) = server.deliveries
    assert (status.state, status.error) == ("given_up", "the alert is there no more")


def test_an_email_tells_the_same(registry_url: str, clock: Clock) -> None:
    with mail_receiver() as mailbox:
        mail = mail_server(f"smtp://127.0.0.1:{mailbox.port}", "fallom@example.com")
        server = Server(registry_url, "one", clock, mail)
        to = {"to": ["ann@example.com"]}
        alert = {"key": "on-call", "on": ONLY_GUARDRAILS, "email": to}
        server.registry.apply("default", RegistryDocument.model_validate({"alerts": [alert]}))
        server.look(BAD)

        server.deliver()

        ((recipients, message),) = mailbox.mails
    assert recipients == to["to"]
    assert message["Subject"] == "[fallom] checkout: a guardrail is breached"
    text = message.get_content()
    assert text.startswith("checkout: the guardrail error_rate (ratio per call) of b is worse than a's by 60.0 %")
    assert "results: https://fallom.example/experiments/checkout/results" in text
    server.registry.close()


def test_without_a_mail_server_an_email_waits(server: Server) -> None:
    alert = {"key": "on-call", "on": ONLY_GUARDRAILS, "email": {"to": ["ann@example.com"]}}
    server.registry.apply("default", RegistryDocument.model_validate({"alerts": [alert]}))
    server.look(BAD)

    server.deliver()

    (status,) = server.deliveries
    assert (status.state, status.error) == ("waiting", "no mail server is set: smtp_url and smtp_from")


def test_what_was_over_long_ago_is_forgotten_unless_it_still_holds(
    server: Server, clock: Clock, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    server.look(BAD)
    server.look(BAD, key="another")
    while server.deliver():
        pass
    server.look(GOOD, key="another")
    clock.pass_by(KEPT + timedelta(days=1))

    server.outbox.prune(clock.now)

    assert [each.experiment for each in server.deliveries] == ["checkout"]
    server.look(BAD)
    assert server.deliver() == 0


def test_what_finds_no_room_comes_later(
    server: Server, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "WAITING_MAX", 1)
    declare(server, receiver.url)
    server.look(BAD)
    server.look(BAD, key="another")
    assert len(server.deliveries) == 1

    server.deliver()
    server.look(BAD, key="another")

    assert {each.experiment for each in server.deliveries} == {"checkout", "another"}


def test_a_slow_receiver_keeps_no_other_waiting(server: Server, clock: Clock) -> None:
    with webhook_receiver(drip_s=0.05) as slow, webhook_receiver() as quick:
        first = Delivery("default", "slow", "webhook", "", "test", "{}")
        alerts = [{"key": "slow", "webhook": {"url": slow.url}}, {"key": "quick", "webhook": {"url": quick.url}}]
        server.registry.apply("default", RegistryDocument.model_validate({"alerts": alerts}))
        server.outbox.add_claimed(first, clock.now - LEASE, LEASE)
        server.outbox.add_claimed(replace(first, alert="quick"), clock.now - LEASE, LEASE)
        sender = Sender(server.registry, None, timeout_s=2)
        deliverer = Deliverer(server.outbox, sender.send, now=clock)
        sending = threading.Thread(target=deliverer.deliver_due)
        sending.start()

        # Before the slow one has run out of its time, at which the thread ends.
        quick.wait_for(1, timeout_s=1.8)
        sending.join()

        states = {each.alert: each.state for each in server.deliveries}
    assert states == {"quick": "delivered", "slow": "waiting"}


def test_a_thread_delivers_as_soon_as_something_is_there(
    registry_url: str, server: Server, receiver: WebhookReceiver
) -> None:
    declare(server, receiver.url)
    deliverer = Deliverer(server.outbox, Sender(server.registry, None).send, interval_s=3600)
    raiser = AlertRaiser(server.registry, "one", wake=deliverer.wake)
    deliverer.start()
    time.sleep(0.1)

    raiser("default", "checkout", RUNNING, BAD)

    receiver.wait_for(1)
    deliverer.stop()
    deliverer.stop()
    assert server.deliveries[0].state == "delivered"
