"""Comparisons as the results' JSON has them: a treatment against the control, by the session as the unit.

``c``, the multiplier of a standard error, is that of a confidence sequence, or Student's for one look at a planned end
(``Settings.inference``), and is one for the arms' intervals, the difference's and the lift's. Each comparison is judged
for itself here; ``corrections.conclude`` then corrects for how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics.experiments.figures import Figure
from analytics.experiments.statistics import (
    Difference,
    Estimate,
    Interval,
    Lift,
    Posterior,
    Prior,
    Proportion,
    RatioSums,
    chances_of,
    days_remaining,
    difference_interval,
    epoch_weights,
    estimate_difference,
    estimate_lift,
    estimate_stratified_ratio,
    minimum_detectable_lift,
    non_inferiority,
    posterior_of_lift,
    sessions_needed,
    stratified_score_difference,
    stratified_score_interval,
    student_one_sided,
)
from analytics.experiments.verdicts import Past, Verdicts

SESSIONS_MIN = 100
EFFECTIVE_SESSIONS_MIN = 30.0
# Where a value is missing more often in one arm than in the other, the rest is no fair sample of either.
COVERAGE_DIFFERENCE_MAX = 0.1
PRIOR = Prior()
# The lift that an experiment runs to find, where no margin says what matters: days remaining are days to it.
TARGET_LIFT = 0.05


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """One arm's figure with its interval, and what it rests on.

    ``interval`` where the estimate's own is not value ± c·SE; ``coverage`` is the share of the observations that
    could have been made. ``epochs`` are the figure's sums by weight epoch, where it is a ratio of these: a comparison
    then combines the epochs that both of its arms are in.
    """

    estimate: Estimate
    interval: Interval | None
    sessions: int
    observations: float
    effective_sessions: float | None
    effective_observations: float | None = None
    coverage: float | None = None
    proportion: Proportion | None = None
    epochs: tuple[RatioSums, ...] = ()

    def to_json(self, key: str) -> dict[str, Any]:
        """Return the arm's entry in a metric."""
        return {
            "key": key,
            "estimate": self.estimate.value,
            "ci": interval_json(self.interval),
            "sessions": self.sessions,
            "observations": round(self.observations),
            "effective_observations": self.effective_observations,
            "coverage": self.coverage,
        }

    @property
    def supports_verdict(self) -> bool:
        """Return whether there are sessions enough to conclude from."""
        return self.sessions >= SESSIONS_MIN and (self.effective_sessions or 0.0) >= EFFECTIVE_SESSIONS_MIN


def compare(
    keys: Sequence[str], arms: Sequence[ArmEstimate], figure: Figure, verdicts: Verdicts, *, method: str
) -> list[dict[str, Any]]:
    """Return the comparison of every other arm with the control; ``conclude`` makes them final."""
    control = arms[verdicts.control]
    chances = _chances([arm.estimate for arm in arms], figure)
    found = []
    for place, (key, arm) in enumerate(zip(keys, arms, strict=True)):
        if place == verdicts.control:
            continue
        effect = _effect(figure, verdicts, len(arms), control, arm)
        comparison = _comparison(key, keys[verdicts.control], effect, control, arm, method)
        if comparison["bayes"] is not None:
            comparison["bayes"]["chance_to_be_best"] = chances.get(place)
        found.append(comparison)
    return found


def interval_json(interval: Interval | None) -> list[float] | None:
    """Return an interval as the JSON has it."""
    return None if interval is None else [interval.lower, interval.upper]


@dataclass(frozen=True, slots=True)
class _Effect:
    """A treatment's effect on a figure, with all that its entry is made from; ``sessions`` are those of both arms.

    ``difference`` is the one tested. ``spread`` is the one estimated: they differ in their standard error for
    proportions, whose test supposes no difference.
    """

    figure: Figure
    verdicts: Verdicts
    arms: int
    sessions: int
    control: Estimate
    treatment: Estimate
    difference: Difference
    spread: Difference
    interval: Interval | None
    lift: Lift
    epochs_left_out: int


