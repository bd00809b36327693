"""The comparisons of an experiment's results one after the other, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analytics.reports.printable import printable
from analytics.reports.verdict import Verdict, verdict_of

ROLES = ("primary", "guardrail", "secondary")


@dataclass(frozen=True, slots=True)
class Compared:
    """One treatment's comparison in one metric, with the results and the entry that it is part of.

    ``segment`` says of which sessions it is; None is all of them.
    """

    results: Mapping[str, Any]
    entry: Mapping[str, Any]
    comparison: Mapping[str, Any]
    segment: str | None = None

    @property
    def control(self) -> Mapping[str, Any]:
        """The control's figure."""
        return self._arm(self.comparison["vs"])

    @property
    def treatment(self) -> Mapping[str, Any]:
        """The treatment's figure."""
        return self._arm(self.comparison["variant"])

    @property
    def verdict(self) -> Verdict:
        """What it says."""
        return verdict_of(self.entry, self.comparison, allowed=allows_verdict(self.results))

    @property
    def name(self) -> str:
        """The metric's name, with the value of a text that it counts."""
        return name_of(self.entry)

    @property
    def figure(self) -> str:
        """Which figure of the metric it is: ``p95 per call``."""
        return figure_of(self.entry)

    def _arm(self, key: str) -> Mapping[str, Any]:
        return next(arm for arm in self.entry["variants"] if arm["key"] == key)


def compared(results: Mapping[str, Any]) -> list[Compared]:
    """Return all comparisons: primary figures, guardrails, then the secondary ones, at last those by segment."""
    whole = [each for role in ROLES for each in of_role(results, role)]
    return whole + [each for _, rows in by_segment(results) for each in rows]


def of_role(results: Mapping[str, Any], role: str) -> Iterator[Compared]:
    """Yield the comparisons of the figures of a role."""
    for entry in results["metrics"]:
        if entry["role"] == role:
            for comparison in entry["comparisons"]:
                yield Compared(results, entry, comparison)


def by_segment(results: Mapping[str, Any]) -> Iterator[tuple[str, list[Compared]]]:
    """Yield each segment, ``model = gpt-4o``, with its comparisons, where the results have some."""
    section = results.get("segments") or {"segments": ()}
    for segment in section["segments"]:
        value = f"the other {segment['values']}" if segment["is_rest"] else segment["value"]
        name = f"{section['by']} = {value}"
        yield (
            printable(name),
            [
                Compared(results, entry, comparison, name)
                for entry in segment["metrics"]
                for comparison in entry["comparisons"]
            ],
        )


def name_of(entry: Mapping[str, Any]) -> str:
    """Return a metric's name, with the value of a text that it counts."""
    category = entry.get("category")
    return printable(entry["name"] if category is None else f"{entry['name']} = {category}")


def figure_of(entry: Mapping[str, Any]) -> str:
    """Return which figure of its metric an entry is: ``p95 per call``."""
    text = f"{entry['statistic']} {entry['estimand']}".replace("_", " ")
    return f"{text}, CUPED by {printable(entry['covariate'])}" if entry.get("covariate") else text


def allows_verdict(results: Mapping[str, Any]) -> bool:
    """Return whether anything may be concluded from the results."""
    has_begun = results["experiment"]["status"] != "planned"
    is_sound = results["health"]["status"] != "invalid" and results["recommendation"]["action"] not in (None, "invalid")
    return has_begun and is_sound
