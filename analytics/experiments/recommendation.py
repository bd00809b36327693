"""What to do next, with the reasons in words: a pure function of an experiment's entries, health and settings.

A treatment is shipped for a significant gain in a primary figure and no harm shown elsewhere; rolled back for harm in a
primary figure or a guardrail; a gain here and harm there is a trade-off for a person to weigh. No difference is said
where the data exclude one that matters, not where they are too few to find any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analytics.experiments.comparisons import TARGET_LIFT
from analytics.experiments.statistics import minimum_duration_days
from analytics.experiments.verdicts import Verdicts

Action = Literal["keep_running", "ship", "rollback", "no_difference", "trade_off", "invalid"]
DAYS_A_MONTH = 30
_NOT_BEGUN = "the experiment is planned and has not begun: what came before it decides nothing"
_COST = ("cost_usd", "mean", "per_session")


def recommend(entries: Sequence[dict[str, Any]], health: dict[str, Any], verdicts: Verdicts) -> dict[str, Any]:
    """Return the recommendation as the results' JSON has it; ``health`` is their section, ``entries`` are concluded."""
    if verdicts.settings.status == "planned" and health["status"] != "invalid":
        return _answer("keep_running", None, [_NOT_BEGUN], [])
    if health["status"] == "invalid" or not verdicts.allowed:
        return _answer("invalid", None, [warning["message"] for warning in health["warnings"]], [])
    cases = _cases(entries, verdicts.settings.n_star)
    impacts = _monthly_cost_impacts(entries, verdicts)
    action, variant, reasons = _decision(cases, verdicts)
    reasons += [_impact_sentence(impact) for impact in impacts if variant in (None, impact["variant"])]
    return _answer(action, variant, reasons, impacts)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one comparison of one figure says of a treatment."""

    entry: dict[str, Any]
    comparison: dict[str, Any]
    n_star: int

    @property
    def is_gain(self) -> bool:
        return bool(self.comparison["significant"]) and self._change() > 0

    @property
    def is_loss(self) -> bool:
        return bool(self.comparison["significant"]) and self._change() < 0

    @property
    def is_breached(self) -> bool:
        """Whether a guardrail is: harm is shown, and that it stays within the margin is not."""
        return self._guarded() == "fail" and self._has_weight

    @property
    def is_open(self) -> bool:
        """Whether it is not shown yet that the guardrail holds."""
        return self._guarded() == "inconclusive" or (self._guarded() == "fail" and not self._has_weight)

    @property
    def excludes_what_matters(self) -> bool:
        """Whether a difference that matters is excluded: one beyond the target, or at N* one that could be found."""
        interval, mde = self.comparison["lift"]["ci"], self.comparison["mde"]
        if interval is None or mde is None or not self._has_weight:
            return False
        reach: float = max(abs(end) for end in interval)
        return reach <= self.target or (self.comparison["sessions"] >= self.n_star and reach <= mde)

    @property
    def target(self) -> float:
        """The least lift that matters."""
        guarded = self.comparison["non_inferiority"]
        return (guarded["margin"] if guarded else 0.0) or TARGET_LIFT

    @property
    def label(self) -> str:
        category = f" = {self.entry['category']}" if self.entry.get("category") else ""
        by = f", adjusted by {self.entry['covariate']}" if "covariate" in self.entry else ""
        estimand = self.entry["estimand"].replace("_", " ")
        return f"{self.entry['name']}{category} ({self.entry['statistic']} {estimand}{by})"

    @property
    def sentence(self) -> str:
        """The figure's lift with its interval, in words."""
        lift, p_value = self.comparison["lift"], self.comparison["p_value_adjusted"]
        if lift["estimate"] is None:
            return f"{self.label} of {self.comparison['variant']} can't be compared with {self.comparison['vs']}'s"
        interval = "no interval" if lift["ci"] is None else f"{_percent(lift['ci'][0])} to {_percent(lift['ci'][1])}"
        significance = "" if p_value is None else f", p {p_value:.2g}"
        return (
            f"{self.label} of {self.comparison['variant']} is {_percent(lift['estimate'])} against "
            f"{self.comparison['vs']} ({interval}{significance})"
        )

    @property
    def _has_weight(self) -> bool:
        return bool(self.comparison["enough_data"] and self.comparison["coverage_comparable"])

    def _change(self) -> float:
        """Return the difference, above zero where it is for the better; 0 for a neutral figure."""
        turn = {"higher_is_better": 1.0, "lower_is_better": -1.0}.get(self.entry["direction"], 0.0)
        return turn * (self.comparison["difference"]["estimate"] or 0.0)

    def _guarded(self) -> str | None:
        found = self.comparison["non_inferiority"]
        # Two arms without a single error differ in nothing: there is nothing to wait for.
        return None if found is None or self.comparison["status"] == "zero_variance" else found["verdict"]


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known of one treatment."""

    variant: str
    primaries: tuple[_Outcome, ...]
    secondaries: tuple[_Outcome, ...]
    guardrails: tuple[_Outcome, ...]

    @property
    def gains(self) -> list[_Outcome]:
        return [outcome for outcome in self.primaries if outcome.is_gain]

    @property
    def losses(self) -> list[_Outcome]:
        """What rolls back: harm in a primary figure, or a guardrail that is breached."""
        return [outcome for outcome in self.primaries if outcome.is_loss] + [
            outcome for outcome in self.guardrails if outcome.is_breached
        ]

    @property
    def costs(self) -> list[_Outcome]:
        """What a gain is to be weighed against."""
        return self.losses + [outcome for outcome in self.secondaries if outcome.is_loss]

    @property
    def has_data(self) -> bool:
        every = (*self.primaries, *self.secondaries, *self.guardrails)
        return any(outcome.comparison["status"] != "no_data" for outcome in every)

    @property
    def makes_no_difference(self) -> bool:
        return bool(self.primaries) and all(outcome.excludes_what_matters for outcome in self.primaries)

    @property
    def expected_gain(self) -> float:
        """What shipping gains over keeping in the first primary figure, on average: a lift for the better."""
        bayes = self.primaries[0].comparison["bayes"] if self.primaries else None
        return bayes["expected_loss_of_keeping"] - bayes["expected_loss"] if bayes else 0.0


_Decision = tuple[Action, str | None, list[str]]


def _decision(cases: Sequence[_Case], verdicts: Verdicts) -> _Decision:
    if not any(case.primaries for case in cases):
        return "keep_running", None, ["no primary figure has a direction in which it is better: declare one"]
    harmed = [case for case in cases if case.losses and not case.gains]
    too_early = _too_early(verdicts)
    found = _favourable(cases)
    if found is not None and not too_early:
        return found
    if harmed:
        worst = min(harmed, key=lambda case: case.expected_gain)
        return "rollback", worst.variant, [outcome.sentence for outcome in worst.losses]
    if found is not None:
        return "keep_running", None, [too_early, *found[2]]
    return "keep_running", None, [*_missing(cases, verdicts), *([too_early] if too_early else [])]


def _favourable(cases: Sequence[_Case]) -> _Decision | None:
    """Return the decision that the figures allow but for the test's age; None where it is not one for a change."""
    gaining = sorted((case for case in cases if case.gains), key=lambda case: case.expected_gain, reverse=True)
    shipped = next((case for case in gaining if not case.costs), None)
    if shipped is not None:
        return "ship", shipped.variant, [*(each.sentence for each in shipped.gains), *_guards(shipped)]
    if gaining:
        weighed = gaining[0]
        reasons = [f"for it: {each.sentence}" for each in weighed.gains]
        return "trade_off", weighed.variant, reasons + [f"against it: {each.sentence}" for each in weighed.costs]
    if all(case.makes_no_difference and not case.losses for case in cases):
        return "no_difference", None, [_no_difference(each) for case in cases for each in case.primaries]
    return None


