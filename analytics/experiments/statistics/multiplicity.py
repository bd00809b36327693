"""Adjusted p-values of a family of tests; each compares with α itself. None is no test and not of the family."""

from __future__ import annotations

from collections.abc import Callable, Sequence

PValues = Sequence[float | None]


def bonferroni(p_values: PValues, family: int | None = None) -> list[float | None]:
    """Return p·m, at most 1: no false positive in the family, with probability 1 − α. ``family`` is m if not theirs."""
    size = _count(p_values) if family is None else family
    return [None if p is None else min(1.0, p * size) for p in p_values]


def holm(p_values: PValues) -> list[float | None]:
    """Return Holm's step-down p-values (1979): what Bonferroni's guarantee costs at least."""

    def adjust(ordered: Sequence[float]) -> list[float]:
        found, most = [], 0.0
        for rank, p in enumerate(ordered):
            most = max(most, min(1.0, (len(ordered) - rank) * p))
            found.append(most)
        return found

    return _in_order(p_values, adjust)


def benjamini_hochberg(p_values: PValues) -> list[float | None]:
    """Return the step-up p-values of Benjamini and Hochberg (1995): α of those called significant are false, at most.

    For tests that are independent or positively dependent, as metrics of the same sessions mostly are.
    """

    def adjust(ordered: Sequence[float]) -> list[float]:
        found, least = [], 1.0
        for rank in range(len(ordered), 0, -1):
            least = min(least, ordered[rank - 1] * len(ordered) / rank)
            found.append(least)
        return found[::-1]

    return _in_order(p_values, adjust)


def _in_order(p_values: PValues, adjust: Callable[[Sequence[float]], list[float]]) -> list[float | None]:
    """Apply ``adjust`` to the p-values there are, smallest first, and put each back into its place."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    for (_, place), adjusted in zip(tested, adjust([p for p, _ in tested]), strict=True):
        found[place] = adjusted
    return found


def _count(p_values: PValues) -> int:
    return sum(p is not None for p in p_values)
