"""The measures of groups of sessions that chance did not make: those with a call of one value, or of another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from analytics.experiments.measures import SessionMeasures
from analytics.experiments.observational.dimension import Dimension
from analytics.experiments.session_totals import totals_of
from schemas.spans import SPANS
from storage import sql
from storage.engines.duckdb import QuerySession


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls are looked at: those that began from ``start`` and before ``end``, of one config or of any."""

    start: datetime
    end: datetime
    config: str | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """Return the parameters of statements over these calls."""
        return {"from": self.start, "to": self.end, "config": self.config}


class GroupMeasures(SessionMeasures):
    """The measures of the sessions with calls of value ``a`` (arm 0) and of value ``b`` (arm 1).

    A session with both is in no arm. They are read from the spans, since the rollup has only those of configs.
    """

    def __init__(self, session: QuerySession, dimension: Dimension, scope: Scope, a: str, b: str) -> None:
        self._scope = scope
        session.narrow(SPANS, "start_time", scope.start, scope.end)
        named = {**scope.parameters, **dimension.parameters_of(a=a, b=b)}
        is_a, is_b = dimension.is_value("a"), dimension.is_value("b")
        session.keep("cohort", sql.load("compared_sessions").format(is_a=is_a, is_b=is_b), named)
        is_meant = f"CASE WHEN arm = 0 THEN {is_a} ELSE {is_b} END" if dimension.is_of_call else "true"
        used = named if dimension.is_of_call else scope.parameters
        session.keep("calls", sql.load("compared_calls").format(is_meant=is_meant), used)
        session.keep("config_totals", sql.load("compared_totals"))
        # Of what nobody was assigned there is no fallback.
        session.add("fallbacks", pa.table({"number": pa.array([], pa.int32())}))
        session.add("successes", pa.table({"session_id": pa.array([], pa.string())}))
        session.keep("session_totals", *totals_of("cohort", success_is_declared=False))
        super().__init__(session, 2, 1)

    def keep_calls(self) -> None:
        """Keep the calls: they are, since all else is made of them."""

    def keep_metrics(self, names_max: int) -> None:
        """Keep the sessions' custom metrics as ``session_metrics``: of the config, where one is named."""
        parameters = {"config_key": self._scope.config, "names_max": names_max}
        self.session.keep("session_metrics", sql.load("session_metrics"), parameters)

    def sessions_with_both(self) -> int:
        """Return how many sessions have calls of both values."""
        rows = self.session.query("SELECT count(*) AS sessions FROM cohort WHERE arm IS NULL")
        return int(rows["sessions"][0].as_py())
