"""The figures of an experiment by numpy and scipy, from one row a call: an oracle that shares no code with the product.

The formulas are those of the results' documentation: the session is the unit, a mean or ratio has the delta-method
variance, a quantile is the inverted CDF with an interval by inversion of its clustered CDF, a share of sessions is
compared by the Miettinen–Nurminen score test.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ALPHA = 0.05
Z = float(stats.norm.ppf(1 - ALPHA / 2))
QUANTILES = (0.5, 0.9, 0.95, 0.99)
CAP = 0.99

Floats = NDArray[np.float64]
Value = Callable[["Call"], float | None]
SessionValue = Callable[["Session", Value], float | None]
Key = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Call:
    """What one call to a model should count for; None is unknown."""

    latency_ms: float
    is_error: bool
    time_to_first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None


@dataclass(slots=True)
class Session:
    """One session: its calls, and the latest value of each of its custom metrics."""

    session_id: str
    calls: list[Call] = field(default_factory=list)
    metrics: dict[str, float | bool | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """One arm's figure: ``variance`` is that of the estimate, ``degrees`` its degrees of freedom."""

    estimate: float | None
    interval: tuple[float, float] | None
    sessions: int
    observations: int
    coverage: float | None
    variance: float | None = None
    degrees: float = math.inf
    effective_observations: float | None = None
    successes: int | None = None

    def as_answered(self, key: str) -> dict[str, Any]:
        return {
            "key": key,
            "estimate": self.estimate,
            "ci": None if self.interval is None else list(self.interval),
            "sessions": self.sessions,
            "observations": self.observations,
            "effective_observations": self.effective_observations,
            "coverage": self.coverage,
        }


def _counted(count: Callable[[Call], int | None]) -> Value:
    """Return how many tokens a call has of a kind, if it reports any at all."""

    def value(call: Call) -> float | None:
        is_known = call.input_tokens is not None or call.output_tokens is not None
        return float(count(call) or 0) if is_known else None

    return value


TOKENS: dict[str, Value] = {
    "input_tokens": _counted(lambda call: call.input_tokens),
    "output_tokens": _counted(lambda call: call.output_tokens),
    "total_tokens": _counted(lambda call: (call.input_tokens or 0) + (call.output_tokens or 0)),
    # No call of these tests has to do with a cache, or reasons.
    "uncached_input_tokens": _counted(lambda call: call.input_tokens),
    "cache_read_tokens": _counted(lambda call: 0),
    "cache_write_tokens": _counted(lambda call: 0),
    "visible_output_tokens": _counted(lambda call: call.output_tokens),
    "reasoning_tokens": _counted(lambda call: 0),
}
CAPPED = ("latency_ms", "time_to_first_token_ms", "cost_usd", "input_tokens", "output_tokens", "total_tokens")


def arm_of_hash(session_id: str, weights: Sequence[float]) -> int:
    """Return the arm that the public hash gives to a session."""
    bucket = int(hashlib.md5(session_id.encode()).hexdigest()[:8], 16) % 1_000_000
    for index, reached in enumerate(np.cumsum(weights) * 10_000):
        if bucket < reached:
            return index
    return len(weights) - 1


def session_id_in(arm: int, name: str, weights: Sequence[float] = (50, 50)) -> str:
    """Return a session id made of the name that the hash puts in the arm."""
    candidates = (f"{name}-{number}" for number in range(10_000))
    return next(candidate for candidate in candidates if arm_of_hash(candidate, weights) == arm)


def figures_of(sessions: Sequence[Session], arms: Sequence[Sequence[Session]]) -> dict[Key, Figure]:
    """Return every figure of one arm by metric, statistic, estimand and category; ``arms`` are all, for what is cut."""
    calls = [call for session in sessions for call in session.calls]
    found: dict[Key, Figure] = {}
    per_call: tuple[tuple[str, str, Value], ...] = (
        ("latency_ms", "mean", lambda call: call.latency_ms),
        ("time_to_first_token_ms", "mean", lambda call: call.time_to_first_token_ms),
        ("error_rate", "ratio", lambda call: float(call.is_error)),
        ("cost_usd", "mean", lambda call: call.cost),
        *((name, "mean", value) for name, value in TOKENS.items()),
    )
    for name, statistic, value in per_call:
        values = _by_session(sessions, value)
        found[name, statistic, "per_call", None] = per_call_figure(values, len(calls))
    for name in ("latency_ms", "time_to_first_token_ms"):
        values = _by_session(sessions, lambda call, name=name: getattr(call, name))
        for probability in QUANTILES:
            key = (name, f"p{probability * 100:g}", "per_call", None)
            found[key] = quantile_figure(values, probability, len(calls))
    found |= _session_figures(sessions, arms)
    count = np.array([len(session.calls) for session in sessions], float)
    found["calls_per_session", "mean", "per_session", None] = mean_figure(count, len(sessions))
    with_error = sum(any(call.is_error for call in session.calls) for session in sessions)
    found["error_rate", "proportion", "per_session", None] = share_figure(with_error, len(sessions), len(sessions))
    # No session of these tests calls a second model.
    found["fallback_rate", "proportion", "per_session", None] = share_figure(0, len(sessions), len(sessions))
    return found | _custom_figures(sessions)


