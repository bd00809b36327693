"""Cohorts: which sessions are in the experiment, in which arm, and why others are not.

A session counts under the arm that it was exposed to (intention to treat), if chance put it there: its arm is
recomputed from the public hash and compared with what was recorded.

Theory of operation. All sessions are judged at once. An exposure's texts have few values, so what a model, a reason, a
version or a customer means is worked out once a value, by the same functions as for one session, and spread by codes;
a session's exposures lie side by side in the order of time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.assignments import dealt, digests
from schemas.table import TIMESTAMP

Label = Literal[
    "randomised", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic", "by_request"
]
LABELS: tuple[Label, ...] = (
    "randomised", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic", "by_request",
)  # fmt: skip
# Those that any experiment may have; a share of the traffic, and dealing by request, are only in those that have one.
EXCLUDED_LABELS: tuple[Label, ...] = ("targeted", "forced", "fallback", "stale_version", "crossover")
EXPOSURE_ROWS = pa.schema(
    [
        ("session_id", pa.string()),
        ("config_version", pa.int64()),
        ("assigned_model", pa.string()),
        ("variant_index", pa.int64()),
        ("reason", pa.string()),
        ("customer_id", pa.string()),
        ("event_time", TIMESTAMP),
        ("digest", pa.uint64()),
    ]
)
"""Distinct exposures, each at its earliest. ``digest`` is that of the session, as ``assignments.digests`` has it."""
_TARGETED_REASONS = ("individual_target", "rule")
_NO_ARM = -1
_NOWHERE = np.iinfo(np.int64).max

_Codes = NDArray[np.int64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Every exposed session: its first exposure, its label as an index of ``LABELS``, its arm (-1: none)."""

    session_ids: pa.Array
    exposed_at: pa.Array
    labels: NDArray[np.int8]
    arms: _Codes

    @property
    def excluded(self) -> dict[str, int]:
        """Return the number of sessions that do not count, by label."""
        counts = dict(zip(LABELS, np.bincount(self.labels, minlength=len(LABELS)).tolist(), strict=True))
        del counts["randomised"]
        return {name: count for name, count in counts.items() if count or name in EXCLUDED_LABELS}

    @property
    def first_exposure(self) -> datetime | None:
        """Return when the first session that counts was exposed."""
        times = self.exposed_at.filter(pa.array(self.is_counted))
        found: datetime | None = pc.min(times).as_py()
        return found

    @property
    def is_counted(self) -> _Mask:
        """Return which sessions chance put into their arm."""
        mask: _Mask = self.labels == LABELS.index("randomised")
        return mask

    def sessions(self, arm: int) -> int:
        """Return how many sessions fell to the arm."""
        return int(np.count_nonzero(self.is_counted & (self.arms == arm)))

    def to_table(self) -> pa.Table:
        """Return one row a session: session_id, a number for it, and the arm that it counts in, else NULL."""
        arms = pa.array(self.arms, pa.int32(), mask=~self.is_counted)
        return pa.table({"session_id": self.session_ids, "number": np.arange(len(arms), dtype=np.int32), "arm": arms})


