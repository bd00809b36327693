"""The rows behind SQL's ``experiment_sessions``: each exposed session as the results judge it, for every config."""

import numpy as np
import pyarrow as pa

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohort_reader import read_cohort
from analytics.experiments.cohorts import LABELS, Cohort
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.session_labels import SESSION_LABELS


def session_labels(engine: DuckDBEngine, registry: Registry, project: str) -> pa.Table:
    """Return one row a config and exposed session, judged by the config's latest version."""
    with engine.session(project) as session:
        tables = [
            _rows(project, experiment, read_cohort(session, experiment))
            for config in registry.configs(project)
            if (experiment := experiment_of(config["key"], registry.config_versions(project, config["key"])))
        ]
    return pa.concat_tables([SESSION_LABELS.empty_table(), *tables])


def _rows(project: str, experiment: Experiment, cohort: Cohort) -> pa.Table:
    count = len(cohort.labels)
    arms = pa.array(cohort.arms, mask=cohort.arms < 0)
    epochs = pa.array(cohort.epochs, mask=cohort.epochs < 0)
    columns = {
        "project": pa.repeat(project, count),
        "config_key": pa.repeat(experiment.key, count),
        "config_version": np.full(count, experiment.version),
        "session_id": cohort.session_ids,
        "exposed_at": cohort.exposed_at,
        "label": pa.array(LABELS).take(pa.array(cohort.labels)),
        "variant": pa.array([arm.key for arm in experiment.arms], pa.string()).take(arms),
        "variant_index": arms,
        "epoch": pa.array([epoch.number for epoch in experiment.epochs]).take(epochs),
    }
    return pa.table([columns[name] for name in SESSION_LABELS.names], SESSION_LABELS)