def _session_figures(sessions: Sequence[Session], arms: Sequence[Sequence[Session]]) -> dict[Key, Figure]:
    """Return the means over sessions of what a session took: its mean latency, its tokens, its cost."""
    measures: dict[str, tuple[Value, SessionValue]] = {
        "latency_ms": (lambda call: call.latency_ms, _mean),
        "time_to_first_token_ms": (lambda call: call.time_to_first_token_ms, _mean),
        "cost_usd": (lambda call: call.cost, _total),
        **{name: (value, _total) for name, value in TOKENS.items()},
    }
    found: dict[Key, Figure] = {}
    for name, (value, of_session) in measures.items():
        is_observed = any(value(call) is not None for session in sessions for call in session.calls)
        known = [of_session(session, value) for session in sessions]
        found[name, "mean", "per_session", None] = known_figure(known, known, is_observed=is_observed)
        every = [each for arm in arms for session in arm if (each := of_session(session, value)) is not None]
        # Of nothing there is nothing to cut; the engine's quantile is of what every session has.
        if name in CAPPED and every:
            cap = inverted_cdf(np.array(every), CAP)
            cut = [None if each is None else min(each, cap) for each in known]
            found[name, "capped_mean", "per_session", None] = known_figure(cut, cut, is_observed=is_observed)
        if name == "cost_usd":
            is_successful = [bool(s.calls) and not any(call.is_error for call in s.calls) for s in sessions]
            found[name, "mean", "per_successful_session", None] = known_figure(
                known,
                [1.0 if each is not None and good else None for each, good in zip(known, is_successful, strict=True)],
                is_observed=is_observed,
            )
    return found


def known_figure(x: Sequence[float | None], n: Sequence[float | None], *, is_observed: bool) -> Figure:
    """Return Σx over the number of those whose ``n`` is there; coverage is the share of those whose ``x`` is."""
    sessions = len(x)
    if not is_observed:
        return Figure(None, None, sessions, 0, 0.0 if sessions else None)
    known = sum(each is not None for each in x)
    counted = np.array([each is not None for each in n], float)
    estimate, variance = ratio(np.array([each or 0.0 for each in x]), counted)
    degrees = _degrees(counted)
    interval = _interval(estimate, variance, degrees)
    return Figure(estimate, interval, sessions, known, known / sessions, variance, degrees)


def _mean(session: Session, value: Value) -> float | None:
    values = [found for call in session.calls if (found := value(call)) is not None]
    return sum(values) / len(values) if values else None


def _total(session: Session, value: Value) -> float | None:
    """Return the session's total; None where a call that succeeded does not tell."""
    if any(value(call) is None and not call.is_error for call in session.calls):
        return None
    return sum(value(call) or 0.0 for call in session.calls)


def per_call_figure(values: Sequence[Floats], call_count: int) -> Figure:
    """Return the mean over calls, from the values of each session."""
    x = np.array([value.sum() for value in values])
    n = np.array([len(value) for value in values], float)
    estimate, variance = ratio(x, n)
    degrees = _degrees(n)
    interval = _interval(estimate, variance, degrees)
    coverage = n.sum() / call_count if call_count else None
    return Figure(estimate, interval, len(values), int(n.sum()), coverage, variance, degrees)


def mean_figure(x: Floats, session_count: int) -> Figure:
    """Return the mean over sessions, from the value of each session that has one."""
    estimate, variance = ratio(x, np.ones(len(x)))
    degrees = len(x) - 1
    interval = _interval(estimate, variance, degrees)
    coverage = len(x) / session_count if session_count else None
    return Figure(estimate, interval, len(x), len(x), coverage, variance, degrees)