def _guards(case: _Case) -> list[str]:
    return [
        f"not shown yet to be at most {_share(each.comparison['non_inferiority']['margin'])} worse: {each.sentence}"
        for each in case.guardrails
        if each.is_open
    ]


def _no_difference(outcome: _Outcome) -> str:
    reach = max(abs(end) for end in outcome.comparison["lift"]["ci"])
    return f"a difference beyond {_share(reach)} is excluded: {outcome.sentence}"


def _missing(cases: Sequence[_Case], verdicts: Verdicts) -> list[str]:
    """Return what each treatment's primary figures still lack."""
    return [_lacks(outcome, verdicts) for case in cases for outcome in case.primaries]


def _lacks(outcome: _Outcome, verdicts: Verdicts) -> str:
    comparison = outcome.comparison
    if not comparison["coverage_comparable"]:
        return f"{outcome.label} is missing more often in one arm than in the other: it can't decide"
    if not comparison["enough_data"]:
        return f"too few sessions yet, {comparison['sessions']} in both arms: {outcome.sentence}"
    needed = comparison["sessions_needed"]
    more = "" if needed is None else f"; {_more(outcome, needed, verdicts)}"
    return f"undecided: {outcome.sentence}{more}"


def _more(outcome: _Outcome, needed: int, verdicts: Verdicts) -> str:
    comparison = outcome.comparison
    days = comparison["days_remaining"]
    about = "" if days is None else f", about {days:.0f} days"
    missing = max(0, needed - comparison["sessions"])
    target = _share(outcome.target)
    return f"to find {target} with a power of {_share(verdicts.settings.power)} it takes {missing} more sessions{about}"


