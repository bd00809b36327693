"""What is asked of an experiment's results, and whether an answer is one to that question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from analytics.experiments.settings import Inference


@dataclass(frozen=True, slots=True)
class Question:
    """The results of an experiment; of several metrics the names are comma-separated. None leaves it to the server."""

    key: str
    version: int | None = None
    epoch: int | None = None
    segment: str | None = None
    as_of: datetime | None = None
    inference: Inference | None = None
    metrics: str | None = None

    @property
    def path(self) -> str:
        """The path of the results."""
        return f"/experiments/{quote(self.key, safe='')}/results"

    @property
    def timeseries_path(self) -> str:
        """The path of a figure's course."""
        return f"/experiments/{quote(self.key, safe='')}/timeseries"

    @property
    def sessions_path(self) -> str:
        """The path of the sessions behind the figures."""
        return f"/experiments/{quote(self.key, safe='')}/sessions"

    @property
    def whose(self) -> dict[str, str]:
        """The part of the query that says whose figures they are."""
        return {name: value for name, value in self.parameters.items() if name in ("version", "epoch", "as_of")}

    @property
    def parameters(self) -> dict[str, str]:
        """The query of the results."""
        asked = {
            "version": self.version,
            "epoch": self.epoch,
            "segment": self.segment,
            "as_of": None if self.as_of is None else _zoned(self.as_of).isoformat(),
            "inference": self.inference,
            "metrics": self.metrics,
        }
        return {name: str(value) for name, value in asked.items() if value is not None}

    def unanswered(self, results: Mapping[str, Any]) -> str | None:
        """Return which option the server left out of account, as one that does not know it does; None if none."""
        if self.as_of is not None and _zoned(datetime.fromisoformat(results["experiment"]["as_of"])) != _zoned(
            self.as_of
        ):
            return "as_of"
        if self.segment is not None and (results.get("segments") or {}).get("by") != self.segment:
            return "segment"
        return None


def _zoned(moment: datetime) -> datetime:
    """Return the time with its zone: UTC where it names none."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
