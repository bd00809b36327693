"""The statistics of experiments: pure functions over sufficient statistics; the session is the unit of inference.

Sums over sessions (``RatioSums``) become an ``Estimate`` a variant, two estimates a ``Difference`` and a ``Lift``.
Every interval takes its critical value from the caller, so that one for a fixed horizon and one of a confidence
sequence serve alike.
"""

from __future__ import annotations

from analytics.experiments.statistics.bayes import (
    Chances,
    Posterior,
    Prior,
    chances_of,
    lift_standard_error,
    posterior_of_lift,
)
from analytics.experiments.statistics.comparison import (
    Difference,
    Lift,
    difference_interval,
    estimate_difference,
    estimate_lift,
)
from analytics.experiments.statistics.contingency import independence
from analytics.experiments.statistics.cuped import Adjustment, CovariateSums, adjust_by_covariate
from analytics.experiments.statistics.estimate import Estimate, Interval, Status, estimate_interval
from analytics.experiments.statistics.multiplicity import benjamini_hochberg, bonferroni, holm
from analytics.experiments.statistics.non_inferiority import NonInferiority, non_inferiority, student_one_sided
from analytics.experiments.statistics.power import (
    days_remaining,
    minimum_detectable_lift,
    minimum_duration_days,
    sessions_needed,
)
from analytics.experiments.statistics.proportion import (
    Proportion,
    newcombe_interval,
    score_difference,
    score_interval,
    wilson_interval,
)
from analytics.experiments.statistics.quantile import QuantileBounds, estimate_quantile, quantile_bounds
from analytics.experiments.statistics.ratio import estimate_ratio, estimate_ratio_small_sample
from analytics.experiments.statistics.sequential import ConfidenceSequence
from analytics.experiments.statistics.srm import (
    SampleRatioTest,
    chi_square,
    log_bayes_factor,
    log_bayes_factors,
    sequential_p_value,
    stratified_chi_square,
)
from analytics.experiments.statistics.stratified import (
    arm_weights,
    epoch_weights,
    estimate_stratified_ratio,
    stratified_effective_sessions,
    stratified_quantile_bounds,
    stratified_score_difference,
    stratified_score_interval,
)
from analytics.experiments.statistics.student import critical_value, two_sided_p_value
from analytics.experiments.statistics.sums import RatioSums

__all__ = [
    "Adjustment",
    "Chances",
    "ConfidenceSequence",
    "CovariateSums",
    "Difference",
    "Estimate",
    "Interval",
    "Lift",
    "NonInferiority",
    "Posterior",
    "Prior",
    "Proportion",
    "QuantileBounds",
    "RatioSums",
    "SampleRatioTest",
    "Status",
    "adjust_by_covariate",
    "arm_weights",
    "benjamini_hochberg",
    "bonferroni",
    "chances_of",
    "chi_square",
    "critical_value",
    "days_remaining",
    "difference_interval",
    "epoch_weights",
    "estimate_difference",
    "estimate_interval",
    "estimate_lift",
    "estimate_quantile",
    "estimate_ratio",
    "estimate_ratio_small_sample",
    "estimate_stratified_ratio",
    "holm",
    "independence",
    "lift_standard_error",
    "log_bayes_factor",
    "log_bayes_factors",
    "minimum_detectable_lift",
    "minimum_duration_days",
    "newcombe_interval",
    "non_inferiority",
    "posterior_of_lift",
    "quantile_bounds",
    "score_difference",
    "score_interval",
    "sequential_p_value",
    "sessions_needed",
    "stratified_chi_square",
    "stratified_effective_sessions",
    "stratified_quantile_bounds",
    "stratified_score_difference",
    "stratified_score_interval",
    "student_one_sided",
    "two_sided_p_value",
    "wilson_interval",
]
