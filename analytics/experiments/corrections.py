"""What is significant among all comparisons of an experiment, corrected for how many they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from analytics.experiments.figures import identity_of
from analytics.experiments.statistics import benjamini_hochberg, bonferroni
from analytics.experiments.verdicts import Past, Verdicts

_Found = Sequence[tuple[dict[str, Any], dict[str, Any]]]
"""Entries, each with one of its comparisons."""


def conclude(entries: Sequence[dict[str, Any]], verdicts: Verdicts) -> None:
    """Correct the comparisons of all entries for their number, in place: adjusted p-values, and what is significant.

    Primary figures by Bonferroni, secondary ones by Benjamini–Hochberg over all their comparisons, guardrails not at
    all: a warning too many costs less than one too few. Neutral figures get no verdict, so that they are of no family
    and have no adjusted p-value.
    """
    judged = [entry for entry in entries if entry["direction"] != "neutral"]
    primary = list(_of_role(judged, "primary"))
    family = max([len(primary), *(verdicts.family("primary", len(entry["comparisons"]) + 1) for entry, _ in primary)])
    _set(primary, bonferroni(_p_values(primary), family), verdicts, family)
    secondary = list(_of_role(judged, "secondary"))
    _set(secondary, benjamini_hochberg(_p_values(secondary)), verdicts, 1)
    guardrails = list(_of_role(judged, "guardrail"))
    _set(guardrails, _p_values(guardrails), verdicts, 1)
    if verdicts.is_sequential:
        alpha = verdicts.settings.alpha
        for found, level in (
            (primary, alpha / max(1, family)),
            (secondary, _level(secondary, alpha)),
            (guardrails, alpha),
        ):
            _date(found, verdicts, level)


def _level(secondary: _Found, alpha: float) -> float:
    """Return to what p Benjamini–Hochberg rejects: α·k/m, with k of m rejected."""
    adjusted = [comparison["p_value_adjusted"] for _, comparison in secondary]
    known = [p_value for p_value in adjusted if p_value is not None]
    return alpha * sum(p_value < alpha for p_value in known) / len(known) if known else 0.0


def _date(found: _Found, verdicts: Verdicts, level: float) -> None:
    """Say since when what is significant was: the first look whose p fell to the level that holds now."""
    for entry, comparison in found:
        if comparison["significant"]:
            past = verdicts.past.get((identity_of(entry), comparison["variant"]), Past())
            since = past.significant_since(level) or verdicts.at
            comparison["first_significant_at"] = None if since is None else since.isoformat()


def _of_role(entries: Sequence[dict[str, Any]], role: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for entry in entries:
        if entry["role"] == role:
            yield from ((entry, comparison) for comparison in entry["comparisons"])


def _p_values(found: _Found) -> list[float | None]:
    return [comparison["p_value"] for _, comparison in found]


def _set(
    found: _Found,
    adjusted: Sequence[float | None],
    verdicts: Verdicts,
    family: int,
) -> None:
    for (_, comparison), p_value in zip(found, adjusted, strict=True):
        comparison["p_value_adjusted"] = p_value
        comparison["significant"] = (
            verdicts.allowed
            and comparison["enough_data"]
            and comparison["coverage_comparable"]
            and _rejects(comparison, verdicts, family)
        )


def _rejects(comparison: dict[str, Any], verdicts: Verdicts, family: int) -> bool:
    alpha = verdicts.settings.alpha
    if verdicts.settings.inference != "bayesian":
        p_value = comparison["p_value_adjusted"]
        return p_value is not None and p_value < alpha
    bayes = comparison["bayes"]
    return bayes is not None and min(bayes["chance_to_beat"], 1 - bayes["chance_to_beat"]) < alpha / family / 2
