"""Cohorts: which sessions are in the experiment, in which arm and weight epoch, and why others are not.

A session counts under the arm that it was exposed to (intention to treat), if chance put it there: its arm is
recomputed from the public hash and compared with what was recorded.

Theory of operation. Thousands of sessions are judged at once. An exposure's texts have few values, so what a model, a
reason, a version or a customer means is worked out once a value, by the same functions as for one session, and spread
by codes; a session's exposures lie side by side in the order of time. An exposure is of the epoch of the version that
it names, else of the version that was in force at its time; a session is of the epoch of its first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.assignments import dealt, digests, hash_salt
from analytics.experiments.exposure_rows import NO_TIME, Codes, ExposureRows, Wholes, coded
from analytics.experiments.session_index import Numbers, SessionIndex, md5_numbers

Label = Literal[
    "randomised", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic", "by_request",
    "outside_window", "model_mismatch",
]  # fmt: skip
LABELS: tuple[Label, ...] = (
    "randomised", "targeted", "forced", "fallback", "stale_version", "crossover", "outside_traffic", "by_request",
    "outside_window", "model_mismatch",
)  # fmt: skip
COUNTED_LABELS: tuple[Label, ...] = ("randomised", "model_mismatch")
# Those that any experiment may have; the others are only in those that have a share of the traffic, deal by request, …
EXCLUDED_LABELS: tuple[Label, ...] = ("targeted", "forced", "fallback", "stale_version", "crossover", "outside_window")
STALE_AFTER = timedelta(minutes=1)
"""How long clients may not yet have learnt of a new version: what they ask for configs by."""

_TARGETED_REASONS = ("individual_target", "rule")
_NONE = -1
_EPOCH_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_IS_COUNTED = np.array([label in COUNTED_LABELS for label in LABELS])
_HAS_ARM = np.array([label in ("randomised", "targeted", "forced") for label in LABELS])

_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which a session must first be exposed: from ``start``, and before ``end``."""

    start: datetime | None = None
    end: datetime | None = None


_ALWAYS = Window()


@dataclass(frozen=True, slots=True)
class Cohort:
    """Every exposed session: its first exposure, its label as an index of ``LABELS``, its arm and epoch (-1: none).

    An epoch is a place in the experiment's ``epochs``. ``stale_clients`` is the number of sessions whose client had a
    version that had been superseded for longer than ``STALE_AFTER``, by one that assigns otherwise. ``index`` has the
    sessions' places.
    """

    session_ids: pa.Array
    exposed_at: pa.Array
    labels: NDArray[np.int8]
    arms: Wholes
    epochs: Wholes
    stale_clients: int
    index: SessionIndex = field(default_factory=SessionIndex)

    @property
    def excluded(self) -> dict[str, int]:
        """Return the number of sessions that do not count, by label."""
        counts = self.labelled
        return {
            name: count
            for name, count in counts.items()
            if name not in COUNTED_LABELS and (count or name in EXCLUDED_LABELS)
        }

    @property
    def labelled(self) -> dict[str, int]:
        """Return the number of sessions of each label."""
        return dict(zip(LABELS, np.bincount(self.labels, minlength=len(LABELS)).tolist(), strict=True))

    @property
    def first_exposure(self) -> datetime | None:
        """Return when the first session that counts was exposed."""
        times = self.exposed_at.filter(pa.array(self.is_counted))
        found: datetime | None = pc.min(times).as_py()
        return found

    @property
    def is_counted(self) -> _Mask:
        """Return which sessions chance put into their arm."""
        mask: _Mask = _IS_COUNTED[self.labels]
        return mask

    def sessions(self, arm: int, epoch: int | None = None) -> int:
        """Return how many sessions fell to the arm, in one epoch or in all."""
        mask = self.is_counted & (self.arms == arm)
        return int(np.count_nonzero(mask if epoch is None else mask & (self.epochs == epoch)))

    def with_mismatches(self, numbers: Wholes) -> "Cohort":
        """Return the cohort in which those of these sessions that count were served by other models than assigned."""
        labels = self.labels.copy()
        labels[numbers] = np.where(
            labels[numbers] == LABELS.index("randomised"), LABELS.index("model_mismatch"), labels[numbers]
        )
        return replace(self, labels=labels)

    def to_table(self) -> pa.Table:
        """Return one row a session: session_id, exposed_at, a number; arm and epoch, NULL where it does not count."""
        is_out = ~self.is_counted
        return pa.table(
            {
                "session_id": self.session_ids,
                "exposed_at": self.exposed_at,
                "number": np.arange(len(self.arms), dtype=np.int32),
                "arm": pa.array(self.arms, pa.int32(), mask=is_out),
                "epoch": pa.array(self.epochs, pa.int32(), mask=is_out),
            }
        )


