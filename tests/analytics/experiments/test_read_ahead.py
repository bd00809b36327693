"""Batches that are read ahead come as they are read; what goes wrong is told; nobody reads on for nobody."""

import threading
from collections.abc import Iterator

import pytest

from analytics.experiments.read_ahead import BATCHES_AHEAD_MAX, read_ahead


def test_all_come_in_their_order() -> None:
    assert list(read_ahead(range(100))) == list(range(100))
    assert list(read_ahead([])) == []
    assert list(read_ahead([None, None])) == [None, None]


def test_an_error_comes_after_what_was_read_before() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ValueError("a file is gone")

    batches = read_ahead(fails())

    assert next(batches) == 1
    with pytest.raises(ValueError, match="a file is gone"):
        next(batches)


def test_reading_ends_with_whoever_stops_early() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1_000):
            read.append(number)
            yield number

    batches = read_ahead(numbers())
    assert next(batches) == 0
    batches.close()  # type: ignore[attr-defined]

    assert len(read) <= BATCHES_AHEAD_MAX + 4
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
