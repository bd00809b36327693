"""Reads an experiment's exposures and what its sessions called, and labels its sessions by both.

The session has then ``called``, the calls of the sessions that count by model and day, and ``called_sessions``, the
same by session. Health asks them too.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort, Window, cohort_of, dealt_by_hash
from analytics.experiments.exposure_rows import Codes
from analytics.experiments.served_models import is_same_model
from analytics.experiments.session_sums import CALLS, MEASURES, SessionSums, read_sums
from analytics.experiments.settings import Settings
from storage import sql
from storage.engines.duckdb import QuerySession

MODELS_MAX = 10_000
"""The pairs of an arm and a model that are compared by name; those of fewer calls are not."""
_DEFAULTS = Settings()


def read_cohort(session: QuerySession, experiment: Experiment, settings: Settings = _DEFAULTS) -> Cohort:
    """Label the experiment's sessions."""
    return read_sessions(session, experiment, settings, CALLS)[0]


def read_sessions(
    session: QuerySession, experiment: Experiment, settings: Settings = _DEFAULTS, measures: Sequence[str] = MEASURES
) -> tuple[Cohort, SessionSums]:
    """Label the experiment's sessions, and return the sums of those that count as well."""
    window = Window(settings.start, settings.ended_at)
    cohort = cohort_of(experiment, read_exposures(session, experiment), _customers(session, experiment), window)
    session.add("assigned", cohort.to_table())
    sums = read_sums(session, experiment, cohort, measures)
    session.add("called", sums.called)
    session.add("called_sessions", sums.called_sessions(cohort))
    return cohort.with_mismatches(_mismatched(session, experiment)), sums


def read_exposures(session: QuerySession, experiment: Experiment) -> pa.Table:
    """Return the exposures of an experiment, as ``exposure_rows.EXPOSURE_ROWS``."""
    if experiment.column == "prompt_ab_test_key":
        return session.query(sql.load("exposures_prompts"), {"key": experiment.key})
    parameters = {"config_key": experiment.key, "needs_customers": experiment.needs_customers}
    return session.query(sql.load("exposures"), parameters)


def read_unexposed(session: QuerySession, experiment: Experiment) -> tuple[pa.Array, Codes, Codes]:
    """Return the sessions with calls and no exposure, as ``dealt_by_hash`` does; after ``read_cohort``."""
    sessions = session.query(sql.load("exposures_missing").format(column=experiment.column), {"key": experiment.key})
    return dealt_by_hash(experiment, sessions, _customers(session, experiment))


def _customers(session: QuerySession, experiment: Experiment) -> pa.Table | None:
    if not experiment.needs_customers:
        return None
    return session.query(sql.load("session_customers"), {"config_key": experiment.key})


def _mismatched(session: QuerySession, experiment: Experiment) -> Codes:
    """Return the numbers of the sessions that were served by another model than their arm's, for no failure."""
    found = session.query(sql.load("exposures_models"), {"pairs_max": MODELS_MAX}).to_pylist()
    models = [arm.model for arm in experiment.arms]
    foreign = [row for row in found if (own := models[row["arm"]]) is not None and not is_same_model(own, row["model"])]
    if not foreign:
        return np.empty(0, np.int64)
    schema = pa.schema([("arm", pa.int32()), ("model", pa.string())])
    session.add("foreign_models", pa.Table.from_pylist(foreign, schema))
    numbers: Codes = session.query(sql.load("exposures_mismatched"))["number"].to_numpy().astype(np.int64)
    return numbers
