"""Whether an experiment's figures can be trusted: sample ratio, crossovers, exclusions, sample size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.comparisons import SESSIONS_MIN
from analytics.experiments.measures import Dominance
from analytics.experiments.statistics import chi_square, log_bayes_factor, sequential_p_value

SEQUENTIAL_P_MIN = 0.01
CHI_SQUARE_P_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Health:
    """The health section of the results, and whether a verdict may rest on them."""

    section: dict[str, Any]
    allows_verdict: bool


def health_of(experiment: Experiment, cohort: Cohort, unexposed_sessions: int, dominance: Dominance) -> Health:
    """Judge the experiment."""
    observed = [cohort.sessions(arm) for arm in range(len(experiment.arms))]
    shares = [arm.share for arm in experiment.arms]
    ratio = chi_square(observed, shares)
    sequential = sequential_p_value([log_bayes_factor(observed, shares)])
    warnings = _warnings(experiment, observed, cohort, unexposed_sessions)
    mismatch = _mismatch(ratio.p_value, sequential)
    if mismatch:
        warnings.insert(0, {"code": "sample_ratio_mismatch", "message": mismatch})
    status = "invalid" if sequential < SEQUENTIAL_P_MIN else "warning" if warnings else "ok"
    crossovers = cohort.excluded["crossover"]
    exposed = sum(observed) + sum(cohort.excluded.values())
    section = {
        "status": status,
        "srm": {
            "chi2_p": ratio.p_value,
            "sequential_p": sequential,
            "observed": list(ratio.observed),
            "expected": list(ratio.expected),
            "by_epoch": [],
        },
        "multiple_exposures": {"count": crossovers, "share": crossovers / exposed if exposed else 0.0},
        "excluded": {**cohort.excluded, "missing_exposure": unexposed_sessions},
        "dominant_session": {
            "max_call_share": dominance.max_call_share,
            "effective_sessions": dominance.effective_sessions,
        },
        "warnings": warnings,
    }
    is_known = not experiment.has_unseen_targeting and not experiment.is_by_request
    return Health(section, allows_verdict=status != "invalid" and is_known)


def _mismatch(chi_square_p: float | None, sequential_p: float) -> str:
    if sequential_p >= SEQUENTIAL_P_MIN and (chi_square_p is None or chi_square_p >= CHI_SQUARE_P_MIN):
        return ""
    return (
        "the sessions did not fall to the variants as their weights say "
        f"(chi-square p {chi_square_p:.2g}, sequential p {sequential_p:.2g}): find out why before you read any effect"
    )


def _warnings(
    experiment: Experiment, observed: Sequence[int], cohort: Cohort, unexposed_sessions: int
) -> list[dict[str, str]]:
    warnings: list[dict[str, str]] = []
    few = [
        f"{arm.key}: {count}"
        for arm, count in zip(experiment.arms, observed, strict=True)
        if arm.share > 0 and count < SESSIONS_MIN
    ]
    if few:
        warnings.append(
            _warning("low_sample", f"fewer than {SESSIONS_MIN} sessions in {', '.join(few)}: no verdict yet")
        )
    if experiment.has_unseen_targeting:
        warnings.append(
            _warning(
                "unseen_targeting",
                "the targeting goes by fields that only the clients know, so that sessions it placed can't be told "
                "from those that chance did: no verdict",
            )
        )
    if experiment.is_by_request:
        warnings.append(
            _warning(
                "assigned_by_request",
                "the variants are dealt anew at each request (sticky_by: request), so that a session is in no arm and "
                "none is counted here: compare by sessions with sticky_by: session, or give each request a session",
            )
        )
    stale = cohort.excluded["stale_version"]
    if stale:
        warnings.append(
            _warning(
                "config_changed",
                f"{stale} sessions were assigned by other versions than {experiment.version} and are left out; "
                "?version=N shows another version",
            )
        )
    if cohort.excluded["crossover"]:
        warnings.append(_warning("crossover", f"{cohort.excluded['crossover']} sessions were seen in two variants"))
    if unexposed_sessions:
        warnings.append(
            _warning("missing_exposure", f"{unexposed_sessions} sessions have calls but no exposure and are left out")
        )
    return warnings


def _warning(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