def _too_early(verdicts: Verdicts) -> str:
    """Return why no change is advised at the test's age, however clear the figures; empty where it is old enough."""
    traffic = verdicts.traffic
    if traffic is None or traffic.elapsed_days is None or traffic.calls_per_day is None:
        return ""
    least, most = minimum_duration_days(traffic.calls_per_day)
    if traffic.elapsed_days >= least:
        return ""
    span = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"the test has run for {traffic.elapsed_days:.1f} days; at {traffic.calls_per_day:.0f} calls a day it should "
        f"run for {span}, since no day is like another"
    )


def _cases(entries: Sequence[dict[str, Any]], n_star: int) -> list[_Case]:
    """Return the treatments in the order of the arms; neutral figures decide nothing."""
    variants = dict.fromkeys(comparison["variant"] for entry in entries for comparison in entry["comparisons"])
    judged = [entry for entry in entries if entry["direction"] != "neutral"]

    def of(variant: str, role: str) -> tuple[_Outcome, ...]:
        return tuple(
            _Outcome(entry, comparison, n_star)
            for entry in judged
            if entry["role"] == role
            for comparison in entry["comparisons"]
            if comparison["variant"] == variant
        )

    cases = [
        _Case(variant, of(variant, "primary"), of(variant, "secondary"), of(variant, "guardrail"))
        for variant in variants
    ]
    # A variant that gets no sessions, as one of weight 0, keeps no other waiting.
    return [case for case in cases if case.has_data] or cases


def _monthly_cost_impacts(entries: Sequence[dict[str, Any]], verdicts: Verdicts) -> list[dict[str, Any]]:
    """Return by treatment what a month costs more if all sessions of the test went to it, not to the control."""
    if verdicts.traffic is None or not verdicts.traffic.sessions_per_day:
        return []
    sessions = verdicts.traffic.sessions_per_day * DAYS_A_MONTH
    return [
        {
            "variant": comparison["variant"],
            "estimate": estimate * sessions,
            "ci": [end * sessions for end in interval] if interval and _are_finite(interval, sessions) else None,
        }
        for entry in entries
        if (entry["name"], entry["statistic"], entry["estimand"]) == _COST and "covariate" not in entry
        for comparison in entry["comparisons"]
        for estimate, interval in [(comparison["difference"]["estimate"], comparison["difference"]["ci"])]
        if estimate is not None and _are_finite([estimate], sessions)
    ]


def _are_finite(amounts: Sequence[float], factor: float) -> bool:
    return all(math.isfinite(amount * factor) for amount in amounts)


def _impact_sentence(impact: dict[str, Any]) -> str:
    interval = "no interval" if impact["ci"] is None else f"{impact['ci'][0]:+.2f} to {impact['ci'][1]:+.2f}"
    amount, word = abs(impact["estimate"]), "less" if impact["estimate"] < 0 else "more"
    return (
        f"at the present traffic all sessions on {impact['variant']} would cost {amount:,.2f} USD a month {word} than "
        f"on the control ({interval})"
    )


def _answer(action: Action, variant: str | None, reasons: list[str], impacts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"action": action, "variant": variant, "reasons": reasons, "monthly_cost_impact_usd": impacts}


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"
