"""Assignments that the server makes: for whoever has no client that makes them itself."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fallom.assignment import Assignment, assign
from schemas.api.assign import is_comparable

Record = Callable[[str, Mapping[str, object]], Awaitable[bool]]
"""Stores an exposure of a project; returns whether it is on disk."""

CUSTOMER = "customerId"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is assigned: a session, its customer where one is named, and the context that rules go by.

    ``request_id`` is of the one request that it is about, which counts where a config deals anew at each.
    """

    session_id: str
    customer_id: str | None
    context: Mapping[str, Any]
    request_id: str | None = None

    @classmethod
    def of(
        cls, session_id: str, customer_id: str | None, context: Mapping[str, Any], request_id: str | None = None
    ) -> Subject:
        """Return the subject; a customer may also be named in the context, as targeting names it."""
        named = context.get(CUSTOMER)
        if customer_id is None and isinstance(named, str) and named:
            customer_id = named
        comparable = {name: value for name, value in context.items() if is_comparable(value)}
        return cls(session_id, customer_id, comparable, request_id)

    def at_request(self, config: Mapping[str, Any]) -> Subject:
        """Return the subject as ``config`` deals to it: with a new request's id, if it needs one and none was given."""
        if config.get("sticky_by") != "request":
            return replace(self, request_id=None)
        return replace(self, request_id=self.request_id or secrets.token_hex(16))

    def assigned(self, config: Mapping[str, Any]) -> Assignment:
        """Return the variant of ``config``, a served one. Raises ValueError where nobody can assign by it."""
        return assign(
            config,
            self.session_id,
            customer_id=self.customer_id,
            context=self.context,
            request_id=self.request_id,
        )

    def exposure(self, config: Mapping[str, Any], assignment: Assignment, source: str) -> dict[str, object]:
        """Return the report that the subject was given the assignment."""
        return {
            "config_key": config["key"],
            "config_version": config["version"],
            "session_id": self.session_id,
            "customer_id": self.customer_id,
            "assigned_model": assignment.model,
            "variant_index": assignment.variant_index,
            "reason": assignment.reason,
            "source": source,
        }
