"""Simulated sessions of LLM calls, as arrays of shape (experiments, sessions): clustered, skewed, of unequal size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.statistics import RatioSums

Floats = NDArray[np.float64]

LATENCY_MS = 1000.0
ERROR_SHARE = 0.05
SLOWNESS_SIGMA = 0.6
HEAVY_SIGMA = 1.2
# The ends of gamma's shape: a call's latency has half its session's as its standard deviation.
_CALL_SHAPE = 4.0


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of many experiments: each session's calls, their latency in all, and their errors."""

    calls: Floats
    latency_ms: Floats
    errors: Floats

    def sums(self, metric: str, shift: float = 0.0) -> list[RatioSums]:
        """Return an experiment's sums a row; ``shift`` is added to each call's latency, in ms."""
        x, n = self.columns(metric, shift)
        return row_sums(x, n)

    def columns(self, metric: str, shift: float = 0.0) -> tuple[Floats, Floats]:
        """Return numerator and denominator of a metric, by session."""
        if metric == "error":
            return self.errors, self.calls
        latency = self.latency_ms + shift * self.calls
        return (latency, self.calls) if metric == "ratio" else (latency / self.calls, np.ones_like(self.calls))


def arm(
    rng: np.random.Generator, experiments: int, sessions: int, *, sigma: float = SLOWNESS_SIGMA, size_sigma: float = 0.0
) -> Arm:
    """Draw an arm. A slow session is slow in all its calls, a failing one fails often: calls are far from independent.

    With ``size_sigma`` the sizes of sessions are lognormal, a few of them huge, instead of geometric.
    """
    shape = (experiments, sessions)
    if size_sigma:
        calls = np.ceil(np.exp(rng.normal(1.0, size_sigma, shape)))
    else:
        calls = rng.geometric(0.15, shape).astype(np.float64)
    # The mean of the lognormal is 1.
    slowness = np.exp(rng.normal(-sigma * sigma / 2, sigma, shape))
    latency_ms = LATENCY_MS * slowness * rng.gamma(_CALL_SHAPE * calls) / _CALL_SHAPE
    errors = rng.binomial(calls.astype(np.int64), rng.beta(0.5, 0.5 / ERROR_SHARE - 0.5, shape)).astype(np.float64)
    return Arm(calls, latency_ms, errors)


def row_sums(x: Floats, n: Floats) -> list[RatioSums]:
    """Return the sums over each row's sessions."""
    columns = [each.sum(axis=1).tolist() for each in (x, x * x, n, n * n, x * n)]
    return [RatioSums(x.shape[1], *row) for row in zip(*columns, strict=True)]


def running_sums(x: Floats, n: Floats, looks: NDArray[np.int64]) -> list[list[RatioSums]]:
    """Return for each row its sums at each look, a number of sessions."""
    columns = [np.cumsum(each, axis=1)[:, looks - 1] for each in (x, x * x, n, n * n, x * n)]
    counts = looks.tolist()
    return [
        [RatioSums(count, *map(float, at)) for count, at in zip(counts, np.stack(rows, axis=1), strict=True)]
        for rows in zip(*columns, strict=True)
    ]
