"""Sample ratio mismatch: whether the sessions fell to the arms as their weights say. A mismatch voids the experiment.

Arms of weight zero take no part. Weights are relative and need not sum to one. They hold for one weight epoch: when
weights change, the epochs are tested apart and combined, never pooled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special


@dataclass(frozen=True, slots=True)
class SampleRatioTest:
    """Pearson's χ² of observed against expected sessions, one entry an arm; p None where there is nothing to test."""

    statistic: float
    degrees_of_freedom: int
    p_value: float | None
    observed: tuple[int, ...]
    expected: tuple[float, ...]


def chi_square(observed: Sequence[int], weights: Sequence[float]) -> SampleRatioTest:
    """Return the χ² test of one epoch; ``observed`` (sessions) and ``weights`` have one entry an arm.

    The expected sessions share out those of the arms of weight > 0.
    """
    shares = _shares(weights)
    counts = np.asarray(observed, dtype=np.float64)
    drawn = shares > 0
    expected = shares * counts[drawn].sum()
    if drawn.sum() < 2 or not expected.any():
        return SampleRatioTest(0.0, 0, None, tuple(observed), tuple(expected.tolist()))
    statistic = float(np.sum((counts[drawn] - expected[drawn]) ** 2 / expected[drawn]))
    return _test(statistic, int(drawn.sum()) - 1, tuple(observed), tuple(expected.tolist()))


def stratified_chi_square(epochs: Sequence[SampleRatioTest]) -> SampleRatioTest:
    """Return the test over epochs of the same arms: statistics and degrees of freedom add, as do the sessions."""
    return _test(
        math.fsum(epoch.statistic for epoch in epochs),
        sum(epoch.degrees_of_freedom for epoch in epochs),
        tuple(map(sum, zip(*(epoch.observed for epoch in epochs), strict=True))),
        tuple(map(sum, zip(*(epoch.expected for epoch in epochs), strict=True))),
    )


def log_bayes_factor(observed: Sequence[int], weights: Sequence[float], *, concentration: float = 1000.0) -> float:
    """Return ln BF of other shares, Dirichlet(kθ) with k = ``concentration``, against the shares θ of the weights.

    lnΓ(k) − lnΓ(k+n) + Σ[lnΓ(kθ_j+n_j) − lnΓ(kθ_j)] − Σ n_j·ln θ_j; ``observed`` is cumulative, one entry an arm.
    Lindon and Malek (2022), "Anytime-Valid Inference for Multinomial Count Data". Those of several epochs add.
    """
    return float(log_bayes_factors(np.asarray([observed]), weights, concentration=concentration)[0])


def log_bayes_factors(
    observed: NDArray[np.int64], weights: Sequence[float], *, concentration: float = 1000.0
) -> NDArray[np.float64]:
    """Return ``log_bayes_factor`` at each of several looks; ``observed`` has shape (looks, arms)."""
    shares = _shares(weights)
    counts = np.asarray(observed, dtype=np.float64)[:, shares > 0]
    shares = shares[shares > 0]
    prior = concentration * shares
    marginal = special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(shares)
    total = special.gammaln(concentration) - special.gammaln(concentration + counts.sum(axis=1))
    factors: NDArray[np.float64] = total + marginal.sum(axis=1)
    return factors


def sequential_p_value(log_bayes_factors: Iterable[float]) -> float:
    """Return the p-value that may be looked at any time: the least of 1/BF over the looks so far, at most 1."""
    return math.exp(-max(0.0, max(log_bayes_factors, default=0.0)))


def _shares(weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the weights, of shape (arms,), scaled to sum to one; all zero where none is positive."""
    positive = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
    total = positive.sum()
    return positive / total if total > 0 else positive


def _test(
    statistic: float, degrees_of_freedom: int, observed: tuple[int, ...], expected: tuple[float, ...]
) -> SampleRatioTest:
    p_value = float(special.chdtrc(degrees_of_freedom, statistic)) if degrees_of_freedom else None
    return SampleRatioTest(statistic, degrees_of_freedom, p_value, observed, expected)
