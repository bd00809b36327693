"""What the collector counts of itself: plain numbers, which one thread adds to and a scrape reads at any time."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAGS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram holds: how many values were at most each bound, of the last, infinity, all; and their sum."""

    bounds_s: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum_s: float


class Histogram:
    """Counts durations by size. One thread observes, any may read."""

    __slots__ = ("_bounds_s", "_counts", "_sum_s")

    def __init__(self, bounds_s: Sequence[float] = DURATIONS_S) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._sum_s += duration_s

    def read(self) -> Distribution:
        """Return what was counted so far."""
        cumulative: list[int] = []
        for count in list(self._counts):
            cumulative.append(count + (cumulative[-1] if cumulative else 0))
        return Distribution(self._bounds_s, tuple(cumulative), self._sum_s)


Source = tuple[str, str, str]
"""What items are, and where they came from: kind, receiver, transport."""


class ReceiverCounts:
    """The items, spans for instance, that receivers handed to the pipeline, by where they came from.

    Each is accepted, or refused since the moment is wrong, or failed by an error that nobody foresaw; or rejected alone
    while the rest of its request is accepted, by reason. Of the accepted some are dropped, being of no kind that is
    kept. What can't be decoded at all has no items: its request is counted by Admission. The pipeline's thread adds,
    any may read.
    """

    def __init__(self) -> None:
        self.accepted: Counter[Source] = Counter()
        self.refused: Counter[Source] = Counter()
        self.failed: Counter[Source] = Counter()
        self.dropped: Counter[Source] = Counter()
        self.rejected: Counter[tuple[Source, str]] = Counter()
        self.acknowledgement = Histogram()
        """From a whole request's arrival to its answer."""
