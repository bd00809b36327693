"""From which day to which a session counts, and where: what its exposures said of it by the end of each day.

Most sessions count from their first exposure on. One that is seen in a second arm counts until then, as it did for
whoever looked before; where customers decide on the arm, one may be named later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import LABELS, Cohort, Window, cohort_of

DAY_US = 86_400_000_000
_SCHEMA = pa.schema([(name, pa.int32()) for name in ("number", "arm", "epoch", "since", "until")])

Days = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Memberships:
    """``members``: number, arm, epoch, since, until (NULL: to the end), in days since 1970; a session may have several.

    ``entered``: session_id, number and since, its first day, of each session that ever counts, and the arm that it was
    first in. The numbers are the cohort's.
    """

    cohort: Cohort
    members: pa.Table
    entered: pa.Table

    def since_day(self, day: int) -> Memberships:
        """Return them with all that was before a day as of that day."""

        def since(table: pa.Table) -> pa.Table:
            place = table.schema.get_field_index("since")
            return table.set_column(place, "since", pc.max_element_wise(table["since"], pa.scalar(day, pa.int32())))

        is_left = pc.fill_null(pc.greater(self.members["until"], day), True)
        return Memberships(self.cohort, since(self.members.filter(is_left)), since(self.entered))

    @property
    def first_day(self) -> int | None:
        """Return the day since when any session counts."""
        found: int | None = pc.min(self.members["since"]).as_py()
        return found


def memberships(experiment: Experiment, exposures: pa.Table, customers: pa.Table | None, window: Window) -> Memberships:
    """Return when the sessions of ``EXPOSURE_ROWS`` counted; all of these must have a time."""
    cohort = cohort_of(experiment, exposures, customers, window)
    days = _days(cohort.exposed_at)
    is_steady = ~_may_change(experiment, exposures, cohort)
    numbers = np.flatnonzero(is_steady & cohort.is_counted)
    steady = pa.table(
        [
            pa.array(numbers, pa.int32()),
            pa.array(cohort.arms[numbers], pa.int32()),
            pa.array(cohort.epochs[numbers], pa.int32()),
            pa.array(days[numbers]),
            pa.nulls(len(numbers), pa.int32()),
        ],
        schema=_SCHEMA,
    )
    rows = list(_changing(experiment, exposures, customers, window, cohort, np.flatnonzero(~is_steady)))
    members = pa.concat_tables([steady, pa.Table.from_pylist(rows, _SCHEMA)]).combine_chunks()
    return Memberships(cohort, members, _entered(members, cohort))


def _entered(members: pa.Table, cohort: Cohort) -> pa.Table:
    """Return each session that ever counts, once: since when, and the arm that it was first in."""
    numbers = members["number"].to_numpy()
    # In the order of time within a session.
    order = np.lexsort((members["since"].to_numpy(), numbers))
    first = order[np.unique(numbers[order], return_index=True)[1]]
    own = members.take(pa.array(first))
    ids = cohort.session_ids.take(own["number"])
    return pa.table({"session_id": ids, **{name: own[name] for name in ("number", "since", "arm")}})


def _may_change(experiment: Experiment, exposures: pa.Table, cohort: Cohort) -> NDArray[np.bool_]:
    is_crossover: NDArray[np.bool_] = cohort.labels == LABELS.index("crossover")
    if not experiment.needs_customers:
        return is_crossover
    counts = pc.value_counts(exposures["session_id"].combine_chunks())
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    found: NDArray[np.bool_] = pc.is_in(cohort.session_ids, several).to_numpy(zero_copy_only=False)
    return is_crossover | found


def _changing(
    experiment: Experiment,
    exposures: pa.Table,
    customers: pa.Table | None,
    window: Window,
    cohort: Cohort,
    numbers: NDArray[np.int64],
) -> Iterator[dict[str, int | None]]:
    """Yield a row for each run of days in which one of these sessions counts in one place."""
    ids = cohort.session_ids.take(pa.array(numbers))
    rows = exposures.filter(pc.is_in(exposures["session_id"], ids))
    days = _days(rows["event_time"].combine_chunks())
    current: dict[int, dict[str, int | None]] = {}
    for day in np.unique(days).tolist():
        # Only what happens says anything new: the sessions that were exposed on the day.
        of_day = rows["session_id"].filter(pa.array(days == day))
        known = rows.filter(pc.and_(pc.is_in(rows["session_id"], of_day), pa.array(days <= day)))
        found = cohort_of(experiment, known, customers, window)
        its_numbers = numbers[pc.index_in(found.session_ids, ids).to_numpy()].tolist()
        for place, number in enumerate(its_numbers):
            arm, epoch = (int(codes[place]) for codes in (found.arms, found.epochs))
            is_in, before = bool(found.is_counted[place]), current.get(number)
            if before is not None and is_in and (before["arm"], before["epoch"]) == (arm, epoch):
                continue
            if before is not None:
                yield {**current.pop(number), "until": day}
            if is_in:
                current[number] = {"number": number, "arm": arm, "epoch": epoch, "since": day, "until": None}
    yield from current.values()


def _days(times: pa.Array) -> Days:
    found: Days = (times.view(pa.int64()).to_numpy() // DAY_US).astype(np.int32)
    return found