def _effect(figure: Figure, verdicts: Verdicts, arms: int, control: ArmEstimate, arm: ArmEstimate) -> _Effect:
    weights = epoch_weights([[sums.sessions for sums in each.epochs] for each in (control, arm)])
    first, second = _estimates(control, arm, weights)
    sessions = _sessions_of(control, arm, weights)
    spread, difference = _difference(control, arm, weights)
    c = verdicts.critical_value(figure, arms, sessions, spread.degrees_of_freedom)
    lift = estimate_lift(first, second, c)
    interval = difference_interval(spread, c)
    if control.proportion is not None and arm.proportion is not None:
        rates, shares = _rates(control, arm, weights)
        interval = stratified_score_interval(rates, shares, verdicts.critical_value(figure, arms, sessions))
    left_out = sum(weight == 0 for weight in weights) if len(weights) > 1 else 0
    return _Effect(figure, verdicts, arms, sessions, first, second, difference, spread, interval, lift, left_out)


def _difference(control: ArmEstimate, arm: ArmEstimate, weights: Sequence[float]) -> tuple[Difference, Difference]:
    """Return the difference as it is estimated, and as it is tested."""
    spread = estimate_difference(*_estimates(control, arm, weights))
    if control.proportion is None or arm.proportion is None:
        return spread, spread
    return spread, stratified_score_difference(*_rates(control, arm, weights))


def _estimates(control: ArmEstimate, arm: ArmEstimate, weights: Sequence[float]) -> tuple[Estimate, Estimate]:
    first, second = (
        estimate_stratified_ratio(each.epochs, weights) if len(each.epochs) > 1 else each.estimate
        for each in (control, arm)
    )
    return first, second


def _sessions_of(control: ArmEstimate, arm: ArmEstimate, weights: Sequence[float]) -> int:
    return sum(_sessions(each, weights) for each in (control, arm))


def p_value_of_look(control: ArmEstimate, arm: ArmEstimate, verdicts: Verdicts) -> float | None:
    """Return the always-valid p of one look at two arms; None where too few sessions are there to conclude from."""
    if not (control.supports_verdict and arm.supports_verdict):
        return None
    weights = epoch_weights([[sums.sessions for sums in each.epochs] for each in (control, arm)])
    statistic = _difference(control, arm, weights)[1].statistic
    return None if statistic is None else verdicts.sequence.p_value(statistic, _sessions_of(control, arm, weights))


def _sessions(arm: ArmEstimate, weights: Sequence[float]) -> int:
    if len(arm.epochs) < 2:
        return arm.sessions
    return sum(sums.sessions for sums, weight in zip(arm.epochs, weights, strict=True) if weight > 0)


def _rates(
    control: ArmEstimate, arm: ArmEstimate, weights: Sequence[float]
) -> tuple[list[tuple[Proportion, Proportion]], Sequence[float]]:
    """Return the shares of sessions by epoch, and the epochs' weights; without epochs, all as one."""
    if len(weights) > 1:
        return [
            (_rate(first), _rate(second)) for first, second in zip(control.epochs, arm.epochs, strict=True)
        ], weights
    has_trials = control.sessions > 0 and arm.sessions > 0
    pairs = [(control.proportion, arm.proportion)] if control.proportion and arm.proportion and has_trials else []
    return pairs, [1.0] * len(pairs)


def _rate(sums: RatioSums) -> Proportion:
    return Proportion(round(sums.x), sums.sessions)


def _comparison(
    key: str, control_key: str, effect: _Effect, control: ArmEstimate, arm: ArmEstimate, method: str
) -> dict[str, Any]:
    past = effect.verdicts.past.get((effect.figure.identity, key), Past())
    mde = _minimum_detectable_lift(effect)
    needed = _sessions_needed(effect, mde)
    return {
        "variant": key,
        "vs": control_key,
        "status": effect.difference.status,
        "difference": {
            "estimate": effect.difference.estimate,
            "se": effect.difference.standard_error,
            "ci": interval_json(effect.interval),
        },
        "lift": {"estimate": effect.lift.estimate, "ci": interval_json(effect.lift.interval), "ci_method": "fieller"},
        "p_value": _p_value(effect, past),
        "p_value_adjusted": None,
        "p_value_fixed": effect.difference.p_value,
        "enough_data": control.supports_verdict and arm.supports_verdict,
        "coverage_comparable": abs((control.coverage or 0.0) - (arm.coverage or 0.0)) <= COVERAGE_DIFFERENCE_MAX,
        "significant": False,
        "first_significant_at": None,
        "bayes": _bayes(effect),
        "non_inferiority": _non_inferiority(effect),
        "mde": mde,
        "sessions": effect.sessions,
        "sessions_needed": None if needed is None else math.ceil(needed),
        "days_remaining": _days_remaining(effect, needed),
        "epochs_left_out": effect.epochs_left_out,
        "method": method,
    }


