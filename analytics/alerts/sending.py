"""Sends one delivery by the alert as it is declared now: whom it tells may have changed since."""

from __future__ import annotations

from pydantic import ValidationError

from analytics.alerts import mail, webhook
from analytics.alerts.message import email_of, with_id
from analytics.alerts.outcome import Outcome, refused, retry
from schemas.api.alert import Alert
from storage.alerts.outbox import Claimed
from storage.registry.registry import Registry


class Sender:
    """Sends deliveries; ``mail_server`` is None where none is set. A webhook has ``timeout_s`` to answer."""

    def __init__(
        self, registry: Registry, mail_server: mail.MailServer | None, *, timeout_s: float = webhook.TIMEOUT_S
    ) -> None:
        self._registry = registry
        self._mail_server = mail_server
        self._timeout_s = timeout_s

    def send(self, claimed: Claimed) -> Outcome:
        """Return what became of it. Raises nothing of the other side's."""
        delivery = claimed.delivery
        alert = declared(self._registry, delivery.project).get(delivery.alert)
        if alert is None:
            return refused("the alert is there no more")
        if delivery.channel == "webhook":
            if alert.webhook is None:
                return refused("the alert has no webhook any more")
            body = with_id(delivery.body, claimed.id)
            return webhook.post(alert.webhook, claimed.id, body, timeout_s=self._timeout_s)
        if alert.email is None:
            return refused("the alert has no e-mail any more")
        if self._mail_server is None:
            return retry("no mail server is set: smtp_url and smtp_from")
        subject, text = email_of(delivery.body)
        return mail.send(self._mail_server, alert.email.to, claimed.id, subject, text)


def declared(registry: Registry, project: str) -> dict[str, Alert]:
    """Return a project's alerts by key; without those that this version of the program refuses."""
    found = {}
    for body in registry.alerts(project):
        try:
            found[body["key"]] = Alert.model_validate(body)
        except ValidationError:
            continue
    return found
