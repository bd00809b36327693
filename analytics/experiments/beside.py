"""Tests that run beside an experiment and deal its sessions by the same hash: what one finds may be the other's doing.

Theory of operation. A hash of version 1 has no salt: a session's arm in one test follows from its bucket, and so does
its arm in every other. Whether a test deals so is read from the registry; whether that matters, from the sessions that
both have: a chi-square of independence of their arms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.statistics import independence
from fallom.assignment import effective_shares, variant_list
from schemas.exposures import EXPOSURES
from storage import sql
from storage.engines.duckdb import DuckDBEngine

BESIDE_MAX = 20
"""Tests that are looked at, by key."""
SESSIONS_MIN = 100
P_MAX = 0.001


def with_tests_beside(experiment: Experiment, configs: Iterable[dict[str, Any]]) -> Experiment:
    """Return the experiment with the configs, of the project's latest, that deal sessions by the same hash."""
    if _rule(experiment.by_chance) is None:
        return experiment
    beside = sorted(
        config["key"]
        for config in configs
        if (experiment.column, experiment.key) != ("config_key", config["key"])
        and _rule(config) == _rule(experiment.by_chance)
        and _deals(config)
    )
    return replace(experiment, beside=tuple(beside[:BESIDE_MAX]))


def dependent_tests(
    engine: DuckDBEngine, project: str, experiment: Experiment, cohort: Cohort, *, before: datetime | None = None
) -> list[dict[str, Any]]:
    """Return the tests beside with the arms of which this one's go together in the sessions that both have.

    With ``before``, those that both had before that moment.

    Each has ``key``, ``sessions``, ``chi2_p`` and ``association`` (Cramér's V: 0 for none, 1 where one arm tells the
    other).
    """
    if not experiment.beside:
        return []
    # Of its own: the experiment's reads no file that has only rows of others.
    with engine.session(project) as session:
        if before is not None:
            session.narrow(EXPOSURES, "event_time", None, before - timedelta(microseconds=1))
        session.add("assigned", cohort.to_table())
        rows = session.query(sql.load("exposures_beside"), {"keys": list(experiment.beside)}).to_pylist()
    found = []
    for key in experiment.beside:
        table = _table([row for row in rows if row["config_key"] == key])
        if table is not None and (told := _dependence(table)) is not None:
            found.append({"key": key, **told})
    return found


def _rule(body: dict[str, Any]) -> str | None:
    """Return what the hash of a config goes by where it has no salt: what those that share it collide in."""
    sticky_by = body.get("sticky_by") or "session"
    return sticky_by if body.get("hash_version", 1) == 1 and sticky_by != "request" else None


def _deals(body: dict[str, Any]) -> bool:
    shares = effective_shares([float(variant["weight"]) for variant in variant_list(body["variants"])])
    return sum(share > 0 for share in shares) > 1


def _table(rows: Sequence[dict[str, Any]]) -> NDArray[np.int64] | None:
    """Return the sessions by arm here and arm there; None where there are not two of either."""
    arms, others = (sorted({row[name] for row in rows}) for name in ("arm", "other"))
    if len(arms) < 2 or len(others) < 2:
        return None
    table = np.zeros((len(arms), len(others)), np.int64)
    for row in rows:
        table[arms.index(row["arm"]), others.index(row["other"])] = row["sessions"]
    return table


def _dependence(table: NDArray[np.int64]) -> dict[str, Any] | None:
    sessions = int(table.sum())
    if sessions < SESSIONS_MIN:
        return None
    p_value, association = independence(table)
    if p_value >= P_MAX:
        return None
    return {"sessions": sessions, "chi2_p": p_value, "association": association}
