"""Turns an experiment's results into deliveries, once for each condition that comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.alerts.message import body_of
from analytics.alerts.sending import declared
from analytics.experiments.alerts import Condition, alerts_of
from analytics.experiments.settings import Settings
from schemas.api.alert import Alert
from storage.alerts.conditions import Conditions, Raised, needs_refresh
from storage.alerts.outbox import Channel, Delivery
from storage.registry.registry import Registry

logger = logging.getLogger(__name__)


class AlertRaiser:
    """Watches results, as the keeper of results tells of them; ``wake`` is called when there is something to deliver.

    ``server`` names this server's data among those that share the registry; ``url`` is where people reach it.
    """

    def __init__(
        self,
        registry: Registry,
        server: str,
        *,
        url: str = "",
        wake: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._conditions = Conditions(registry, server)
        self._url = url.rstrip("/")
        self._wake = wake
        self._now = now

    def covered(self, project: str, keys: Iterable[str]) -> list[str]:
        """Return of which experiments an alert tells."""
        alerts = declared(self._registry, project).values()
        return [key for key in keys if any(alert.covers(key) for alert in alerts)] if alerts else []

    def __call__(self, project: str, key: str, settings: Settings, results: dict[str, Any]) -> None:
        """Raise what has come, clear what has gone. Raises RegistryError: nothing of it is written then."""
        alerts = [alert for alert in declared(self._registry, project).values() if alert.covers(key)]
        if not alerts or settings.status != "running":
            return
        now = self._now()
        held = self._conditions.held(project, key, now)
        changes = alerts_of(results, settings, [each.identity for each in held], now)
        deliveries = {
            condition.identity: self._deliveries(alerts, project, key, condition, results, now)
            for condition in changes.holding
        }
        cleared = set(changes.cleared) & {each.identity for each in held if each.is_own}
        is_known = not changes.raised and not cleared and not any(needs_refresh(each, now) for each in held)
        if is_known and self._conditions.is_complete(held, deliveries):
            return
        raised = [Raised(condition.identity, {"message": condition.message}) for condition in changes.raised]
        made = self._conditions.change(project, key, raised, cleared, deliveries, now)
        if made:
            kinds = ", ".join(sorted({each.kind for each in made}))
            logger.info("alerts of experiment %s of project %s: %s", key, project, kinds)
            self._wake()

    def _deliveries(
        self,
        alerts: Sequence[Alert],
        project: str,
        key: str,
        condition: Condition,
        results: dict[str, Any],
        now: datetime,
    ) -> list[Delivery]:
        return [
            Delivery(
                project,
                alert.key,
                channel,
                key,
                condition.kind,
                body_of(alert.key, project, key, condition, results, self._url, now),
            )
            for alert in alerts
            if condition.kind in alert.on
            for channel in channels(alert)
        ]


def channels(alert: Alert) -> list[Channel]:
    """Return by which ways it tells."""
    ways: Mapping[Channel, object] = {"webhook": alert.webhook, "email": alert.email}
    return [channel for channel, way in ways.items() if way is not None]
