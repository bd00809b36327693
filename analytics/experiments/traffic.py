"""How much traffic an experiment gets: what days remaining and monthly figures are reckoned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from analytics.experiments.cohorts import Cohort
from analytics.experiments.verdicts import Traffic

WINDOW_DAYS = 7.0
# A rate over less would be that of a burst.
WINDOW_DAYS_MIN = 1 / 24
_US_A_DAY = 86_400e6


def traffic_of(cohort: Cohort, calls: Sequence[int]) -> Traffic:
    """Return the traffic of the sessions that count, a day, over the last week before the last exposure.

    It depends on the rows alone, not on when it is asked.
    """
    times = cohort.exposed_at.filter(pa.array(cohort.is_counted)).view(pa.int64()).drop_null().to_numpy()
    sessions = int(np.count_nonzero(cohort.is_counted))
    if not len(times):
        return Traffic(sessions, None)
    elapsed_days = (int(times.max()) - int(times.min())) / _US_A_DAY
    window_days = min(WINDOW_DAYS, max(elapsed_days, WINDOW_DAYS_MIN))
    recent = int(np.count_nonzero(times >= times.max() - window_days * _US_A_DAY))
    per_day = recent / window_days
    return Traffic(sessions, per_day, per_day * sum(calls) / sessions, elapsed_days)
