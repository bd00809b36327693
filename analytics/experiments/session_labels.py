"""The rows behind SQL's ``experiment_sessions``: each exposed session as the results judge it, for every config."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.cohorts import Exposure, label_session
from analytics.experiments.measures import read_customers, read_exposures
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.registry.registry import Registry
from storage.session_labels import SESSION_LABELS


def session_labels(engine: DuckDBEngine, registry: Registry, project: str) -> pa.Table:
    """Return one row a config and exposed session, judged by the config's latest version."""
    with engine.session(project) as session:
        batches = [
            pa.RecordBatch.from_pylist(
                [{"project": project, **row} for row in _rows(session, experiment)], schema=SESSION_LABELS
            )
            for config in registry.configs(project)
            if (experiment := experiment_of(config["key"], registry.config_versions(project, config["key"])))
        ]
    return pa.Table.from_batches(batches, SESSION_LABELS)


def _rows(session: QuerySession, experiment: Experiment) -> Iterator[dict[str, Any]]:
    customers = read_customers(session, experiment.key) if experiment.needs_customers else {}
    by_session: dict[str, list[Exposure]] = defaultdict(list)
    for exposure in read_exposures(session, experiment.key):
        by_session[exposure.session_id].append(exposure)
    for session_id, exposures in by_session.items():
        exposures.sort(key=lambda exposure: exposure.event_time)
        label, arm = label_session(experiment, exposures, customers.get(session_id))
        yield {
            "config_key": experiment.key,
            "config_version": experiment.version,
            "session_id": session_id,
            "exposed_at": exposures[0].event_time,
            # As in the results: what is in no arm of the test was put there by force.
            "label": label,
            "variant": None if arm is None else experiment.arms[arm].key,
            "variant_index": arm,
        }
