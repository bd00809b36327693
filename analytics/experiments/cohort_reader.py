"""Reads an experiment's exposures and what its sessions called, and labels its sessions by both.

The session has then ``assigned``, all exposed sessions.
"""

from collections.abc import Sequence

import pyarrow as pa

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort, Window, cohort_of, dealt_by_hash
from analytics.experiments.exposure_rows import Codes
from analytics.experiments.read_ahead import read_ahead
from analytics.experiments.session_sums import BATCH_ROWS, CALLS, MEASURES, SessionSums, read_sums
from analytics.experiments.settings import Settings
from storage import sql
from storage.engines.duckdb import QuerySession

_DEFAULTS = Settings()


def read_cohort(session: QuerySession, experiment: Experiment, settings: Settings = _DEFAULTS) -> Cohort:
    """Label the experiment's sessions."""
    return read_sessions(session, experiment, settings, CALLS)[0]


def read_sessions(
    session: QuerySession, experiment: Experiment, settings: Settings = _DEFAULTS, measures: Sequence[str] = MEASURES
) -> tuple[Cohort, SessionSums]:
    """Label the experiment's sessions, and return the sums of those that count as well."""
    window = Window(settings.start, settings.ended_at)
    batches = read_ahead(session.batches(*_exposures(experiment), rows=BATCH_ROWS))
    cohort = cohort_of(experiment, batches, _customers(session, experiment), window)
    session.add("assigned", cohort.to_table())
    sums = read_sums(session, experiment, cohort, measures)
    return cohort.with_mismatches(sums.mismatched), sums


def read_exposures(session: QuerySession, experiment: Experiment) -> pa.Table:
    """Return the exposures of an experiment, as ``exposure_rows.EXPOSURE_ROWS``."""
    return session.query(*_exposures(experiment))


def _exposures(experiment: Experiment) -> tuple[str, dict[str, object]]:
    if experiment.column == "prompt_ab_test_key":
        return sql.load("exposures_prompts"), {"key": experiment.key}
    parameters = {"config_key": experiment.key, "needs_customers": experiment.needs_customers}
    return sql.load("exposures"), parameters


def read_unexposed(session: QuerySession, experiment: Experiment) -> tuple[pa.Array, Codes, Codes]:
    """Return the sessions with calls and no exposure, as ``dealt_by_hash`` does; after ``read_cohort``."""
    sessions = session.query(sql.load("exposures_missing").format(column=experiment.column), {"key": experiment.key})
    return dealt_by_hash(experiment, sessions, _customers(session, experiment))


def _customers(session: QuerySession, experiment: Experiment) -> pa.Table | None:
    if not experiment.needs_customers:
        return None
    return session.query(sql.load("session_customers"), {"config_key": experiment.key})
