"""Run-time fallbacks: sessions in which a call of the assigned model failed, and another model was called.

They count under the arm that chance gave them (intention to treat): how often an arm needs them is one of its figures.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohort_reader import MODELS_MAX
from analytics.experiments.served_models import is_same_model
from storage import sql
from storage.engines.duckdb import QuerySession


def fallbacks(session: QuerySession, experiment: Experiment) -> NDArray[np.int64]:
    """Return the numbers of the sessions; ``called`` is there since the cohort was read."""
    if not keep_assigned_models(session, experiment):
        return np.empty(0, np.int64)
    numbers: NDArray[np.int64] = session.query(sql.load("fallbacks"))["number"].to_numpy().astype(np.int64)
    return numbers


def keep_assigned_models(session: QuerySession, experiment: Experiment) -> bool:
    """Let ``assigned_models`` be the models called that are those of their arms; False where all are, as a rule."""
    pairs = session.query(sql.load("exposures_models"), {"pairs_max": MODELS_MAX}).to_pylist()
    models = [arm.model for arm in experiment.arms]
    assigned = [row for row in pairs if (own := models[row["arm"]]) is None or is_same_model(own, row["model"])]
    if len(assigned) == len(pairs):
        return False
    schema = pa.schema([("arm", pa.int32()), ("model", pa.string())])
    session.add("assigned_models", pa.Table.from_pylist(assigned, schema))
    return True
