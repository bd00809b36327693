"""What somebody should be told of an experiment: a pure function of its results, its settings and what holds already.

A condition is told when it comes, not while it lasts; when it has gone and comes again, it is told again. It belongs to
the first config version of the arms that are compared: new weights alone, as a rollout makes them, make no new one,
other arms do. While the sample ratio is off no effect may be read: what rests on effects neither comes nor goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from analytics.experiments.health.sample_ratio import SEQUENTIAL_P_MIN
from analytics.experiments.settings import Settings
from schemas.api.alert import AlertKind
from schemas.api.rollout import moment_text

MESSAGE_CHARS_MAX = 4_000
_UNDECIDED = frozenset({"keep_running", "invalid"})
_OF_EFFECTS: frozenset[AlertKind] = frozenset({"guardrail", "finished", "recommendation"})

Identity = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds of an experiment. ``figure`` names a metric's figure, or what else tells two apart."""

    kind: AlertKind
    since_version: int
    variant: str
    figure: str
    message: str
    figures: dict[str, Any]

    @property
    def identity(self) -> Identity:
        """Return what tells it from others of the same experiment."""
        return self.kind, str(self.since_version), self.variant, self.figure


@dataclass(frozen=True, slots=True)
class Changes:
    """What holds, what of that has come, and what has gone."""

    holding: tuple[Condition, ...]
    raised: tuple[Condition, ...]
    cleared: tuple[Identity, ...]


def alerts_of(results: dict[str, Any], settings: Settings, previous: Collection[Identity], now: datetime) -> Changes:
    """Return what has come and gone since ``previous`` held; of an experiment that does not run, nothing."""
    if settings.status != "running":
        return Changes((), (), ())
    holding = tuple(_conditions(results, settings, now))
    found = {condition.identity for condition in holding}
    # As the recommendation is, of what is invalid nothing is known of effects: neither that they are, nor that not.
    unknown = _OF_EFFECTS if results["recommendation"]["action"] == "invalid" else frozenset()
    return Changes(
        holding,
        raised=tuple(condition for condition in holding if condition.identity not in previous),
        cleared=tuple(each for each in previous if each not in found and each[0] not in unknown),
    )


def _conditions(results: dict[str, Any], settings: Settings, now: datetime) -> Iterator[Condition]:
    since = _since_version(results)
    yield from _sample_ratio(results["health"], since)
    yield from _error_jumps(results["health"], since)
    if results["recommendation"]["action"] == "invalid":
        return
    yield from _guardrails(results["metrics"], since)
    yield from _finished(results, settings, since, now)
    yield from _recommendation(results["recommendation"], since)


def _since_version(results: dict[str, Any]) -> int:
    versions: Sequence[int] = results["experiment"].get("config_versions") or [results["experiment"]["config_version"]]
    return min(versions)


def _sample_ratio(health: dict[str, Any], since: int) -> Iterator[Condition]:
    ratio = health["srm"]
    epochs = [epoch["sequential_p"] for epoch in ratio["by_epoch"] if epoch["sequential_p"] is not None]
    p_value = ratio["sequential_p"]
    is_off = p_value is not None and p_value < SEQUENTIAL_P_MIN
    # Each epoch is a chance more to be wrong: the level is shared among them.
    if is_off or min(epochs, default=1.0) < SEQUENTIAL_P_MIN / max(1, len(epochs)):
        told = _warning(health, "sample_ratio_mismatch") or "the sessions did not fall to the variants as weights say"
        yield _condition("srm", since, "", "", told, {name: ratio[name] for name in _RATIO})


_RATIO = ("sequential_p", "chi2_p", "observed", "expected")


def _error_jumps(health: dict[str, Any], since: int) -> Iterator[Condition]:
    for warning in health["warnings"]:
        if warning["code"] == "error_jump":
            figures = {name: value for name, value in warning.items() if name not in ("code", "message", "variant")}
            yield _condition("error_jump", since, warning["variant"], "", warning["message"], figures)


def _guardrails(metrics: Sequence[dict[str, Any]], since: int) -> Iterator[Condition]:
    for entry in metrics:
        if entry["role"] != "guardrail":
            continue
        for comparison in entry["comparisons"]:
            if _is_breached(entry, comparison):
                message = _breach(entry, comparison)
                yield _condition(
                    "guardrail", since, comparison["variant"], _label(entry), message, _figures(entry, comparison)
                )


