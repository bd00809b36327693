"""What is sent: the JSON of a webhook, and an e-mail's subject and text, from the same body."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from analytics.experiments.alerts import Condition

_TITLES = {
    "guardrail": "a guardrail is breached",
    "srm": "sample ratio mismatch",
    "error_jump": "errors jumped",
    "finished": "the test can be ended",
    "recommendation": "a recommendation",
    "test": "a test message",
}


def body_of(
    alert: str, project: str, experiment: str, condition: Condition, results: dict[str, Any], url: str, now: datetime
) -> str:
    """Return what a delivery says of a condition, as JSON; it stays the same at each attempt."""
    message = f"{experiment}: {condition.message}"
    content = {
        "alert": alert,
        "project": project,
        "experiment": experiment,
        "kind": condition.kind,
        "variant": condition.variant or None,
        "figure": condition.figure or None,
        "config_version": results["experiment"]["config_version"],
        "message": message,
        # What Slack, Mattermost and their like show.
        "text": message,
        "figures": condition.figures,
        "as_of": results["experiment"]["as_of"],
        "raised_at": now.isoformat(),
        "link": link(url, experiment),
    }
    return orjson.dumps(content).decode()


def message_of_test(alert: str, project: str, url: str, now: datetime) -> str:
    """Return what a test message says."""
    message = f"this is a test of the alert {alert}: it arrives"
    content: dict[str, Any] = {
        "alert": alert,
        "project": project,
        "experiment": None,
        "kind": "test",
        "variant": None,
        "figure": None,
        "config_version": None,
        "message": message,
        "text": message,
        "figures": {},
        "as_of": None,
        "raised_at": now.isoformat(),
        "link": f"{url}/experiments",
    }
    return orjson.dumps(content).decode()


def link(url: str, experiment: str) -> str:
    """Return where the results are; without the server's public URL, the path."""
    return f"{url}/experiments/{quote(experiment)}/results"


def with_id(body: str, delivery_id: str) -> bytes:
    """Return the bytes that are posted."""
    return orjson.dumps({"id": delivery_id, **orjson.loads(body)})


def email_of(body: str) -> tuple[str, str]:
    """Return an e-mail's subject and text."""
    content = orjson.loads(body)
    of = "" if content["experiment"] is None else f"{content['experiment']}: "
    lines = [content["message"], "", f"project: {content['project']}", f"alert: {content['alert']}"]
    names = ("experiment", "variant", "figure", "config_version", "as_of")
    lines += [f"{name.replace('_', ' ')}: {content[name]}" for name in names if content[name] is not None]
    figures = orjson.dumps(content["figures"], option=orjson.OPT_INDENT_2).decode() if content["figures"] else ""
    lines += [f"results: {content['link']}", *(["", figures] if figures else [])]
    return f"[fallom] {of}{_TITLES[content['kind']]}", "\n".join(lines) + "\n"
