"""The statistics of experiments: pure functions over sufficient statistics; the session is the unit of inference.

Sums over sessions (``RatioSums``) become an ``Estimate`` a variant, two estimates a ``Difference`` and a ``Lift``.
Every interval takes its critical value from the caller, so that one for a fixed horizon and one of a confidence
sequence serve alike.
"""

from __future__ import annotations

from analytics.experiments.statistics.comparison import (
    Difference,
    Lift,
    difference_interval,
    estimate_difference,
    estimate_lift,
)
from analytics.experiments.statistics.estimate import Estimate, Interval, Status, estimate_interval
from analytics.experiments.statistics.proportion import (
    Proportion,
    newcombe_interval,
    score_difference,
    score_interval,
    wilson_interval,
)
from analytics.experiments.statistics.quantile import QuantileBounds, estimate_quantile, quantile_bounds
from analytics.experiments.statistics.ratio import estimate_ratio, estimate_ratio_small_sample
from analytics.experiments.statistics.srm import (
    SampleRatioTest,
    chi_square,
    log_bayes_factor,
    log_bayes_factors,
    sequential_p_value,
    stratified_chi_square,
)
from analytics.experiments.statistics.student import critical_value, two_sided_p_value
from analytics.experiments.statistics.sums import RatioSums

__all__ = [
    "Difference",
    "Estimate",
    "Interval",
    "Lift",
    "Proportion",
    "QuantileBounds",
    "RatioSums",
    "SampleRatioTest",
    "Status",
    "chi_square",
    "critical_value",
    "difference_interval",
    "estimate_difference",
    "estimate_interval",
    "estimate_lift",
    "estimate_quantile",
    "estimate_ratio",
    "estimate_ratio_small_sample",
    "log_bayes_factor",
    "log_bayes_factors",
    "newcombe_interval",
    "quantile_bounds",
    "score_difference",
    "score_interval",
    "sequential_p_value",
    "stratified_chi_square",
    "two_sided_p_value",
    "wilson_interval",
]
