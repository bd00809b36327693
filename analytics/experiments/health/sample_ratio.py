"""The sample ratio: whether the sessions fell to the arms as the weights of their epochs say.

Theory of operation. The sequential test is made at the end of each UTC day and now, from the sessions' first exposures,
not from when somebody looked: so that it says the same whatever was asked when, and in whatever order rows came in. The
logarithms of the epochs' Bayes factors add; an epoch's stays what it was at its last session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analytics.experiments.arms import Experiment
from analytics.experiments.cohorts import Cohort
from analytics.experiments.epochs import Epoch
from analytics.experiments.health.warning import warning
from analytics.experiments.statistics import (
    SampleRatioTest,
    chi_square,
    log_bayes_factors,
    sequential_p_value,
    stratified_chi_square,
)

SEQUENTIAL_P_MIN = 0.01
CHI_SQUARE_P_MIN = 0.001
LOOKS_MAX = 1_000
"""Days of one epoch that are looked at apart: the latest; those before are one look."""
DAYS_APART_MAX = 100_000
"""Days are counted side by side where there are no more from the first to the last."""
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class EpochRatio:
    """One epoch's tests; ``factors`` are the logarithms of its Bayes factor at the end of each of its ``days``."""

    epoch: Epoch
    test: SampleRatioTest
    days: NDArray[np.int64]
    factors: NDArray[np.float64]

    @property
    def sequential_p(self) -> float:
        """Return the epoch's p-value that may be looked at any time."""
        return sequential_p_value(self.factors.tolist())

    def to_json(self) -> dict[str, Any]:
        """Return the epoch's entry in ``by_epoch``."""
        return {
            "epoch": self.epoch.number,
            "versions": list(self.epoch.versions),
            "from": self.epoch.start.isoformat(),
            "until": None if self.epoch.end is None else self.epoch.end.isoformat(),
            "weights": list(self.epoch.shares),
            "observed": list(self.test.observed),
            "expected": list(self.test.expected),
            "chi2_p": self.test.p_value,
            "sequential_p": self.sequential_p,
        }


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The tests of all epochs, and both over them."""

    epochs: tuple[EpochRatio, ...]
    test: SampleRatioTest
    sequential_p: float

    @property
    def is_invalid(self) -> bool:
        """Return whether no effect may be read: chance alone would seldom do this, over all epochs or in one."""
        least = min((each.sequential_p for each in self.epochs), default=1.0)
        return self.sequential_p < SEQUENTIAL_P_MIN or least < SEQUENTIAL_P_MIN / max(1, len(self.epochs))

    def to_json(self) -> dict[str, Any]:
        """Return ``health.srm``."""
        return {
            "chi2_p": self.test.p_value,
            "sequential_p": self.sequential_p,
            "observed": list(self.test.observed),
            "expected": list(self.test.expected),
            "by_epoch": [each.to_json() for each in self.epochs],
        }

    def warnings(self) -> list[dict[str, Any]]:
        """Return the warning of a mismatch, if there is one."""
        chi_square_p = self.test.p_value
        if not self.is_invalid and (chi_square_p is None or chi_square_p >= CHI_SQUARE_P_MIN):
            return []
        worst = min(self.epochs, key=lambda each: each.sequential_p).epoch.number
        p = "none" if chi_square_p is None else f"{chi_square_p:.2g}"
        return [
            warning(
                "sample_ratio_mismatch",
                f"the sessions did not fall to the variants as their weights say (chi-square p {p}, sequential p "
                f"{self.sequential_p:.2g}, worst in epoch {worst}): find out why before you read any effect",
                chi2_p=chi_square_p,
                sequential_p=self.sequential_p,
                epoch=worst,
            )
        ]


def sample_ratio(experiment: Experiment, cohort: Cohort) -> SampleRatio:
    """Test the sessions that count, by epoch and over all."""
    days = _days(cohort)
    epochs = tuple(_epoch_ratio(epoch, code, cohort, days) for code, epoch in enumerate(experiment.epochs))
    return SampleRatio(
        epochs=epochs,
        test=stratified_chi_square([each.test for each in epochs]),
        sequential_p=sequential_p_value(_added(epochs).tolist()),
    )


def _days(cohort: Cohort) -> NDArray[np.int32]:
    """Return the UTC day of each session's first exposure; that of one without a time is after all others."""
    times = cohort.exposed_at.view(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    days: NDArray[np.int32] = (times // _DAY_US).astype(np.int32)
    return days


def _looks(days: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different days in their order, and of each row the place of its own among them."""
    least = int(days.min()) if len(days) else 0
    since = days - least
    if len(days) and int(since.max()) > DAYS_APART_MAX:
        return np.unique(days, return_inverse=True)
    has_any = np.bincount(since) > 0
    return np.flatnonzero(has_any) + least, (np.cumsum(has_any) - 1)[since]


def _epoch_ratio(epoch: Epoch, code: int, cohort: Cohort, days: NDArray[np.int32]) -> EpochRatio:
    is_its = cohort.is_counted & (cohort.epochs == code)
    arms = len(epoch.shares)
    looks, of_row = _looks(days[is_its])
    place = np.maximum(of_row - max(0, len(looks) - LOOKS_MAX), 0)
    looks = looks[-LOOKS_MAX:]
    a_day = np.bincount(place * arms + cohort.arms[is_its], minlength=len(looks) * arms).reshape(len(looks), arms)
    counts = np.cumsum(a_day, axis=0)
    observed: Sequence[int] = counts[-1].tolist() if len(looks) else [0] * arms
    return EpochRatio(epoch, chi_square(observed, epoch.shares), looks, log_bayes_factors(counts, epoch.shares))


def _added(epochs: Sequence[EpochRatio]) -> NDArray[np.float64]:
    """Return the sum of the epochs' logarithms at the end of each day of any."""
    days = np.unique(np.concatenate([each.days for each in epochs]))
    total = np.zeros(len(days))
    for each in epochs:
        total += np.append(0.0, each.factors)[np.searchsorted(each.days, days, side="right")]
    return total