def _p_value(effect: _Effect, past: Past) -> float | None:
    """Return the p-value of the experiment's inference; a Bayesian one has none."""
    statistic = effect.difference.statistic
    if effect.verdicts.settings.inference == "fixed_horizon":
        return effect.difference.p_value
    if not effect.verdicts.is_sequential or statistic is None:
        return None
    p_value = effect.verdicts.sequence.p_value(statistic, effect.sessions)
    return p_value if past.p_value is None else min(p_value, past.p_value)


def _bayes(effect: _Effect) -> dict[str, Any] | None:
    """Return the chance to be better than the control; for a neutral figure, to be more."""
    posterior = posterior_of_lift(effect.control, effect.treatment, PRIOR)
    if posterior is None:
        return None
    better: Posterior = posterior.turned() if effect.figure.lower_is_better else posterior
    return {
        "chance_to_beat": better.chance_to_beat,
        "expected_loss": better.expected_loss,
        "expected_loss_of_keeping": better.expected_loss_of_keeping,
        "prior": {"mean": PRIOR.mean, "sd": PRIOR.sd},
    }


def _chances(estimates: Sequence[Estimate], figure: Figure) -> dict[int, float]:
    """Return how likely each arm, by its place, is the best, by a flat prior; arms without a figure are in no race.

    Without any where one has a figure and no spread.
    """
    known = {place: each for place, each in enumerate(estimates) if each.value is not None}
    values = [each.value for each in known.values() if each.value is not None]
    errors = [each.standard_error for each in known.values() if each.standard_error]
    if len(known) < 2 or len(errors) < len(known):
        return {}
    found = chances_of(values, errors, lower_is_better=figure.lower_is_better)
    return dict(zip(known, found.to_be_best, strict=True))


def _non_inferiority(effect: _Effect) -> dict[str, Any] | None:
    """Return the test against the figure's margin, at the level α and one-sided; None where there is no margin."""
    margin = effect.figure.margin
    if margin is None or effect.figure.direction == "neutral":
        return None
    sequence, sessions = effect.verdicts.sequence, effect.sessions
    found = non_inferiority(
        effect.control,
        effect.treatment,
        margin,
        lower_is_better=effect.figure.lower_is_better,
        one_sided=(lambda statistic, _: sequence.one_sided_p_value(statistic, sessions))
        if effect.verdicts.is_sequential
        else student_one_sided,
    )
    return {
        "margin": margin,
        "p_value": found.p_value,
        "harm_p_value": found.harm_p_value,
        "verdict": found.verdict(effect.verdicts.settings.alpha),
    }


def _minimum_detectable_lift(effect: _Effect) -> float | None:
    c = effect.verdicts.critical_value(effect.figure, effect.arms, effect.sessions)
    power = effect.verdicts.settings.power
    return minimum_detectable_lift(effect.spread.standard_error or None, effect.control.value, c, power)


def _sessions_needed(effect: _Effect, mde: float | None) -> float | None:
    """Return the sessions of both arms that it takes to find the figure's margin, or the least lift of interest."""
    if mde is None:
        return None
    return sessions_needed(
        effect.sessions,
        mde,
        effect.figure.margin or TARGET_LIFT,
        critical_value=lambda sessions: effect.verdicts.critical_value(effect.figure, effect.arms, sessions),
        power=effect.verdicts.settings.power,
    )


def _days_remaining(effect: _Effect, needed: float | None) -> float | None:
    traffic = effect.verdicts.traffic
    if traffic is None or not traffic.sessions_per_day or not traffic.sessions:
        return None
    return days_remaining(effect.sessions, needed, traffic.sessions_per_day * effect.sessions / traffic.sessions)
