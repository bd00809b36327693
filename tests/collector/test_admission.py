"""Admission: bytes in flight never go beyond the budget, and all come back."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.admission import Admission
from collector.component import AdmissionError, RetryableError


def test_what_fits_is_admitted_and_what_goes_beyond_is_refused_whole() -> None:
    admission = Admission(100)
    admission.acquire(100)

    with pytest.raises(AdmissionError, match="100 bytes are in flight, the limit is 100") as refusal:
        admission.acquire(1)

    assert isinstance(refusal.value, RetryableError)
    assert admission.bytes_in_flight == 100
    admission.release(60)
    admission.acquire(60)
    assert admission.bytes_in_flight == 100


@given(st.lists(st.integers(0, 40), max_size=30))
def test_bytes_in_flight_are_the_sum_of_what_was_admitted(sizes: list[int]) -> None:
    admission = Admission(100)
    admitted = []
    for size in sizes:
        try:
            admission.acquire(size)
        except AdmissionError:
            assert sum(admitted) + size > 100
        else:
            admitted.append(size)

    assert admission.bytes_in_flight == sum(admitted) <= 100


def test_threads_lose_no_byte() -> None:
    admission = Admission(10**9)

    def work() -> None:
        for size in range(2000):
            admission.acquire(size)
            admission.release(size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert admission.bytes_in_flight == 0
