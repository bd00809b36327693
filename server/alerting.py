"""The parts of alerts, put together: who raises, who delivers."""

from __future__ import annotations

from datetime import UTC, datetime

from analytics.alerts.deliverer import Deliverer
from analytics.alerts.message import message_of_test
from analytics.alerts.raiser import AlertRaiser, channels
from analytics.alerts.sending import Sender, declared
from server.settings import ServerSettings
from storage.alerts.outbox import Delivery, Outbox, Status
from storage.registry.errors import ResourceNotFoundError
from storage.registry.registry import Registry


class Alerting:
    """Delivers what ``raiser`` raises of the results that it is told of."""

    def __init__(self, settings: ServerSettings, registry: Registry, server: str) -> None:
        self._registry = registry
        self._url = (settings.public_url or "").rstrip("/")
        self.outbox = Outbox(registry)
        self._deliverer = Deliverer(self.outbox, Sender(registry, settings.mail_server).send)
        self.raiser = AlertRaiser(registry, server, url=self._url, wake=self._deliverer.wake)

    def start(self) -> None:
        """Begin."""
        self._deliverer.start()

    def stop(self) -> None:
        """End; safe twice and without ``start``."""
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
