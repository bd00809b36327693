"""Sums by arm and weight epoch, as the engine gives them, and the SQL that adds up.

Theory of operation. An epoch's sessions were assigned alike; what is added up over epochs of other weights would mix
arms in other proportions (Simpson), so each epoch's sums stand apart until the statistics combine them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analytics.experiments.metrics import RatioMetric
from analytics.experiments.statistics import RatioSums


@dataclass(frozen=True, slots=True)
class ArmSums:
    """A figure's sums in one arm, one an epoch, how many observations it rests on, and of how many there could be."""

    epochs: tuple[RatioSums, ...]
    observations: float
    possible: float

    @property
    def sessions(self) -> int:
        """Return how many sessions the figure is of, in all epochs."""
        return sum(sums.sessions for sums in self.epochs)

    @property
    def coverage(self) -> float | None:
        """Return the share of the observations that could have been made; None where there could be none."""
        return self.observations / self.possible if self.possible else None


class Expressions:
    """Expressions of a statement, each once however many figures need it."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}

    def alias(self, expression: str) -> str:
        """Return the name under which the statement answers the expression."""
        return self._aliases.setdefault(expression, f"e{len(self._aliases)}")

    def __str__(self) -> str:
        return ", ".join(f"{expression} AS {alias}" for expression, alias in self._aliases.items())


@dataclass(frozen=True, slots=True)
class SumColumns:
    """Under which names a statement answers the sums of a ratio metric, and on how many observations they rest."""

    x: str
    xx: str
    n: str
    nn: str
    xn: str
    observed: str
    observations: str
    possible: str

    @classmethod
    def of(cls, metric: RatioMetric, expressions: Expressions) -> SumColumns:
        """Add what the metric needs to the statement's expressions."""
        x, n = metric.numerator, metric.denominator
        # Kahan's sums cost three times as much; whole numbers add up exactly without.
        adds = "sum" if metric.is_whole else "fsum"
        is_flag = metric.statistic == "proportion"

        def summed(expression: str, function: str = "sum") -> str:
            return expressions.alias(f"{function}({expression})")

        sessions = expressions.alias("count(*)")
        total = summed(x, adds)
        # A denominator that says whether the value is known is its own square, and changes no numerator.
        n_is_flag = n is not None and n == metric.known
        per_session = summed(metric.known) if metric.known else sessions
        return cls(
            x=total,
            xx=total if is_flag else summed(f"({x}) * ({x})", adds),
            n=sessions if n is None else summed(n),
            nn=sessions if n is None else summed(n) if n_is_flag else summed(f"({n}) * ({n})"),
            xn=total if n is None or n_is_flag else summed(f"({x}) * ({n})", adds),
            observed=summed(metric.observed) if metric.observed else sessions,
            observations=summed(metric.observed or n or "1") if metric.estimand == "per_call" else per_session,
            possible=summed("calls") if metric.estimand == "per_call" else sessions,
        )

    def arm(self, rows: Sequence[Mapping[str, Any]], sessions: str, epochs: int) -> ArmSums:
        """Return the sums of an arm from its rows, one an epoch; ``sessions`` is the name of their number in it."""
        observed = sum(row[self.observed] for row in rows)
        found = {
            row["epoch"]: self._sums(row, row[sessions]) if observed else nothing_known(row[sessions]) for row in rows
        }
        sums = tuple(found.get(epoch, RatioSums.empty()) for epoch in range(epochs))
        # Where no call's value is known, sessions without calls must not make it zero.
        observations = float(sum(row[self.observations] for row in rows)) if observed else 0.0
        return ArmSums(sums, observations, float(sum(row[self.possible] for row in rows)))

    def _sums(self, row: Mapping[str, Any], sessions: int) -> RatioSums:
        return ratio_sums(sessions, (row[name] for name in (self.x, self.xx, self.n, self.nn, self.xn)))


def ratio_sums(sessions: int, sums: Iterable[float | None]) -> RatioSums:
    """Return the sums x, xx, n, nn, xn over so many sessions; a sum of nothing is 0."""
    return RatioSums(sessions, *(float(each or 0.0) for each in sums))


def nothing_known(sessions: int) -> RatioSums:
    """Return the sums over sessions of which nothing is known but that they are there."""
    return RatioSums(sessions, 0.0, 0.0, 0.0, 0.0, 0.0)
