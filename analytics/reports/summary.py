"""What stands above and below the figures, in sentences: what is tested, whether it can be trusted, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analytics.reports.printable import printable

_HEALTH = {
    "ok": "ok",
    "warning": "to be read with care",
    "invalid": "INVALID, nothing can be concluded",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """Each a line of text that can be shown as it is; ``facts`` begin with what is under test."""

    title: str
    facts: tuple[str, ...]
    health: str
    warnings: tuple[str, ...]
    recommendation: str
    reasons: tuple[str, ...]


def summary_of(results: Mapping[str, Any]) -> Summary:
    """Return the summary of an experiment's results."""
    health, recommended = results["health"], results["recommendation"]
    return Summary(
        title=printable(results["experiment"]["key"]),
        facts=tuple(map(printable, _facts(results))),
        health=_HEALTH.get(health["status"], printable(str(health["status"]))),
        warnings=tuple(printable(warning["message"]) for warning in health["warnings"]),
        recommendation=printable(_recommendation(recommended)),
        reasons=tuple(map(printable, recommended["reasons"])),
    )


def _facts(results: Mapping[str, Any]) -> Iterator[str]:
    experiment, settings = results["experiment"], results["settings"]
    is_planned = experiment["status"] == "planned"
    since = f" since {moment(experiment['started_at'])}" if experiment["started_at"] and not is_planned else ""
    until = f" until {moment(experiment['ended_at'])}" if experiment["ended_at"] else ""
    # That it has ended is told by when.
    status = "ran" if experiment["status"] == "ended" else experiment["status"]
    yield f"{status}{since}{until}; as of {moment(experiment['as_of'])}"
    if experiment["hypothesis"]:
        yield f"hypothesis: {experiment['hypothesis']}"
    yield f"{settings['inference']} inference, alpha {settings['alpha']:g}".replace("_", " ")
    for arm in results["variants"]:
        yield f"{_arm(arm, experiment['control'])}: {_weight(arm)}{arm['sessions']:,} sessions, {arm['calls']:,} calls"
    excluded = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in _excluded(results) if count]
    if excluded:
        yield f"not counted: {', '.join(excluded)}"


def _arm(arm: Mapping[str, Any], control: str) -> str:
    """Return an arm's key with what it does not say itself."""
    more = [
        word for word in ("control" if arm["key"] == control else None, arm["model"]) if word not in (None, arm["key"])
    ]
    return f"{arm['key']} ({', '.join(more)})" if more else str(arm["key"])


def _weight(arm: Mapping[str, Any]) -> str:
    return "" if arm["weight"] is None else f"{100 * arm['weight']:g} %, "


def _excluded(results: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield from results["health"].get("excluded", {}).items()


def _recommendation(recommended: Mapping[str, Any]) -> str:
    action = recommended["action"]
    if action is None:
        return "none: sessions were not assigned at random"
    text = str(action).replace("_", " ")
    return f"{text}: {recommended['variant']}" if recommended["variant"] is not None else text


def moment(text: str) -> str:
    """Return a time to the minute."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
