"""The table that metrics are expressions over: one row a session that counts, with its arm, epoch and calls' sums."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.cohorts import Cohort
from analytics.experiments.session_sums import SessionSums, chunked


def session_totals(
    cohort: Cohort, sums: SessionSums, fallbacks: NDArray[np.int64], successes: pa.ChunkedArray | None
) -> pa.Table:
    """Return the table; a session without calls has zeros.

    ``fallbacks`` are the numbers of the sessions in which another model stepped in, ``successes`` the ids of those that
    succeeded: where it is None, those that have a call, and of which none failed.
    """
    is_counted, totals = cohort.is_counted, sums.totals
    calls, errors = totals["calls"], totals["errors"]
    # A session of which one call's cost is unknown has no known cost: to add up the rest would make it look cheap.
    cost_known = (totals["unpriced_count"] == 0).astype(np.float64)
    columns = {
        "number": np.flatnonzero(is_counted).astype(np.int32),
        "arm": cohort.arms[is_counted].astype(np.int32),
        "epoch": cohort.epochs[is_counted].astype(np.int32),
        **{name: values for name, values in totals.items() if name != "unpriced_count"},
        # Whether all calls that succeeded report tokens; those that failed need not.
        "tokens_known": (totals["tokens_count"] >= calls - errors).astype(np.float64),
        "cost_known": cost_known,
        "known_cost_sum": np.where(cost_known == 1, totals["cost_sum"], 0.0),
        "has_fallback": _flags(sums, fallbacks),
        "is_successful": (calls > 0) & (errors == 0) if successes is None else _named(cohort, sums, successes),
    }
    return chunked(pa.table(columns))


def _named(cohort: Cohort, sums: SessionSums, session_ids: pa.ChunkedArray) -> NDArray[np.bool_]:
    return _flags(sums, cohort.index.find(session_ids.combine_chunks()))


def _flags(sums: SessionSums, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which of the sessions that count these are."""
    flags = np.zeros(len(sums.began), np.bool_)
    places = sums.places[numbers[numbers >= 0]]
    flags[places[places >= 0]] = True
    return flags
