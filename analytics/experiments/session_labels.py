"""The rows behind SQL's ``experiment_sessions``: each session as the results judge it, for every config."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohort_reader import read_cohort, read_unexposed
from analytics.experiments.cohorts import LABELS
from analytics.experiments.exposure_rows import Wholes
from schemas.table import TIMESTAMP
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.registry.registry import Registry
from storage.session_labels import SESSION_LABELS

MISSING_EXPOSURE = "missing_exposure"


def session_labels(engine: DuckDBEngine, registry: Registry, project: str) -> pa.Table:
    """Return one row a config and session with an exposure or calls, judged by the config's latest version."""
    with engine.session(project) as session:
        tables = [
            rows
            for config in registry.configs(project)
            if (experiment := experiment_of(config["key"], registry.config_versions(project, config["key"])))
            for rows in _tables(session, project, experiment)
        ]
    return pa.concat_tables([SESSION_LABELS.empty_table(), *tables])


def _tables(session: QuerySession, project: str, experiment: Experiment) -> Iterator[pa.Table]:
    cohort = read_cohort(session, experiment)
    labels = pa.array(LABELS).take(pa.array(cohort.labels))
    yield _rows(project, experiment, cohort.session_ids, cohort.exposed_at, labels, cohort.arms, cohort.epochs)
    session_ids, arms, epochs = read_unexposed(session, experiment)
    count = len(session_ids)
    never, labels = pa.nulls(count, TIMESTAMP), pa.repeat(MISSING_EXPOSURE, count)
    yield _rows(project, experiment, session_ids, never, labels, arms, epochs)


def _rows(
    project: str,
    experiment: Experiment,
    session_ids: pa.Array,
    exposed_at: pa.Array,
    labels: pa.Array,
    arm_codes: Wholes,
    epoch_codes: Wholes,
) -> pa.Table:
    count = len(labels)
    arms = pa.array(arm_codes, mask=arm_codes < 0)
    epochs = pa.array(epoch_codes, mask=epoch_codes < 0)
    columns: dict[str, Any] = {
        "project": pa.repeat(project, count),
        "config_key": pa.repeat(experiment.key, count),
        "config_version": np.full(count, experiment.version),
        "session_id": session_ids,
        "exposed_at": exposed_at,
        "label": labels,
        "variant": pa.array([arm.key for arm in experiment.arms], pa.string()).take(arms),
        "variant_index": arms,
        "epoch": pa.array([epoch.number for epoch in experiment.epochs]).take(epochs),
    }
    return pa.table([columns[name] for name in SESSION_LABELS.names], SESSION_LABELS)