def cohort_of(
    experiment: Experiment,
    exposures: pa.Table | Iterable[pa.RecordBatch],
    customers: pa.Table | None = None,
    window: Window = _ALWAYS,
) -> Cohort:
    """Label every session of ``EXPOSURE_ROWS``.

    ``customers`` (session_id, customer_id) names the customer of a session whose exposures do not. The first exposure
    decides on the epoch: a session that lives across a change of weights is of the epoch it began in.
    """
    rows = ExposureRows.of(exposures)
    named = _Customers.of(experiment, rows, customers)
    labels = np.empty(len(rows.starts), np.int8)
    arms, epochs = (np.empty(len(rows.starts), np.int32) for _ in range(2))
    stale_clients = 0
    for sessions, part in rows.parts():
        labels[sessions], arms[sessions], epochs[sessions], is_stale_client = _judged(
            experiment, part, named.part(sessions), window
        )
        stale_clients += int(np.count_nonzero(is_stale_client & (labels[sessions] == LABELS.index("stale_version"))))
    return Cohort(rows.session_ids, rows.exposed_at, labels, arms, epochs, stale_clients, rows.index)


def dealt_by_hash(
    experiment: Experiment, sessions: pa.Table, customers: pa.Table | None = None
) -> tuple[pa.Array, Codes, Codes]:
    """Return the sessions of ``EXPOSURE_ROWS``, and the arm and epoch that chance alone would put each in; -1: none."""
    rows = ExposureRows.of(sessions)
    places, _ = _versions(experiment, rows)
    epochs = _counted_codes(experiment)[rows.first(places)]
    units = _units(experiment, rows, _Customers.of(experiment, rows, customers), epochs)
    is_dealt = (epochs != _NONE) & ~units.is_outside & ~units.is_targeted & (not experiment.is_by_request)
    return rows.session_ids, np.where(is_dealt, units.arms, _NONE), epochs


def _judged(
    experiment: Experiment, rows: ExposureRows, customers: "_Customers", window: Window
) -> tuple[NDArray[np.int8], Codes, Codes, _Mask]:
    """Return each session's label, arm and epoch, and whether its client was late to learn of a version."""
    places, is_superseded = _versions(experiment, rows)
    place = rows.first(places)
    is_stale_client = rows.first(is_superseded)
    epochs = np.where(is_stale_client, _NONE, _counted_codes(experiment)[place])
    units = _units(experiment, rows, customers, epochs)
    arms = _arms_given(experiment, rows, units)
    # Exposures of other epochs say nothing of the arm: other weights may deal the session anew.
    is_own = places == rows.of_session(place)
    least = rows.by_session(np.minimum, np.where(is_own, arms, NO_TIME))
    arm = rows.by_session(np.maximum, np.where(is_own, arms, _NONE))
    is_targeted = rows.first(rows.told("reason", lambda reason: reason in _TARGETED_REASONS)) | units.is_targeted
    # The first that holds decides.
    rules: list[tuple[Label, _Mask]] = [
        ("outside_window", _is_outside(window, rows.first(rows.times))),
        ("fallback", rows.first(rows.told("reason", lambda reason: reason == "fallback"))),
        ("stale_version", epochs == _NONE),
        # Also of one that was seen in a single arm: sessions of few requests are not like the others.
        ("by_request", np.full(len(arm), experiment.is_by_request)),
        ("crossover", least != arm),
        # Also where the hash agrees: chance did not put it there, and would not have put others of its kind elsewhere.
        ("targeted", is_targeted),
        ("outside_traffic", units.is_outside),
        ("randomised", (arm == units.arms) & (arm != _NONE)),
        ("targeted", units.has_targeting & (arm != _NONE)),
    ]
    labels = np.full(len(arm), LABELS.index("forced"), np.int8)
    for label, holds in reversed(rules):
        labels[holds] = LABELS.index(label)
    return labels, np.where(_HAS_ARM[labels], arm, _NONE), epochs, is_stale_client