def _is_breached(entry: dict[str, Any], comparison: dict[str, Any]) -> bool:
    guarded = comparison["non_inferiority"]
    has_weight = comparison["enough_data"] and comparison["coverage_comparable"]
    # Two arms without a single error differ in nothing.
    if guarded is not None and guarded["verdict"] == "fail" and has_weight and comparison["status"] == "ok":
        return True
    change = comparison["difference"]["estimate"] or 0.0
    worse = change > 0 if entry["direction"] == "lower_is_better" else change < 0
    return bool(comparison["significant"]) and entry["direction"] != "neutral" and worse


def _breach(entry: dict[str, Any], comparison: dict[str, Any]) -> str:
    lift, guarded = comparison["lift"], comparison["non_inferiority"]
    by = "" if lift["estimate"] is None else f" by {100 * abs(lift['estimate']):.1f} %"
    interval = "" if lift["ci"] is None else f" ({100 * lift['ci'][0]:+.1f} % to {100 * lift['ci'][1]:+.1f} %)"
    margin = "" if guarded is None else f"; {100 * guarded['margin']:.3g} % are allowed"
    return (
        f"the guardrail {_label(entry)} of {comparison['variant']} is worse than {comparison['vs']}'s"
        f"{by}{interval}{margin}"
    )


def _figures(entry: dict[str, Any], comparison: dict[str, Any]) -> dict[str, Any]:
    names = ("difference", "lift", "p_value", "p_value_adjusted", "non_inferiority", "sessions")
    return {
        **{name: entry.get(name) for name in ("name", "statistic", "estimand", "category", "direction", "unit")},
        "vs": comparison["vs"],
        **{name: comparison[name] for name in names},
    }


def _label(entry: dict[str, Any]) -> str:
    category = f" = {entry['category']}" if entry.get("category") else ""
    return f"{entry['name']}{category} ({entry['statistic']} {entry['estimand'].replace('_', ' ')})"


def _finished(results: dict[str, Any], settings: Settings, since: int, now: datetime) -> Iterator[Condition]:
    recommended = results["recommendation"]
    reasons = []
    if recommended["action"] not in _UNDECIDED:
        reasons.append(_advice(recommended))
    if settings.planned_end is not None and settings.planned_end <= now:
        reasons.append(f"its planned end, {moment_text(settings.planned_end)}, is reached")
    sessions = _compared_sessions(results)
    if settings.inference == "sequential" and sessions is not None and sessions >= settings.n_star:
        reasons.append(f"it has the {settings.n_star} sessions for which it was planned, {sessions}")
    if reasons:
        figures = {"action": recommended["action"], "variant": recommended["variant"], "sessions": sessions}
        yield _condition("finished", since, "", "", f"the test can be ended: {'; '.join(reasons)}", figures)


def _compared_sessions(results: dict[str, Any]) -> int | None:
    """Return the sessions of both arms in the comparison that has the fewest; None where nothing is compared."""
    control = results["experiment"]["control"]
    sessions = {variant["key"]: variant["sessions"] for variant in results["variants"]}
    weights = {variant["key"]: variant["weight"] for variant in results["variants"]}
    others = [count for key, count in sessions.items() if key != control and weights[key] > 0]
    return min(others) + sessions[control] if others and control in sessions else None


def _recommendation(recommended: dict[str, Any], since: int) -> Iterator[Condition]:
    if recommended["action"] not in _UNDECIDED:
        reasons = "; ".join(recommended["reasons"])
        message = _advice(recommended) + (f": {reasons}" if reasons else "")
        figures = {"action": recommended["action"], "monthly_cost_impact_usd": recommended["monthly_cost_impact_usd"]}
        yield _condition("recommendation", since, recommended["variant"] or "", recommended["action"], message, figures)


def _advice(recommended: dict[str, Any]) -> str:
    told = recommended["action"].replace("_", " ")
    return f"the recommendation is {told}" + (f" ({recommended['variant']})" if recommended["variant"] else "")


def _warning(health: dict[str, Any], code: str) -> str | None:
    return next((warning["message"] for warning in health["warnings"] if warning["code"] == code), None)


def _condition(
    kind: AlertKind, since: int, variant: str, figure: str, message: str, figures: dict[str, Any]
) -> Condition:
    shortened = message if len(message) <= MESSAGE_CHARS_MAX else message[: MESSAGE_CHARS_MAX - 1] + "…"
    return Condition(kind, since, variant, figure, shortened, figures)
