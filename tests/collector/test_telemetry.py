"""What the collector counts of itself."""

from collector.telemetry import Histogram


def test_a_histogram_counts_up_to_and_with_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for duration_s in (0.05, 0.1, 0.5, 2.0, 3.0):
        histogram.observe(duration_s)

    found = histogram.read()

    assert (found.bounds_s, found.cumulative) == ((0.1, 1.0), (2, 3, 5))
    assert abs(found.sum_s - 5.65) < 1e-9


def test_a_histogram_of_nothing_is_all_zeros() -> None:
    found = Histogram((0.1,)).read()

    assert (found.cumulative, found.sum_s) == ((0, 0), 0.0)
