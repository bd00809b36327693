"""What one comparison says, in a word and a mark; never in a colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["good", "bad", "none"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``word`` says it all, ``mark`` is for the eye, ``tone`` what a colour may stress."""

    word: str
    mark: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.mark} {self.word}"


BETTER = Verdict("better", "▲", "good")
WORSE = Verdict("worse", "▼", "bad")
BREACHED = Verdict("breached", "▼", "bad")
HOLDS = Verdict("holds", "■", "good")
UNDECIDED = Verdict("undecided", "·", "none")
NEUTRAL = Verdict("no direction", "·", "none")
TOO_FEW = Verdict("too few sessions", "·", "none")
UNEVEN = Verdict("coverage differs", "·", "none")
EXPLORATORY = Verdict("exploratory", "·", "none")
NOT_ALLOWED = Verdict("no verdict", "·", "none")
_STATUS = {
    "no_data": Verdict("no data", "·", "none"),
    "insufficient_data": Verdict("too few data", "·", "none"),
    "zero_variance": Verdict("no variation", "·", "none"),
}


def verdict_of(entry: Mapping[str, Any], comparison: Mapping[str, Any], *, allowed: bool) -> Verdict:
    """Return what the comparison of a metric's entry says; ``allowed`` is whether the experiment's health lets it."""
    if comparison["status"] != "ok":
        return _STATUS.get(comparison["status"], UNDECIDED)
    if "significant" not in comparison:
        return EXPLORATORY
    if entry["direction"] == "neutral":
        return NEUTRAL
    if not allowed:
        return NOT_ALLOWED
    if not comparison["enough_data"]:
        return TOO_FEW
    if not comparison["coverage_comparable"]:
        return UNEVEN
    guarded = (comparison["non_inferiority"] or {}).get("verdict")
    if guarded == "fail":
        return BREACHED
    if comparison["significant"]:
        return _significant(entry, comparison)
    return HOLDS if guarded == "pass" else UNDECIDED


def _significant(entry: Mapping[str, Any], comparison: Mapping[str, Any]) -> Verdict:
    is_less = (comparison["difference"]["estimate"] or 0.0) < 0
    return BETTER if is_less == (entry["direction"] == "lower_is_better") else WORSE
