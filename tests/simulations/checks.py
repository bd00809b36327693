"""What the statistics promise, measured over simulated experiments through the comparisons that the results show."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from simulations.sessions import ERROR_SHARE, HEAVY_SIGMA, LATENCY_MS, Arm, Floats, arm, row_sums, running_sums

from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.corrections import conclude
from analytics.experiments.figures import Figure
from analytics.experiments.settings import Inference, Settings
from analytics.experiments.statistics import (
    Estimate,
    Proportion,
    RatioSums,
    critical_value,
    estimate_quantile,
    estimate_ratio,
    estimate_ratio_small_sample,
    log_bayes_factor,
    quantile_bounds,
    sequential_p_value,
)
from analytics.experiments.verdicts import Verdicts

ALPHA = 0.05
LOOKS = 146
RATIOS = ("mean", "ratio", "error")
SESSIONS = (100, 300, 1000)
QUANTILES = (0.5, 0.9, 0.95)
FIGURE = Figure("latency_ms", "mean", "per_call", role="primary", direction="lower_is_better")
_CHUNK = 250


@dataclass(frozen=True, slots=True)
class Check:
    """A rate that was measured over ``experiments``, and what was promised of it, shares both."""

    promise: str
    case: str
    experiments: int
    rate: float
    least: float = 0.0
    most: float = 1.0

    @property
    def holds(self) -> bool:
        """Return whether the rate is within what was promised."""
        return self.least <= self.rate <= self.most


def false_positives(rng: np.random.Generator, experiments: int) -> Iterator[Check]:
    """Yield how often arms without a difference are called different, at one look."""
    for sessions in SESSIONS:
        pairs = list(_pairs(rng, experiments, sessions))
        for metric in RATIOS:
            found = [
                found["p_value"] < ALPHA
                for first, second in pairs
                for found in _compared(first.sums(metric), second.sums(metric), "fixed_horizon")
            ]
            yield _check("A/A false positives", f"{metric}, {sessions} sessions an arm", found, 0.035, 0.065)


def quantile_false_positives(rng: np.random.Generator, experiments: int) -> Iterator[Check]:
    """Yield the same of quantiles over calls; one that can't be estimated is not called different."""
    for sessions in SESSIONS:
        found: dict[float, list[bool]] = {probability: [] for probability in QUANTILES}
        for _ in range(experiments):
            first, second = _calls(rng, sessions), _calls(rng, sessions)
            for probability, rejections in found.items():
                arms = [_quantile_arm(*calls, probability) for calls in (first, second)]
                rejections.append(_rejects(_comparison(arms, "fixed_horizon")))
        for probability, rejections in found.items():
            yield _check(
                "A/A false positives", f"p{probability * 100:g}, {sessions} sessions an arm", rejections, 0.0, 0.065
            )


def peeking(rng: np.random.Generator, experiments: int) -> Iterator[Check]:
    """Yield how often arms without a difference are ever called different, looked at 146 times."""
    looks = np.linspace(50, 50 + 20 * (LOOKS - 1), LOOKS).astype(np.int64)
    ever: dict[str, list[bool]] = {metric: [] for metric in RATIOS}
    fixed: list[bool] = []
    for size in _chunks(experiments, 50):
        first, second = (arm(rng, size, int(looks[-1])) for _ in range(2))
        for metric in RATIOS:
            paths = zip(*(running_sums(*each.columns(metric), looks) for each in (first, second)), strict=True)
            for control, treatment in paths:
                seen = list(_compared(control, treatment, "sequential"))
                ever[metric].append(any(_rejects(found) for found in seen))
                if metric == "ratio":
                    fixed.append(any(found["p_value_fixed"] < ALPHA for found in seen))
    for metric, rejections in ever.items():
        yield _check(f"A/A looked at {LOOKS} times", f"{metric}, 2950 sessions an arm", rejections, 0.0, 0.05)
    yield _check(f"A/A looked at {LOOKS} times", "ratio, by the fixed-horizon p (why it is not to be peeked at)", fixed)


