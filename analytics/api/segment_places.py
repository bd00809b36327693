"""Segments of results, so many at once: each is some twenty results."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from analytics.api.errors import ApiError
from analytics.experiments.arms import Experiment
from analytics.experiments.segments import segments
from analytics.experiments.settings import Settings
from storage.engines.duckdb import DuckDBEngine
from storage.errors import QueryTimeoutError

SEGMENTED_MAX = 2
WAIT_S_MAX = 30.0


class SegmentPlaces:
    """Answers questions for segments; one that would wait too long is refused. Thread-safe."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._places = threading.BoundedSemaphore(SEGMENTED_MAX)

    def segments(
        self, project: str, experiment: Experiment, settings: Settings, by: str, *, before: datetime | None = None
    ) -> dict[str, Any]:
        """Return the section ``segments`` of the results: of now, or as of a moment. Raises ApiError."""
        if not self._places.acquire(timeout=WAIT_S_MAX):
            message = f"{SEGMENTED_MAX} questions for segments are being answered, the limit: try again"
            raise ApiError(503, "unavailable", message)
        try:
            return segments(self._engine, project, experiment, settings, by, before=before)
        except QueryTimeoutError as error:
            raise ApiError(408, "timeout", f"{error}: choose an epoch or a version", "segment") from error
        finally:
            self._places.release()
