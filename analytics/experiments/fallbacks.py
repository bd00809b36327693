"""Run-time fallbacks: sessions in which a call of the assigned model failed, and another model was called.

They count under the arm that chance gave them (intention to treat): how often an arm needs them is one of its figures.
"""

from __future__ import annotations

import pyarrow as pa

from analytics.experiments.arms import Experiment
from analytics.experiments.served_models import is_same_model
from storage import sql
from storage.engines.duckdb import QuerySession


def keep_fallbacks(session: QuerySession, experiment: Experiment) -> None:
    """Keep the sessions as ``fallbacks``; ``cohort`` and ``config_totals`` stand in the session already."""
    session.keep("models_called", sql.load("models_called"), {"config_key": experiment.key})
    called = session.query("SELECT DISTINCT arm, model FROM models_called WHERE model IS NOT NULL ORDER BY ALL")
    assigned = [row for row in called.to_pylist() if is_same_model(experiment.arms[row["arm"]].model, row["model"])]
    schema = pa.schema([("arm", pa.int32()), ("model", pa.string())])
    session.add("assigned_models", pa.Table.from_pylist(assigned, schema))
    session.keep("fallbacks", sql.load("fallbacks"))