def coverage(rng: np.random.Generator, experiments: int, sessions: int = 300) -> Iterator[Check]:
    """Yield how often 95 % intervals hold the true difference and lift, where the treatment is 10 % slower."""
    for sigma, tail, least in ((0.6, "usual", 0.93), (HEAVY_SIGMA, "heavy", 0.92)):
        for metric in ("mean", "ratio"):
            difference, lift = [], []
            for first, second in _pairs(rng, experiments, sessions, sigma=sigma):
                slower = Arm(second.calls, 1.1 * second.latency_ms, second.errors)
                for found in _compared(first.sums(metric), slower.sums(metric), "fixed_horizon"):
                    difference.append(_holds(found["difference"]["ci"], 0.1 * LATENCY_MS))
                    lift.append(_holds(found["lift"]["ci"], 0.1))
            yield _check("coverage of 95 % intervals", f"difference, {metric}, {tail} tail", difference, least)
            yield _check("coverage of 95 % intervals", f"lift (Fieller), {metric}, {tail} tail", lift, least)
    yield _check("coverage of 95 % intervals", "difference, error", _error_coverage(rng, experiments, sessions), 0.93)
    shares = _share_coverage(rng, experiments, sessions)
    yield _check("coverage of 95 % intervals", "difference, proportion (score)", shares, 0.93)


def sample_ratio(rng: np.random.Generator, experiments: int) -> Iterator[Check]:
    """Yield how often a fair split is ever called a mismatch, looked at 146 times."""
    for weights in ((0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1)):
        found = []
        for _ in range(experiments):
            counts = np.cumsum(rng.multinomial(100, weights, LOOKS), axis=0).tolist()
            found.append(sequential_p_value(log_bayes_factor(each, weights) for each in counts) < 0.01)
        yield _check(f"sample ratio mismatch at any of {LOOKS} looks", f"weights {weights}", found, 0.0, 0.01)


def family_wise(rng: np.random.Generator, experiments: int, sessions: int = 300) -> Iterator[Check]:
    """Yield how often any of two primary figures of three equal arms is called significant."""
    verdicts = Verdicts(Settings(inference="fixed_horizon"), allowed=True, primaries=2)
    found = []
    for size in _chunks(experiments):
        arms = [arm(rng, size, sessions) for _ in range(3)]
        by_metric = [list(zip(*(each.sums(metric) for each in arms), strict=True)) for metric in ("ratio", "error")]
        for sums in zip(*by_metric, strict=True):
            entries = [_entry(each, verdicts) for each in sums]
            conclude(entries, verdicts)
            found.append(any(each["significant"] for entry in entries for each in entry["comparisons"]))
    yield _check("family-wise error of the primaries", "2 figures, 2 treatments", found, 0.0, 0.055)


