"""The entry beside a plain one in which a covariate has taken away what it foresaw (CUPED)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from analytics.experiments.covariates import CovariateValues
from analytics.experiments.estimates import entry_of_sums
from analytics.experiments.figures import Figure
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import adjust_by_covariate, arm_weights, estimate_stratified_ratio
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Verdicts


def adjusted_entry(
    figure: Figure,
    unit: str | None,
    arms: Sequence[ArmSums],
    covariate: CovariateValues,
    keys: Sequence[str],
    verdicts: Verdicts,
    **more: Any,
) -> dict[str, Any] | None:
    """Return the entry; None where the covariate is the same in all sessions that have it, or no session has.

    It is secondary whatever the plain one is: which of the two decides must not be chosen by what they say.
    """
    pairs = [list(zip(arm.epochs, sums, strict=True)) for arm, sums in zip(arms, covariate.arms, strict=True)]
    found = adjust_by_covariate(pairs)
    if found is None:
        return None
    # A share of sessions less something is a mean like any other: no score test is made of it.
    statistic = "ratio" if figure.statistic == "ratio" else "mean"
    beside = replace(figure, statistic=statistic, role="secondary", margin=None, covariate=covariate.name)
    adjusted = [replace(arm, epochs=epochs) for arm, epochs in zip(arms, found.arms, strict=True)]
    told = {
        "covariate": covariate.name,
        "covariate_coverage": covariate.coverage,
        "variance_reduction": variance_reduction(arms, adjusted, verdicts.control),
    }
    return entry_of_sums(beside, unit, adjusted, keys, verdicts, method="cuped", **more, **told)


def variance_reduction(plain: Sequence[ArmSums], adjusted: Sequence[ArmSums], control: int) -> float | None:
    """Return the share of the variance, summed over the arms, that is gone; None where there is none."""
    before, after = (_variance(arms, control) for arms in (plain, adjusted))
    return 1 - after / before if before > 0 else None


def unused_covariates(settings: Settings, entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a warning for each covariate that is declared, and adjusts no figure of its metric."""
    used = {(entry["name"], entry["covariate"]) for entry in entries if "covariate" in entry}
    declared = dict.fromkeys((metric.name, metric.covariate) for metric in settings.metrics if metric.covariate)
    return [
        {
            "code": "covariate_unused",
            "metric": name,
            "covariate": covariate,
            "message": (
                f"{name}: the covariate {covariate} adjusts nothing: no session that counts has it, or all have the "
                "same value of it, or none has the metric"
            ),
        }
        for name, covariate in declared
        if (name, covariate) not in used
    ]


def _variance(arms: Sequence[ArmSums], control: int) -> float:
    weights = arm_weights([[sums.sessions for sums in arm.epochs] for arm in arms], control)
    estimates = [estimate_stratified_ratio(arm.epochs, weights[place]) for place, arm in enumerate(arms)]
    return sum(estimate.variance or 0.0 for estimate in estimates)
