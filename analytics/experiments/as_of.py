"""An experiment as of a past moment: what had happened before it, by the versions and settings in force by then.

An experiment that has ended stays as it was at its end, unless another moment is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime

from analytics.experiments.arms import Experiment
from analytics.experiments.settings import Settings
from schemas.exposures import EXPOSURES
from schemas.session_rollup import SESSION_ROLLUP
from storage.engines.config_rows import ConfigRows, row_count
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


LARGE_ROWS = 1_000_000
"""Rows of session sums and exposures above which a question waits for others that are as large."""


@contextmanager
def session_of(
    engine: DuckDBEngine,
    project: str,
    experiment: Experiment,
    *,
    rows: ConfigRows | None = None,
    before: datetime | None = None,
    in_turn: bool = False,
) -> Iterator[QuerySession]:
    """Give the rows of an experiment: all, or those of what had happened before a moment.

    ``in_turn`` lets one experiment of very many rows be looked at after the other: where what is known of each session
    is in memory.
    """
    found = rows or engine.config_rows(project, experiment.key, experiment.column)
    rows_read = row_count(found, SESSION_ROLLUP) + row_count(found, EXPOSURES) if in_turn else 0
    turn = engine.large_question if rows_read > LARGE_ROWS else nullcontext()
    with turn, engine.session(project, found) as session:
        if before is not None:
            session.show_past(found, experiment.column, experiment.key, before)
        yield session