def cohort_of(experiment: Experiment, exposures: pa.Table, customers: pa.Table | None = None) -> Cohort:
    """Label every session of ``EXPOSURE_ROWS``.

    ``customers`` (session_id, customer_id) names the customer of a session whose exposures do not. The first exposure
    decides on the epoch: a session that lives across a change of weights is of the epoch it began in.
    """
    rows = _Rows.of(exposures)
    units = _units(experiment, rows, customers)
    is_current = rows.told("config_version", lambda version: _is_current(experiment, version))
    arms = _arms_given(experiment, rows, units)
    # Of those that are not current the arm says nothing.
    least = rows.by_session(np.minimum, np.where(is_current, arms, _NOWHERE))
    most = rows.by_session(np.maximum, np.where(is_current, arms, _NO_ARM))
    arm = most
    is_targeted = rows.first(rows.told("reason", lambda reason: reason in _TARGETED_REASONS)) | units.is_targeted
    by_chance = (arm == units.arms) & (arm != _NO_ARM)
    has_targeting = np.full(len(arm), bool(experiment.targeting))
    # The first that holds decides.
    rules: list[tuple[Label, _Mask]] = [
        ("fallback", rows.first(rows.told("reason", lambda reason: reason == "fallback"))),
        ("stale_version", ~rows.first(is_current)),
        # Also of one that was seen in a single arm: sessions of few requests are not like the others.
        ("by_request", np.full(len(arm), experiment.is_by_request)),
        ("crossover", least != most),
        # Also where the hash agrees: chance did not put it there, and would not have put others of its kind elsewhere.
        ("targeted", is_targeted),
        ("outside_traffic", units.is_outside),
        ("randomised", by_chance),
        ("targeted", has_targeting & (arm != _NO_ARM)),
    ]
    codes = [np.int8(LABELS.index(label)) for label, _ in rules]
    labels = np.select([mask for _, mask in rules], codes, np.int8(LABELS.index("forced"))).astype(np.int8)
    has_arm = np.isin(labels, [LABELS.index(label) for label in ("randomised", "targeted", "forced")])
    return Cohort(rows.session_ids, rows.exposed_at, labels, np.where(has_arm, arm, _NO_ARM))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Exposures by session, each session's in the order of time; ``starts`` are the places of each one's first."""

    table: pa.Table
    starts: _Codes
    session_ids: pa.Array

    @classmethod
    def of(cls, exposures: pa.Table) -> "_Rows":
        sessions, session_ids = _coded(exposures["session_id"])
        count = len(session_ids)
        if count == len(sessions):
            return cls(exposures, np.arange(count), session_ids)
        # Of those at the same time an order that does not depend on how they were read.
        ties = [_ranks(exposures[name]) for name in ("variant_index", "assigned_model", "reason", "config_version")]
        order = np.lexsort((*ties, _times(exposures["event_time"]), sessions))
        starts = np.searchsorted(sessions[order], np.arange(count))
        return cls(exposures.take(pa.array(order)), starts, session_ids)

    @property
    def exposed_at(self) -> pa.Array:
        return self.first(self.table["event_time"].combine_chunks())

    def first(self, values: Any) -> Any:
        """Return what stands at each session's first exposure."""
        if len(values) == len(self.starts):
            return values
        return values.take(pa.array(self.starts)) if isinstance(values, pa.Array) else values[self.starts]

    def told(self, name: str, tells: Callable[[Any], object], kind: type = bool) -> NDArray[Any]:
        """Return what ``tells`` says of each row's value in a column, asked once a value."""
        codes, values = _coded(self.table[name])
        return np.array([tells(value) for value in values.to_pylist()], kind)[codes]

    def by_session(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Return one value a session of those of its rows."""
        return values if len(values) == len(self.starts) else reduce.reduceat(values, self.starts)

    def of_session(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a session's value for each of its rows."""
        lengths = np.diff(np.append(self.starts, self.table.num_rows))
        return np.repeat(values, lengths)


@dataclass(frozen=True, slots=True)
class _Units:
    """Of each session the arm that chance gives it, whether it is outside of the traffic, whether it is targeted."""

    arms: _Codes
    is_outside: _Mask
    is_targeted: _Mask


def _units(experiment: Experiment, rows: _Rows, customers: pa.Table | None) -> _Units:
    hashes = rows.first(rows.table["digest"].to_numpy())
    is_targeted = np.zeros(len(hashes), np.bool_)
    if experiment.needs_customers:
        codes, found = _coded(_customers(rows, customers))
        names = found.to_pylist()
        is_targeted = np.array([experiment.is_targeted(name) for name in names], np.bool_)[codes]
        if experiment.by_chance.get("sticky_by") == "customer":
            of_name = digests(experiment.by_chance, [name or "" for name in names])
            is_known = np.array([bool(name) for name in names], np.bool_)
            hashes = np.where(is_known[codes], of_name[codes], hashes)
    arms, is_outside = dealt(experiment.by_chance, hashes)
    return _Units(arms, is_outside, is_targeted)


def _customers(rows: _Rows, customers: pa.Table | None) -> pa.Array:
    """Return each session's customer: that of its earliest exposure that names one, else that of its spans."""
    named = rows.table["customer_id"].combine_chunks()
    is_named = pc.fill_null(pc.not_equal(named, ""), False).to_numpy(zero_copy_only=False)
    places = rows.by_session(np.minimum, np.where(is_named, np.arange(len(named)), _NOWHERE))
    of_exposures = named.take(pa.array(places, mask=places == _NOWHERE))
    if customers is None:
        return of_exposures
    of_spans = customers["customer_id"].combine_chunks()
    return pc.coalesce(of_exposures, of_spans.take(pc.index_in(rows.session_ids, customers["session_id"])))


def _is_current(experiment: Experiment, version: int | None) -> bool:
    # A version that the registry does not know (it may have been made anew) is judged by the hash alone.
    return version in experiment.epoch or version not in experiment.known_versions


def _arms_given(experiment: Experiment, rows: _Rows, units: _Units) -> _Codes:
    """Return the arm of each exposure: the index that it names, if that serves its model; else one that does.

    Of several that do, the one that the hash gives.
    """
    models = [arm.model for arm in experiment.arms]
    serves: dict[str, list[int]] = {
        model: [place for place, name in enumerate(models) if name == model] for model in models
    }
    indexes = rows.table["variant_index"].fill_null(_NO_ARM).to_numpy()
    named = np.full(len(indexes), _NO_ARM)
    by_hash = rows.of_session(np.where(units.is_outside, _NO_ARM, units.arms))
    codes, given = _coded(rows.table["assigned_model"])
    for code, model in enumerate(given.to_pylist()):
        if model not in serves:
            continue
        candidates, is_its = serves[model], codes == code
        named[is_its] = candidates[0]
        for others in (by_hash, indexes):
            fits = is_its & np.isin(others, candidates)
            named[fits] = others[fits]
    return named


def _coded(column: pa.Array | pa.ChunkedArray) -> tuple[_Codes, pa.Array]:
    """Return a code a row, and the values, NULL among them, in the order in which they first come."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    coded = pc.dictionary_encode(column, null_encoding="encode")
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary


def _ranks(column: pa.ChunkedArray) -> _Codes:
    codes, values = _coded(column)
    ranks = np.empty(len(values), np.int64)
    ranks[pc.sort_indices(values).to_numpy()] = np.arange(len(values))
    return ranks[codes]


def _times(column: pa.ChunkedArray) -> _Codes:
    times: _Codes = column.combine_chunks().view(pa.int64()).fill_null(_NOWHERE).to_numpy()
    return times
