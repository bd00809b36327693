"""What an alert needs beside its own text: the secret that its author may leave masked, and who may see it: nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from schemas.api.alert import MASK, Alert, masked
from schemas.api.problems import Problem
from storage.registry import versions
from storage.registry.differences import Difference, differences
from storage.registry.errors import DocumentError
from storage.registry.resources import Draft, Kind, Version

_SECRET = "webhook.secret"  # noqa: S105 - its place


def with_known_secret(alert: Alert, *known: Version | Draft | None) -> Alert:
    """Return the alert with the secret of the first that has one, where its own is masked. Raises DocumentError."""
    if alert.webhook is None or alert.webhook.secret != MASK:
        return alert
    for each in known:
        secret = None if each is None else (each.body.get("webhook") or {}).get("secret")
        if secret is not None and secret != MASK:
            return alert.model_copy(update={"webhook": alert.webhook.model_copy(update={"secret": secret})})
    message = f"is masked ({MASK}), which stands for the secret of before, and there is none: give it"
    raise DocumentError([Problem(_SECRET, message)])


def unknown_experiments(connection: Connection, project: str, alert: Alert) -> Iterator[str]:
    """Yield what the author should know of experiments that are named and not there."""
    for index, key in enumerate(alert.experiments):
        kinds: tuple[Kind, ...] = ("experiment", "config", "prompt_ab_test")
        if all(versions.latest(connection, project, kind, key) is None for kind in kinds):
            yield f"experiments[{index}]: there is no experiment {key!r} yet, nor a config or prompt test of that key"


def shown_body(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as it may be shown."""
    return masked(body) if kind == "alert" else body


def shown_version(kind: Kind, version: Version) -> Version:
    """Return a version as it may be shown."""
    return replace(version, body=shown_body(kind, version.body))


def shown_draft(kind: Kind, draft: Draft) -> Draft:
    """Return a draft as it may be shown."""
    return replace(draft, body=shown_body(kind, draft.body))


def shown_differences(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what differs between two bodies, as it may be shown: that a secret is another one, and not which."""
    found = differences(before, after)
    return tuple(map(_shown, found)) if kind == "alert" else found


def _shown(difference: Difference) -> Difference:
    if difference.path == _SECRET:
        return replace(difference, before=difference.before and MASK, after=difference.after and MASK)
    if difference.path == "webhook":
        return replace(difference, before=_webhook(difference.before), after=_webhook(difference.after))
    return difference


def _webhook(value: Any) -> Any:
    return masked({"webhook": value})["webhook"]