def quantile_figure(values: Sequence[Floats], probability: float, call_count: int) -> Figure:
    """Return the quantile over calls, from the values of each session."""
    n = np.array([len(value) for value in values], float)
    coverage = n.sum() / call_count if call_count else None
    if not n.sum():
        return Figure(None, None, len(values), 0, coverage)
    every = np.concatenate(values)
    quantile = inverted_cdf(every, probability)
    below = np.array([(value <= quantile).sum() for value in values], float)
    _, variance = ratio(below, n)
    if variance == 0:
        variance = probability * (1 - probability) * (n**2).sum() / n.sum() ** 2
    effective = None if variance is None else probability * (1 - probability) / variance
    deviation = math.inf if variance is None else math.sqrt(variance)
    lower, upper = probability - Z * deviation, probability + Z * deviation
    if not 0 < lower <= upper < 1:
        return Figure(quantile, None, len(values), int(n.sum()), coverage, effective_observations=effective)
    interval = (inverted_cdf(every, lower), inverted_cdf(every, upper))
    error = (interval[1] - interval[0]) / (2 * Z)
    return Figure(quantile, interval, len(values), int(n.sum()), coverage, error**2, effective_observations=effective)


def share_figure(successes: int, trials: int, sessions: int) -> Figure:
    """Return the share of sessions, with Wilson's interval."""
    coverage = trials / sessions if sessions else None
    if not trials:
        return Figure(None, None, 0, 0, coverage, successes=0)
    found = stats.binomtest(successes, trials).proportion_ci(1 - ALPHA, method="wilson")
    values = np.array([1.0] * successes + [0.0] * (trials - successes))
    estimate, variance = ratio(values, np.ones(trials))
    return Figure(
        estimate, (found.low, found.high), trials, trials, coverage, variance, trials - 1, successes=successes
    )


def ratio(x: Floats, n: Floats) -> tuple[float | None, float | None]:
    """Return Σx/Σn and its variance over sessions."""
    count, total = len(x), n.sum()
    if not total:
        return None, None
    estimate = float(x.sum() / total)
    if count < 2 or (n > 0).sum() < 2:
        return estimate, None
    residual = x - estimate * n
    return estimate, float(count / (count - 1) * (residual @ residual) / total**2)


def _degrees(n: Floats) -> float:
    """Return the sessions less one; of fewer than a hundred, the sessions of equal size that would weigh as much."""
    is_few = len(n) < 100 and n.sum() > 0
    return float(n.sum() ** 2 / (n**2).sum() if is_few else len(n)) - 1


def inverted_cdf(values: Floats, probability: float) -> float:
    return float(np.quantile(values, probability, method="inverted_cdf"))


def comparison_of(control: Figure, treatment: Figure) -> dict[str, Any]:
    """Return the difference, its interval and p-value, and the lift with Fieller's interval."""
    if control.estimate is None or treatment.estimate is None:
        return _comparison("no_data", None, None, None, None, None, None)
    difference = treatment.estimate - control.estimate
    lift = difference / abs(control.estimate) if control.estimate else None
    if control.variance is None or treatment.variance is None:
        return _comparison("insufficient_data", difference, None, None, lift, None, None)
    variance = control.variance + treatment.variance
    if variance == 0:
        # That no session differs from another says how rare the other value may still be.
        is_share = control.successes is not None and treatment.successes is not None
        found = _score_interval(control, treatment) if is_share else None
        return _comparison("zero_variance", difference, 0.0, found, lift, None, None)
    error, degrees = math.sqrt(variance), _welch(control, treatment)
    c = _critical(degrees)
    lift_interval = fieller(control, treatment, c)
    if control.successes is not None and treatment.successes is not None:
        return _score_comparison(control, treatment, lift, lift_interval)
    interval = (difference - c * error, difference + c * error)
    return _comparison("ok", difference, error, interval, lift, lift_interval, _p_value(difference / error, degrees))


def _welch(control: Figure, treatment: Figure) -> float:
    first, second = control.variance or 0.0, treatment.variance or 0.0
    if math.isinf(control.degrees):
        return math.inf
    return (first + second) ** 2 / (first**2 / control.degrees + second**2 / treatment.degrees)


def _critical(degrees: float) -> float:
    return Z if math.isinf(degrees) else float(stats.t.ppf(1 - ALPHA / 2, degrees))


def _p_value(statistic: float, degrees: float = math.inf) -> float:
    tail = stats.norm.sf(abs(statistic)) if math.isinf(degrees) else stats.t.sf(abs(statistic), degrees)
    return 2 * float(tail)


