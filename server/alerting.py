"""The parts of alerts, put together: who looks, who raises, who delivers."""

from __future__ import annotations

from datetime import UTC, datetime

from analytics.alerts.deliverer import Deliverer
from analytics.alerts.keeper import AlertKeeper
from analytics.alerts.mail import MailServer, mail_server
from analytics.alerts.message import message_of_test
from analytics.alerts.raiser import AlertRaiser, channels
from analytics.alerts.sending import Sender, declared
from server.errors import CommandError
from server.settings import ServerSettings
from storage.alerts.outbox import Delivery, Outbox, Status
from storage.engines.duckdb import DuckDBEngine
from storage.registry.errors import ResourceNotFoundError
from storage.registry.registry import Registry


class Alerting:
    """Looks for what alerts are about, and delivers it. ``raiser`` may be called with results by others, too."""

    def __init__(self, settings: ServerSettings, registry: Registry, engine: DuckDBEngine, server: str) -> None:
        self._registry = registry
        self._url = (settings.public_url or "").rstrip("/")
        self.outbox = Outbox(registry)
        self._deliverer = Deliverer(self.outbox, Sender(registry, mail_server_of(settings)).send)
        self.raiser = AlertRaiser(registry, server, url=self._url, wake=self._deliverer.wake)
        self._keeper = AlertKeeper(engine, registry, self.raiser, interval_s=settings.alert_interval_s)

    def start(self) -> None:
        """Begin."""
        self._deliverer.start()
        self._keeper.start()

    def stop(self) -> None:
        """End; safe twice and without ``start``."""
        self._keeper.stop()
        self._deliverer.stop()

    def test(self, project: str, key: str) -> list[Status]:
        """Send a test message of an alert by each of its ways; return what became of each. Raises RegistryError."""
        self._registry.refresh()
        alert = declared(self._registry, project).get(key)
        if alert is None:
            raise ResourceNotFoundError(f"unknown alert {key!r}, or it is archived")
        body = message_of_test(key, project, self._url, datetime.now(UTC))
        return [
            self._deliverer.deliver_now(Delivery(project, key, channel, "", "test", body))
            for channel in channels(alert)
        ]


def mail_server_of(settings: ServerSettings) -> MailServer | None:
    """Return the mail server that is set; None where none is. Raises CommandError."""
    if settings.smtp_url is None:
        return None
    if settings.smtp_from is None:
        raise CommandError("smtp_from: needed too for smtp_url: the address that e-mails come from")
    password = None if settings.smtp_password is None else settings.smtp_password.get_secret_value()
    ca_file = None if settings.smtp_ca_file is None else str(settings.smtp_ca_file)
    try:
        return mail_server(settings.smtp_url.get_secret_value(), settings.smtp_from, password=password, ca_file=ca_file)
    except ValueError as error:
        raise CommandError(f"smtp_url: {error}") from error
