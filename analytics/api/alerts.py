"""``GET /alerts/deliveries`` and ``POST /api/alerts/{key}/test``: what became of alerts, and whether they arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from analytics.api.descriptions import answers
from analytics.api.known_parameters import known_parameters
from analytics.api.project import project
from analytics.api.registry_requests import registry_errors
from schemas.api.problems import NAME_PATTERN
from schemas.api.resource import NAME_CHARS_MAX
from storage.alerts.outbox import Outbox, Status

LIST_MAX = 1_000

State = Literal["waiting", "sending", "delivered", "given_up"]


class DeliveryAnswer(BaseModel):
    """What became of a delivery so far."""

    id: str = Field(description="As in the header `X-Fallom-Delivery`.")
    alert: str
    channel: Literal["webhook", "email"]
    experiment: str | None = Field(description="Null of a test message.")
    kind: Literal["guardrail", "srm", "error_jump", "finished", "recommendation", "test"]
    state: State
    attempts: int
    error: str = Field(description="Why the last attempt failed; empty where it did not.")
    created_at: datetime
    next_at: datetime | None = Field(description="When it is tried next; null where it is over.")
    ended_at: datetime | None = Field(description="When it was delivered, or given up.")


class DeliveryListAnswer(BaseModel):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryAnswer]


def router(outbox: Outbox, test: Callable[[str, str], list[Status]]) -> APIRouter:
    """Return the router; ``test`` sends a test message of a project's alert by each of its ways."""
    routes = APIRouter(tags=["alerts"])

    @routes.get(
        "/alerts/deliveries",
        summary="What became of alerts",
        responses=answers(DeliveryListAnswer, 400, 503),
        dependencies=[Depends(known_parameters)],
    )
    def deliveries(
        caller: Annotated[str, Depends(project)],
        alert: Annotated[str | None, Query(max_length=NAME_CHARS_MAX, description="Of one alert.")] = None,
        state: Annotated[State | None, Query(description="In one state.")] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
    ) -> DeliveryListAnswer:
        """Return the deliveries of the last 30 days, the newest first."""
        with registry_errors():
            return _listed(outbox.listed(caller, alert=alert, state=state, limit=limit))

    @routes.post("/api/alerts/{key:path}/test", name="test", responses=answers(DeliveryListAnswer, 400, 404, 503))
    def send_test(
        caller: Annotated[str, Depends(project)],
        key: Annotated[str, Path(max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)],
    ) -> DeliveryListAnswer:
        """Send a test message by each way of the alert, once, and tell what became of it."""
        with registry_errors():
            return _listed(test(caller, key))

    return routes


def _listed(found: list[Status]) -> DeliveryListAnswer:
    return DeliveryListAnswer(
        deliveries=[DeliveryAnswer(**{**asdict(each), "experiment": each.experiment or None}) for each in found]
    )