def fieller(control: Figure, treatment: Figure, c: float) -> tuple[float, float] | None:
    """Return the interval of the lift of two independent, positive estimates."""
    assert control.estimate is not None
    assert treatment.estimate is not None
    if not control.estimate:
        return None
    g = c**2 * (control.variance or 0.0) / control.estimate**2
    if g >= 1:
        return None
    rho = treatment.estimate / control.estimate
    root = math.sqrt((treatment.variance or 0.0) * (1 - g) + rho**2 * (control.variance or 0.0))
    width = c / abs(control.estimate) * root
    return (rho - width) / (1 - g) - 1, (rho + width) / (1 - g) - 1


def _score_comparison(
    control: Figure, treatment: Figure, lift: float | None, lift_interval: tuple[float, float] | None
) -> dict[str, Any]:
    x1, n1, x2, n2 = control.successes or 0, control.sessions, treatment.successes or 0, treatment.sessions
    difference = x2 / n2 - x1 / n1
    error = math.sqrt(restricted_variance(x1, n1, x2, n2, 0.0))
    interval = _score_interval(control, treatment)
    return _comparison("ok", difference, error, interval, lift, lift_interval, _p_value(difference / error))


def _score_interval(control: Figure, treatment: Figure) -> tuple[float, float]:
    x1, n1, x2, n2 = control.successes or 0, control.sessions, treatment.successes or 0, treatment.sessions
    difference = x2 / n2 - x1 / n1

    def z(delta: float) -> float:
        return (difference - delta) / math.sqrt(restricted_variance(x1, n1, x2, n2, delta))

    lower = optimize.brentq(lambda delta: z(delta) - Z, -1 + 1e-9, difference, xtol=1e-12)
    upper = optimize.brentq(lambda delta: z(delta) + Z, difference, 1 - 1e-9, xtol=1e-12)
    return lower, upper


def restricted_variance(x1: int, n1: int, x2: int, n2: int, delta: float) -> float:
    """Return the variance of the difference under the likeliest rates that differ by delta, found by search."""

    def misfit(rate: float) -> float:
        rates = np.clip(np.array([rate, rate, rate + delta, rate + delta]), 1e-15, 1 - 1e-15)
        counts = np.array([x1, n1 - x1, x2, n2 - x2])
        return -float(counts @ np.log(np.where([True, False, True, False], rates, 1 - rates)))

    low, high = max(0.0, -delta), min(1.0, 1 - delta)
    p1 = float(optimize.minimize_scalar(misfit, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    p2 = p1 + delta
    return (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * (n1 + n2) / (n1 + n2 - 1)


def _comparison(
    status: str,
    difference: float | None,
    error: float | None,
    interval: tuple[float, float] | None,
    lift: float | None,
    lift_interval: tuple[float, float] | None,
    p_value: float | None,
) -> dict[str, Any]:
    return {
        "status": status,
        "difference": {"estimate": difference, "se": error, "ci": None if interval is None else list(interval)},
        "lift": {"estimate": lift, "ci": None if lift_interval is None else list(lift_interval)},
        "p_value": p_value,
    }


def _custom_figures(sessions: Sequence[Session]) -> dict[Key, Figure]:
    found: dict[Key, Figure] = {}
    values: dict[str, list[Any]] = {}
    for session in sessions:
        for name, value in session.metrics.items():
            values.setdefault(name, []).append(value)
    for name, given in values.items():
        if isinstance(given[0], bool):
            figure = share_figure(sum(given), len(given), len(sessions))
            found[name, "proportion", "per_session", None] = figure
        elif isinstance(given[0], str):
            for category in set(given):
                figure = share_figure(given.count(category), len(given), len(sessions))
                found[name, "proportion", "per_session", category] = figure
        else:
            figure = mean_figure(np.array(given, float), len(sessions))
            found[name, "mean", "per_session", None] = figure
    return found


def _by_session(sessions: Sequence[Session], value: Callable[[Call], float | None]) -> list[Floats]:
    return [
        np.array([found for call in session.calls if (found := value(call)) is not None], float) for session in sessions
    ]


def _interval(estimate: float | None, variance: float | None, degrees: float) -> tuple[float, float] | None:
    if estimate is None or not variance:
        return None
    width = float(stats.t.ppf(1 - ALPHA / 2, degrees)) * math.sqrt(variance)
    return estimate - width, estimate + width


def answered_figures(results: Mapping[str, Any]) -> dict[Key, dict[str, Any]]:
    """Return the metrics of an answer by metric, statistic, estimand and category."""
    return {
        (metric["name"], metric["statistic"], metric["estimand"], metric.get("category")): metric
        for metric in results["metrics"]
    }