def power(rng: np.random.Generator, experiments: int, sessions: int = 1000) -> Iterator[Check]:
    """Yield how often a difference of the size of the MDE is found, at one look."""
    for inference in ("fixed_horizon", "sequential"):
        mde, found = [], []
        for first, second in _pairs(rng, max(experiments // 10, 20), sessions):
            mde += [each["mde"] for each in _compared(first.sums("ratio"), second.sums("ratio"), inference)]
        shift = LATENCY_MS * float(np.median(mde))
        for first, second in _pairs(rng, experiments, sessions):
            found += [_rejects(each) for each in _compared(first.sums("ratio"), second.sums("ratio", shift), inference)]
        yield _check("power at the MDE", f"ratio, {sessions} sessions an arm, {inference}", found, 0.76, 0.84)


def small_samples(rng: np.random.Generator, experiments: int) -> Iterator[Check]:
    """Yield false positives with few sessions of very unequal size, by three ways to the variance; nothing promised."""
    for sessions in (10, 20, 50, 100, 200):
        found: dict[str, list[bool]] = {}
        for first, second in _pairs(rng, experiments, sessions, size_sigma=1.2):
            sums = [each.sums("ratio") for each in (first, second)]
            for row, pair in enumerate(zip(*sums, strict=True)):
                delta = [_with_freedom(each, each.sessions - 1) for each in pair]
                effective = [_with_freedom(each, (each.effective_sessions or 2.0) - 1) for each in pair]
                leverage = [
                    estimate_ratio_small_sample(each.latency_ms[row], each.calls[row]) for each in (first, second)
                ]
                ways = {"delta, K − 1": delta, "delta, K_eff − 1": effective, "leverage, K_eff − 1": leverage}
                for way, estimates in ways.items():
                    arms = [_arm_of(estimate, each) for estimate, each in zip(estimates, pair, strict=True)]
                    found.setdefault(way, []).append(_rejects(_comparison(arms, "fixed_horizon")))
        for way, rejections in found.items():
            yield _check("A/A, few sessions of very unequal size", f"{sessions} sessions an arm, {way}", rejections)


def _with_freedom(sums: RatioSums, degrees_of_freedom: float) -> Estimate:
    found = estimate_ratio(sums)
    return Estimate.of(found.value, found.variance, degrees_of_freedom)


def _error_coverage(rng: np.random.Generator, experiments: int, sessions: int) -> Iterator[bool]:
    for first, second in _pairs(rng, experiments, sessions):
        for found in _compared(first.sums("error"), second.sums("error"), "fixed_horizon"):
            yield _holds(found["difference"]["ci"], 0.0)


def _share_coverage(rng: np.random.Generator, experiments: int, sessions: int) -> Iterator[bool]:
    rates = (ERROR_SHARE, 0.1)
    for _ in range(experiments):
        successes = [int(rng.binomial(sessions, rate)) for rate in rates]
        sums = [RatioSums.for_mean(sessions, float(each), float(each)) for each in successes]
        arms = [
            _arm_of(estimate_ratio(each), each, Proportion(count, sessions))
            for each, count in zip(sums, successes, strict=True)
        ]
        yield _holds(_comparison(arms, "fixed_horizon")["difference"]["ci"], rates[1] - rates[0])


def _calls(rng: np.random.Generator, sessions: int) -> tuple[Floats, Floats]:
    """Return each call's session and latency."""
    sizes = rng.geometric(0.15, sessions)
    session = np.repeat(np.arange(sessions), sizes)
    slowness = rng.normal(0, 0.6, sessions)
    return session, LATENCY_MS * np.exp(slowness[session] + rng.normal(0, 0.5, len(session)))


def _quantile_arm(session: Floats, latency_ms: Floats, probability: float) -> ArmEstimate:
    ordered = np.sort(latency_ms)

    def look_up(at: float | None) -> float | None:
        return None if at is None else float(ordered[math.ceil(at * len(ordered) - 1e-9) - 1])

    c, value = critical_value(ALPHA), look_up(probability)
    below, n = np.bincount(session, latency_ms <= value), np.bincount(session).astype(np.float64)
    (sums,) = row_sums(below[None], n[None])
    bounds = quantile_bounds(sums, probability, c)
    return _arm_of(estimate_quantile(value, look_up(bounds.lower), look_up(bounds.upper), c), sums)


def _pairs(rng: np.random.Generator, experiments: int, sessions: int, **kinds: float) -> Iterator[tuple[Arm, Arm]]:
    for size in _chunks(experiments):
        yield arm(rng, size, sessions, **kinds), arm(rng, size, sessions, **kinds)


def _chunks(experiments: int, size: int = _CHUNK) -> Iterator[int]:
    for start in range(0, experiments, size):
        yield min(size, experiments - start)


def _compared(
    control: Iterable[RatioSums], treatment: Iterable[RatioSums], inference: Inference
) -> Iterator[dict[str, Any]]:
    for pair in zip(control, treatment, strict=True):
        yield _comparison([_arm_of(estimate_ratio(sums), sums) for sums in pair], inference)


def _comparison(arms: Sequence[ArmEstimate], inference: Inference) -> dict[str, Any]:
    verdicts = Verdicts(Settings(inference=inference), allowed=True)
    (found,) = compare(("a", "b"), arms, FIGURE, verdicts, method="delta_cluster")
    return found


def _entry(sums: Sequence[RatioSums], verdicts: Verdicts) -> dict[str, Any]:
    arms = [_arm_of(estimate_ratio(each), each) for each in sums]
    comparisons = compare(("a", "b", "c"), arms, FIGURE, verdicts, method="delta_cluster")
    return {"role": "primary", "direction": "lower_is_better", "comparisons": comparisons}


def _arm_of(estimate: Estimate, sums: RatioSums, proportion: Proportion | None = None) -> ArmEstimate:
    return ArmEstimate(
        estimate, None, sums.sessions, sums.n, sums.effective_sessions, coverage=1.0, proportion=proportion
    )


def _rejects(found: dict[str, Any]) -> bool:
    return found["p_value"] is not None and found["p_value"] < ALPHA


def _holds(interval: list[float] | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def _check(promise: str, case: str, found: Iterable[bool], least: float = 0.0, most: float = 1.0) -> Check:
    outcomes = list(found)
    return Check(promise, case, len(outcomes), sum(outcomes) / len(outcomes), least, most)


CHECKS: tuple[tuple[Callable[[np.random.Generator, int], Iterator[Check]], int, int], ...] = (
    (false_positives, 2000, 10_000),
    (quantile_false_positives, 600, 4000),
    (peeking, 100, 1000),
    (coverage, 2000, 10_000),
    (sample_ratio, 200, 2000),
    (family_wise, 2000, 10_000),
    (power, 1000, 5000),
    (small_samples, 0, 4000),
)
"""Each check, how many experiments the short version simulates, and how many the full one."""
