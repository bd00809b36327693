"""An experiment as of a past moment: what had happened before it, by the versions and settings in force by then.

An experiment that has ended stays as it was at its end, unless another moment is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from analytics.experiments.arms import Experiment
from analytics.experiments.settings import Settings
from storage.engines.config_rows import ConfigRows
from storage.engines.duckdb import DuckDBEngine, QuerySession
from storage.registry.resources import ConfigVersion


def moment_of(asked: datetime | None, settings: Settings) -> datetime | None:
    """Return the moment before which all that counts happened; None where that is now."""
    return asked if asked is not None else settings.ended_at


def in_force(versions: Sequence[ConfigVersion], before: datetime | None) -> list[ConfigVersion]:
    """Return the versions, oldest first, that there were before a moment; the first where there was none yet.

    What is said to have happened before the first version is of that one, as it is without a moment.
    """
    if before is None:
        return list(versions)
    return [version for version in versions if version.created_at < before] or list(versions[:1])


@contextmanager
def session_of(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    *,
    rows: ConfigRows | None = None,
    before: datetime | None = None,
) -> Iterator[QuerySession]:
    """Give the rows of an experiment: all, or those of what had happened before a moment."""
    found = rows or engine.config_rows(project, experiment.key, experiment.column)
    with engine.session(project, found) as session:
        if before is not None:
            session.show_past(found, experiment.column, experiment.key, before)
        yield session
