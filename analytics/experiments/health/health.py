"""The health section of the results, put together from its parts, and whether a verdict may rest on it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.comparisons import EFFECTIVE_SESSIONS_MIN, SESSIONS_MIN
from analytics.experiments.health.distribution import uneven_distribution
from analytics.experiments.health.errors import error_jumps
from analytics.experiments.health.sample_ratio import sample_ratio
from analytics.experiments.health.served import change_warnings, served_model_changes
from analytics.experiments.health.traffic import Traffic
from analytics.experiments.health.warning import warning
from analytics.experiments.measures import Dominance

CALL_SHARE_MAX = 0.1
FALLBACK_SHARE_MAX = 0.01
EPOCH_SESSIONS_MIN = 2
_NO_TRAFFIC = Traffic()


@dataclass(frozen=True, slots=True)
class Health:
    """The health section of the results, and whether a verdict may rest on them."""

    section: dict[str, Any]
    allows_verdict: bool


def health_of(
    experiment: Experiment,
    cohort: Cohort,
    unexposed_sessions: int,
    dominance: Dominance,
    traffic: Traffic = _NO_TRAFFIC,
    dependent: Sequence[Mapping[str, Any]] = (),
) -> Health:
    """Judge the experiment."""
    ratio = sample_ratio(experiment, cohort)
    changes = served_model_changes(experiment, traffic.models)
    warnings = [
        *ratio.warnings(),
        *error_jumps(experiment, traffic.errors),
        *_of_sample(experiment, cohort, dominance),
        *_of_epochs(experiment, cohort),
        *_of_assignment(experiment),
        *_of_exclusions(cohort, unexposed_sessions),
        *uneven_distribution(experiment, cohort, ratio),
        *change_warnings(changes),
        *_of_dependence(dependent),
    ]
    status = "invalid" if ratio.is_invalid else "warning" if warnings else "ok"
    excluded, exposed = cohort.excluded, len(cohort.labels)
    section = {
        "status": status,
        "srm": ratio.to_json(),
        "multiple_exposures": _share(excluded["crossover"], exposed),
        "model_mismatches": _share(cohort.labelled["model_mismatch"], int(cohort.is_counted.sum())),
        "excluded": {**excluded, "missing_exposure": unexposed_sessions},
        "dominant_session": {
            "max_call_share": dominance.max_call_share,
            "effective_sessions": dominance.effective_sessions,
        },
        "served_model_change": changes,
        "dependent_tests": list(dependent),
        "warnings": warnings,
    }
    is_known = not experiment.has_unseen_targeting and not experiment.is_by_request
    return Health(section, allows_verdict=not ratio.is_invalid and is_known)


def _share(count: int, total: int) -> dict[str, Any]:
    return {"count": count, "share": count / total if total else 0.0}


def _of_sample(experiment: Experiment, cohort: Cohort, dominance: Dominance) -> Iterator[dict[str, Any]]:
    few = {
        arm.key: count
        for place, arm in enumerate(experiment.arms)
        if arm.share > 0 and (count := cohort.sessions(place)) < SESSIONS_MIN
    }
    if few:
        counts = ", ".join(f"{key}: {count}" for key, count in few.items())
        yield warning("low_sample", f"fewer than {SESSIONS_MIN} sessions in {counts}: no verdict yet", sessions=few)
    share, effective = dominance.max_call_share, dominance.effective_sessions
    if share is None or effective is None or few:
        return
    if share > CALL_SHARE_MAX or effective < EFFECTIVE_SESSIONS_MIN:
        yield warning(
            "dominant_session",
            f"one session makes {share:.0%} of all calls, and the sessions weigh like {effective:.0f} equal ones: "
            "figures per call are those of few sessions",
            max_call_share=share,
            effective_sessions=effective,
        )


def _of_epochs(experiment: Experiment, cohort: Cohort) -> Iterator[dict[str, Any]]:
    for code, epoch in enumerate(experiment.epochs if len(experiment.epochs) > 1 else ()):
        thin = [
            arm.key for place, arm in enumerate(experiment.arms) if cohort.sessions(place, code) < EPOCH_SESSIONS_MIN
        ]
        if thin:
            yield warning(
                "epoch_left_out",
                f"weight epoch {epoch.number} (version {epoch.versions[0]} to {epoch.versions[-1]}) has fewer than "
                f"{EPOCH_SESSIONS_MIN} sessions of {', '.join(thin)}: it is left out where these are compared",
                epoch=epoch.number,
                variants=thin,
            )


def _of_dependence(dependent: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for test in dependent:
        yield warning(
            "dependent_tests",
            f"in {test['sessions']} sessions that are also in {test['key']!r} a session's variant here goes with its "
            "variant there: an effect of one shows in the other; hash_version: 2 deals them independently",
            **test,
        )


def _of_assignment(experiment: Experiment) -> Iterator[dict[str, Any]]:
    if experiment.has_unseen_targeting:
        yield warning(
            "unseen_targeting",
            "the targeting goes by fields that only the clients know, so that sessions it placed can't be told "
            "from those that chance did: no verdict",
        )
    if experiment.is_by_request:
        yield warning(
            "assigned_by_request",
            "the variants are dealt anew at each request (sticky_by: request), so that a session is in no arm and "
            "none is counted here: compare by sessions with sticky_by: session, or give each request a session",
        )


def _of_exclusions(cohort: Cohort, unexposed: int) -> Iterator[dict[str, Any]]:
    excluded, exposed = cohort.excluded, len(cohort.labels)
    late, others = cohort.stale_clients, excluded["stale_version"] - cohort.stale_clients
    if others:
        yield warning(
            "config_changed",
            f"{others} sessions were assigned by versions of other variants, or by others than you asked for, and are "
            "left out; ?version=N shows another version",
            count=others,
        )
    if late:
        yield warning(
            "stale_clients",
            f"{late} sessions came from clients with a version that had been replaced for more than a minute, and are "
            "left out: do these clients pin a version, or can't they reach the server?",
            count=late,
        )
    if excluded["crossover"]:
        count = excluded["crossover"]
        yield warning("crossover", f"{count} sessions were seen in two variants and are left out", count=count)
    if excluded["fallback"] > FALLBACK_SHARE_MAX * exposed:
        count = excluded["fallback"]
        yield warning(
            "fallback",
            f"{count} of {exposed} sessions were served a fallback, because their clients had no config: the others "
            "are those that could reach the server",
            count=count,
            share=count / exposed,
        )
    if mismatches := cohort.labelled["model_mismatch"]:
        yield warning(
            "model_mismatch",
            f"{mismatches} sessions called another model than the one they were given, and no call to that had "
            "failed; they count under their variant",
            count=mismatches,
        )
    if unexposed:
        yield warning(
            "missing_exposure", f"{unexposed} sessions have calls but no exposure and are left out", count=unexposed
        )