def _versions(experiment: Experiment, rows: ExposureRows) -> tuple[Codes, _Mask]:
    """Return each exposure's epoch, as a place in the timeline, and whether its client was late to learn of the next.

    A version that the registry does not know (it may have been made anew) says nothing; one that is of the future says
    that the client's clock is slow.
    """
    timeline = experiment.timeline
    place_of = {version: place for place, epoch in enumerate(timeline) for version in epoch.versions}
    named = rows.told("config_version", lambda version: place_of.get(version, _NONE), np.int64)
    times = rows.times
    if len(timeline) == 1:
        return np.zeros(len(named), np.int64), np.zeros(len(named), np.bool_)
    starts = np.array([_microseconds(epoch.start) for epoch in timeline])
    in_force = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    ends = np.append(starts[1:] + STALE_AFTER // _MICROSECOND, NO_TIME)
    return np.where(named == _NONE, in_force, named), (named != _NONE) & (times > ends[named]) & (times != NO_TIME)


def _counted_codes(experiment: Experiment) -> Codes:
    """Return of each epoch of the timeline which of those that count it is; -1 where it is none."""
    codes = {epoch.number: code for code, epoch in enumerate(experiment.epochs)}
    return np.array([codes.get(epoch.number, _NONE) for epoch in experiment.timeline])


def _is_outside(window: Window, times: Codes) -> _Mask:
    is_outside: _Mask = np.zeros(len(times), np.bool_)
    if window.start is not None:
        is_outside |= times < _microseconds(window.start)
    if window.end is not None:
        is_outside |= times >= _microseconds(window.end)
    return is_outside


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH_ZERO) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class _Customers:
    """The code of each session's customer, and what is known of each code's: a hash, and whom an epoch targets.

    Where nothing goes by customers, all have the code 0, of nobody.
    """

    codes: Numbers
    is_known: _Mask
    hashes: NDArray[np.uint64] | None
    targeted: list[_Mask]

    @classmethod
    def of(cls, experiment: Experiment, rows: ExposureRows, customers: pa.Table | None) -> "_Customers":
        codes, names = np.zeros(len(rows.starts), np.int32), [None]
        if experiment.needs_customers:
            codes, found = coded(_customers(rows, customers))
            names = found.to_pylist()
        by_customer = experiment.needs_customers and experiment.by_chance.get("sticky_by") == "customer"
        return cls(
            codes,
            np.array([bool(name) for name in names], np.bool_),
            digests(experiment.by_chance, [name or "" for name in names]) if by_customer else None,
            [
                np.array([bool(epoch.targeting) and epoch.is_targeted(name) for name in names], np.bool_)
                for epoch in experiment.epochs
            ],
        )

    def part(self, sessions: slice) -> "_Customers":
        return replace(self, codes=self.codes[sessions])


@dataclass(frozen=True, slots=True)
class _Units:
    """Of each session the arm that chance gives it in its epoch, and what else its epoch says of it."""

    arms: Codes
    is_outside: _Mask
    is_targeted: _Mask
    has_targeting: _Mask


def _units(experiment: Experiment, rows: ExposureRows, customers: _Customers, epochs: Codes) -> _Units:
    hashes = md5_numbers(hash_salt(experiment.by_chance), rows.session_ids)
    if customers.hashes is not None:
        hashes = np.where(customers.is_known[customers.codes], customers.hashes[customers.codes], hashes)
    arms = np.full(len(hashes), _NONE)
    is_outside, is_targeted, has_targeting = (np.zeros(len(hashes), np.bool_) for _ in range(3))
    for code, epoch in enumerate(experiment.epochs):
        is_its = epochs == code
        arms[is_its], is_outside[is_its] = dealt(epoch.by_chance, hashes[is_its])
        if epoch.targeting:
            has_targeting[is_its], is_targeted[is_its] = True, customers.targeted[code][customers.codes[is_its]]
    return _Units(arms, is_outside, is_targeted, has_targeting)


def _customers(rows: ExposureRows, customers: pa.Table | None) -> pa.Array:
    """Return each session's customer: that of its earliest exposure that names one, else that of its spans."""
    codes = rows.customers.codes
    names = pa.array([name or None for name in rows.customers.values], pa.string())
    is_named = names.is_valid().to_numpy(zero_copy_only=False)[codes]
    places = rows.by_session(np.minimum, np.where(is_named, np.arange(len(codes)), NO_TIME))
    is_unnamed = places == NO_TIME
    of_session = codes[np.where(is_unnamed, 0, places)] if len(codes) else codes
    of_exposures = names.take(pa.array(of_session, mask=is_unnamed))
    if customers is None:
        return of_exposures
    of_spans = customers["customer_id"].combine_chunks()
    return pc.coalesce(of_exposures, of_spans.take(pc.index_in(rows.session_ids, customers["session_id"])))


def _arms_given(experiment: Experiment, rows: ExposureRows, units: _Units) -> Codes:
    """Return the arm of each exposure: the index that it names, if that serves its model; else one that does.

    Of several that do, the one that the hash gives.
    """
    of_model = rows.of_kind["assigned_model"]
    candidates = [experiment.arms_of(model) for model in of_model.values]
    # One more arm, which -1 is: none serves it.
    serves = np.zeros((len(candidates), len(experiment.arms) + 1), np.bool_)
    for code, of_code in enumerate(candidates):
        serves[code, list(of_code)] = True
    first = np.array([of_code[0] if of_code else _NONE for of_code in candidates], np.int64)
    arms = range(len(experiment.arms))
    named = rows.told("variant_index", lambda index: index if index in arms else _NONE, np.int64)
    by_hash = rows.of_session(np.where(units.is_outside, _NONE, units.arms))
    models = of_model.codes[rows.kinds]
    found: Codes = np.where(
        serves[models, named], named, np.where(serves[models, by_hash], by_hash, first[models] if len(first) else named)
    )
    return found
